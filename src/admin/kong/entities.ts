/**
 * Entities by the store and the schemas: found, made, changed, replaced and deleted, with Kong's errors. Who is overtaken
 * by another writer reads again and tries again, so that no change is lost.
 */
import {
  KongError,
  foreignKeyUnresolved,
  invalidUnique,
  notFoundBy,
  notFoundById,
  schemaViolation,
  unsupported,
} from '../../config/kong/errors.ts';
import { INVALID_TARGET } from '../../config/kong/fields.ts';
import { parseHost } from '../../config/kong/host.ts';
import { foreignFields, isObject, isUuid } from '../../config/kong/schema.ts';
import type { Entity, EntityKind, JsonObject, Schema } from '../../config/kong/schema.ts';
import { SCHEMAS } from '../../config/kong/schemas.ts';
import { create, judgeValue, update } from '../../config/kong/validate.ts';
import { type Row, StaleWrite, type Write } from '../../store/store.ts';
import { readCertificateNames, certificateWrites } from './certificates.ts';
import type { Api } from './context.ts';

/** How often it is tried again. Somebody always wins, so this many rounds are never needed by few writers. */
const TRIES = 50;

/** What a path or a body calls an entity by. */
export interface EntityKey {
  /** `id`, or the schema's key. */
  field: string;
  value: string;
}

/** A text in the form of a UUID is an id, anything else a name. @throws {KongError} it could be neither */
export function readKey(kind: EntityKind, text: string): EntityKey {
  const { key, fields } = SCHEMAS[kind];
  if (isUuid(text)) return { field: 'id', value: text.toLowerCase() };
  if (kind === 'certificates') return { field: 'sni', value: text };
  if (key === null) {
    const error = 'expected a valid UUID';
    throw new KongError('invalid primary key', `invalid primary key: '{id="${error}"}'`, { id: error });
  }
  const field = fields[key];
  const error = field === undefined ? null : judgeValue(field, text);
  if (typeof error === 'string') throw invalidUnique(key, error);
  return { field: key, value: text };
}

/** @throws {StoreUnavailable} */
export async function findEntity({ store }: Api, kind: EntityKind, { field, value }: EntityKey): Promise<Row | null> {
  if (field === 'id') return store.get(kind, value);
  if (field !== 'sni') return store.find(kind, field, value);
  const sni = await store.find('snis', 'name', value);
  const certificate = sni?.entity.certificate;
  return isObject(certificate) ? store.get(kind, certificate.id as string) : null;
}

/** As it is answered: with what is kept elsewhere. */
export async function present(api: Api, kind: EntityKind, entity: Entity): Promise<Entity> {
  return kind === 'certificates' ? { ...entity, snis: await readCertificateNames(api, entity.id) } : entity;
}

/** `{"name": …}` for `{"id": …}` of what is referred to. @throws {KongError} code 13 */
async function resolveReferences(api: Api, schema: Schema, input: JsonObject): Promise<JsonObject> {
  const resolved: JsonObject = { ...input };
  for (const [name, { to }] of foreignFields(schema)) {
    const value = resolved[name];
    const { key } = SCHEMAS[to];
    if (!isObject(value) || key === null || value.id !== undefined) continue;
    const wanted = value[key];
    if (typeof wanted !== 'string') continue;
    const row = await api.store.find(to, key, wanted);
    if (row === null) throw foreignKeyUnresolved(name, key, wanted, to);
    resolved[name] = { id: row.entity.id };
  }
  return resolved;
}

/** The text for a new target's address leaves the address out. */
function refuseTarget(kind: EntityKind, input: JsonObject): void {
  if (kind !== 'targets' || typeof input.target !== 'string' || input.target === '') return;
  if ('error' in parseHost(input.target)) throw schemaViolation({ target: INVALID_TARGET });
}

type Verb = 'create' | 'update' | 'create or update' | 'remove';

/** @throws {KongError} code 12: there is nothing to write to */
function refuseWrite(api: Api, kind: EntityKind, verb: Verb): void {
  if (api.declarative !== null) throw unsupported(`cannot ${verb} '${kind}' entities when not using a database`);
}

/** Repeats what a faster writer has made worthless. */
async function retrying<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof StaleWrite) || attempt >= TRIES) throw error;
    }
  }
}

/**
 * `POST`
 *
 * @throws {KongError}
 */
export async function createEntity(api: Api, kind: EntityKind, input: JsonObject): Promise<Entity> {
  const schema = SCHEMAS[kind];
  const resolved = await resolveReferences(api, schema, input);
  const { entity, errors } = create(schema, resolved, api.env);
  if (errors !== null) {
    if ('target' in errors) refuseTarget(kind, input);
    throw schemaViolation(errors);
  }
  await write(api, kind, entity, null, 'create');
  return present(api, kind, entity);
}

/**
 * `PUT`: all of it is as the body says, the rest goes back to defaults; the id stays.
 *
 * @throws {KongError}
 */
export async function replaceEntity(api: Api, kind: EntityKind, key: EntityKey, input: JsonObject): Promise<Entity> {
  const schema = SCHEMAS[kind];
  const resolved = await resolveReferences(api, schema, input);
  return retrying(async () => {
    const row = await findEntity(api, kind, key);
    const named = key.field === 'sni' ? resolved : { ...resolved, [key.field]: key.value };
    const { entity, errors } = create(schema, row === null ? named : { ...named, id: row.entity.id }, api.env);
    if (errors !== null) throw schemaViolation(errors);
    await write(api, kind, entity, row?.revision ?? null, 'create or update');
    return present(api, kind, entity);
  });
}

/**
 * `PATCH`
 *
 * @throws {KongError}
 */
export async function updateEntity(api: Api, kind: EntityKind, key: EntityKey, input: JsonObject): Promise<Entity> {
  const schema = SCHEMAS[kind];
  const resolved = await resolveReferences(api, schema, input);
  return retrying(async () => {
    const row = await findEntity(api, kind, key);
    if (row === null) throw key.field === 'id' ? notFoundById(key.value) : notFoundBy(key.field, key.value);
    const { entity, errors } = update(schema, row.entity, { ...resolved, id: row.entity.id }, api.env);
    if (errors !== null) throw schemaViolation(errors);
    await write(api, kind, entity, row.revision, 'update');
    return present(api, kind, entity);
  });
}

/** `DELETE`; what is not there is gone already. @throws {KongError} others refer to it */
export async function deleteEntity(api: Api, kind: EntityKind, key: EntityKey): Promise<void> {
  refuseWrite(api, kind, 'remove');
  const id = key.field === 'id' ? key.value : (await findEntity(api, kind, key))?.entity.id;
  if (id !== undefined) await api.store.write([{ op: 'delete', kind, id }]);
}

async function write(api: Api, kind: EntityKind, entity: Entity, expect: number | null, verb: Verb): Promise<void> {
  refuseWrite(api, kind, verb);
  const put: Write = { op: 'put', kind, entity, expect };
  const more = kind === 'certificates' ? await certificateWrites(api, entity) : [];
  await api.store.write([put, ...more]);
}
