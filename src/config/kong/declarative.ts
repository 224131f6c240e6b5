/**
 * kong.yml (format 3.0): a document of entities, nested or flat, to entities that fit together; and back.
 *
 * What has no id gets one that its name decides, so that loading a file again changes nothing that is not changed in it.
 */
import { hash } from 'node:crypto';
import type { ErrorTree, FieldError } from './errors.ts';
import { keysOf } from './keys.ts';
import { KINDS, foreignFields, isObject, setOwn } from './schema.ts';
import type { Entity, EntityKind, Json, JsonObject } from './schema.ts';
import { SCHEMAS } from './schemas.ts';
import { normalTarget } from './entities/targets.ts';
import { create } from './validate.ts';
import type { Environment } from './validate.ts';

export type EntityLists = Record<EntityKind, Entity[]>;

/** Where in the document, from its top: names and positions. */
export type DocumentPath = readonly (string | number)[];

export interface DocumentError {
  path: DocumentPath;
  error: FieldError;
}

export type Declared = { entities: EntityLists; errors: null } | { entities: null; errors: DocumentError[] };

export const FORMAT_VERSION = '3.0';

/** Lists that may stand inside of others, and the field by which their entities refer to the one around them. */
const NESTED: Partial<Record<EntityKind, { kind: EntityKind; field: string }>> = {
  services: { kind: 'routes', field: 'service' },
  upstreams: { kind: 'targets', field: 'upstream' },
  certificates: { kind: 'snis', field: 'certificate' },
};

/** Keys that say something about the document, or nothing to us. */
const META = new Set(['_format_version', '_transform', '_comment', '_ignore', '_info', '_workspace']);

/** One entity as the document has it. */
interface Found {
  kind: EntityKind;
  input: JsonObject;
  path: DocumentPath;
}

/**
 * @param document as parsed
 * @param env its ids are not used
 */
export function readDeclarative(document: JsonObject, env: Environment): Declared {
  const errors: DocumentError[] = [];
  const version = document._format_version ?? null;
  if (version !== FORMAT_VERSION) {
    const error = version === null ? 'required field missing' : `expected one of: ${FORMAT_VERSION}`;
    errors.push({ path: ['_format_version'], error });
  }
  const found = collect(document, errors);
  const index = new Map<string, string>();
  // References may lead to what comes later in the document.
  for (const { kind, input } of found) {
    const key = keyText(kind, input);
    if (key !== null) index.set(`${kind} ${key}`, input.id as string);
    index.set(`${kind} ${input.id as string}`, input.id as string);
    flattenReferences(kind, input);
  }
  const entities = Object.fromEntries(KINDS.map((kind) => [kind, [] as Entity[]])) as EntityLists;
  const taken = new Map<string, string>();
  for (const { kind, input, path } of found) {
    const unresolved = foreignFields(SCHEMAS[kind]).filter(([name]) => typeof input[name] === 'string');
    for (const [name] of unresolved) resolveOne(kind, name, input, path, index, errors);
    const { entity, errors: wrong } = create(SCHEMAS[kind], input, env);
    if (wrong !== null) {
      errors.push({ path, error: wrong });
      continue;
    }
    const double = claim(kind, entity, taken);
    if (double === null) entities[kind].push(entity);
    else errors.push({ path, error: { [double.field]: double.text } });
  }
  return errors.length === 0 ? { entities, errors: null } : { entities: null, errors };
}

/** All entities of the document in order of kinds, with ids; those inside of others after them. */
function collect(document: JsonObject, errors: DocumentError[]): Found[] {
  const found: Found[] = [];
  const add = (kind: EntityKind, list: Json, path: DocumentPath, around: JsonObject): void => {
    if (!Array.isArray(list)) {
      if (list !== null) errors.push({ path, error: 'expected an array' });
      return;
    }
    for (const [i, item] of list.entries()) {
      const at = [...path, i];
      // SNIs may be names alone.
      const given = kind === 'snis' && typeof item === 'string' ? { name: item } : item;
      if (!isObject(given)) {
        errors.push({ path: at, error: 'expected a record' });
        continue;
      }
      const { _comment, _ignore, ...rest } = given;
      const input: JsonObject = { ...rest, ...around };
      input.id ??= idOf(kind, input);
      const inner = NESTED[kind];
      found.push({ kind, input, path: at });
      if (inner !== undefined && input[inner.kind] !== undefined) {
        const children = input[inner.kind] as Json;
        delete input[inner.kind];
        add(inner.kind, children, [...at, inner.kind], { [inner.field]: { id: input.id } });
      }
    }
  };
  for (const [name, list] of Object.entries(document)) {
    if (META.has(name)) continue;
    if ((KINDS as readonly string[]).includes(name)) add(name as EntityKind, list, [name], {});
    else errors.push({ path: [name], error: 'unknown field' });
  }
  const rank = (kind: EntityKind): number => KINDS.indexOf(kind);
  return found.sort((a, b) => rank(a.kind) - rank(b.kind));
}

/** The text that a reference may use instead of the id. */
function keyText(kind: EntityKind, input: JsonObject): string | null {
  const { key } = SCHEMAS[kind];
  const value = key === null ? null : input[key];
  return typeof value === 'string' ? value : null;
}

/** An id that is the same whenever the same thing is loaded (a UUID of version 5, RFC 9562 section 5.5). */
function idOf(kind: EntityKind, input: JsonObject): string {
  let name = keyText(kind, input);
  if (kind === 'targets' && name !== null) name = `${JSON.stringify(input.upstream)} ${normalTarget(name)}`;
  const text = name ?? JSON.stringify(input);
  const bytes = hash('sha1', `headrace ${kind} ${text}`, 'buffer').subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x50;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** `service: name` and `service: {name: …}`: both become the text, to be looked up when all is known. */
function flattenReferences(kind: EntityKind, input: JsonObject): void {
  for (const [name, { to }] of foreignFields(SCHEMAS[kind])) {
    const value = input[name];
    const { key } = SCHEMAS[to];
    if (!isObject(value)) continue;
    const by = value.id ?? (key === null ? undefined : value[key]);
    if (typeof by === 'string') input[name] = by;
  }
}

function resolveOne(
  kind: EntityKind,
  name: string,
  input: JsonObject,
  path: DocumentPath,
  index: ReadonlyMap<string, string>,
  errors: DocumentError[],
): void {
  const field = SCHEMAS[kind].fields[name];
  const value = input[name] as string;
  if (field?.type !== 'foreign') return;
  const id = index.get(`${field.to} ${value}`);
  if (id === undefined) {
    const error = `invalid reference '${name}: ${value}' (no such entry in '${field.to}')`;
    errors.push({ path: [...path, name], error });
    // Its other mistakes are told too.
    input[name] = field.required === true ? { id: '00000000-0000-0000-0000-000000000000' } : null;
  } else {
    input[name] = { id };
  }
}

/** Null: all of its keys were free. */
function claim(kind: EntityKind, entity: Entity, taken: Map<string, string>): { field: string; text: string } | null {
  const keys = [{ name: 'id', value: entity.id, fields: { id: entity.id } }, ...keysOf(kind, entity)];
  for (const { name, value, fields } of keys) {
    const key = `${kind} ${name} ${value}`;
    if (taken.has(key)) {
      const field = Object.keys(fields).at(-1) ?? name;
      const shown = typeof fields[field] === 'string' ? fields[field] : value;
      return { field, text: `uniqueness violation: '${kind}' entity with ${field} set to '${shown}' already declared` };
    }
    taken.set(key, entity.id);
  }
  return null;
}

/** Errors as one tree, in the document's shape. */
export function errorTree(errors: readonly DocumentError[]): ErrorTree {
  const root: ErrorTree = {};
  for (const { path, error } of errors) {
    let node: ErrorTree | (FieldError | null)[] = root;
    for (const [i, part] of path.entries()) {
      const last = i === path.length - 1;
      const there: FieldError | null = (node as Record<string | number, FieldError | null>)[part] ?? null;
      if (last) {
        put(node, part, isTree(there) && isTree(error) ? { ...there, ...error } : error);
      } else if (typeof there === 'object' && there !== null) {
        node = there;
      } else {
        const next: ErrorTree | (FieldError | null)[] = typeof path[i + 1] === 'number' ? [] : {};
        put(node, part, next);
        node = next;
      }
    }
  }
  return root;
}

const isTree = (error: FieldError | null): error is ErrorTree =>
  typeof error === 'object' && error !== null && !Array.isArray(error);

function put(node: ErrorTree | (FieldError | null)[], part: string | number, error: FieldError): void {
  if (Array.isArray(node)) {
    while (node.length < Number(part)) node.push(null);
    node[Number(part)] = error;
  } else {
    setOwn(node, String(part), error);
  }
}

/** What `kong.yml` would say: flat lists, references by id, without what is null. */
export function writeDeclarative(entities: EntityLists): JsonObject {
  const document: JsonObject = { _format_version: FORMAT_VERSION, _transform: false };
  for (const kind of KINDS) {
    const list = entities[kind];
    if (list.length > 0) document[kind] = list.map((entity) => exported(kind, entity));
  }
  return document;
}

function exported(kind: EntityKind, entity: Entity): JsonObject {
  const foreign = new Set(foreignFields(SCHEMAS[kind]).map(([name]) => name));
  const out: JsonObject = {};
  for (const [name, value] of Object.entries(entity)) {
    if (value === null) continue;
    out[name] = foreign.has(name) && isObject(value) ? (value.id ?? null) : withoutNulls(value);
  }
  return out;
}

function withoutNulls(value: Json): Json {
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, inner]) => inner !== null)
      .map(([name, inner]) => [name, withoutNulls(inner)]),
  );
}
