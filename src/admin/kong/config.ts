/** `/config`: everything at once, in declarative mode only. */
import { createHash } from 'node:crypto';
import { type DocumentError, errorTree, readDeclarative } from '../../config/kong/declarative.ts';
import { KongError, errorLines, invalidDeclarative } from '../../config/kong/errors.ts';
import { KINDS, isObject } from '../../config/kong/schema.ts';
import type { Json, JsonObject } from '../../config/kong/schema.ts';
import type { Entities } from '../../store/store.ts';
import { contentKind, readEntries, readJson } from './body.ts';
import type { Routes } from './collections.ts';
import type { Call } from './context.ts';
import { type AdminAnswer, Halt, empty, errorAnswer, json, message } from './http.ts';

/** What Kong shows before anything was loaded. */
export const NOTHING_LOADED = '0'.repeat(32);

const WITH_DATABASE = message(400, 'this endpoint is only available when Kong is configured to not use a database');

export function configHash(document: Json): string {
  return createHash('md5').update(JSON.stringify(document)).digest('hex');
}

async function show({ api }: Call): Promise<AdminAnswer> {
  if (api.declarative === null) return WITH_DATABASE;
  const { writeKongYaml } = await import('../../config/kong/yaml.ts');
  return json(200, { config: writeKongYaml((await api.store.snapshot()).entities) });
}

/** A body that is a document, or has one as its text `config`. */
async function readDocument(call: Call): Promise<JsonObject> {
  const { request } = call;
  const kind = contentKind(request, true);
  let text: string;
  if (kind === 'json') {
    const given = readJson(request.body);
    if (given._format_version !== undefined || typeof given.config !== 'string') {
      return isObject(given.config) ? given.config : given;
    }
    text = given.config;
  } else if (kind === 'form' || kind === 'multipart') {
    const value = readEntries(request, kind).find(([name]) => name === 'config')?.[1] ?? '';
    if (typeof value !== 'string') return isObject(value.json) ? value.json : {};
    text = value;
  } else {
    text = request.body.toString('utf8');
  }
  if (text.trim() === '') throw new Halt(message(400, 'expected a declarative configuration'));
  const { parseYaml, YamlError } = await import('../../config/kong/yaml.ts');
  try {
    return parseYaml(text).document;
  } catch (error) {
    if (!(error instanceof YamlError)) throw error;
    throw new KongError(
      'invalid declarative configuration',
      `declarative config is invalid: {error="${error.message}"}`,
      { error: error.message },
    );
  }
}

const isTruthy = (text: string | undefined): boolean => ['true', '1', 'on', 'yes'].includes((text ?? '').toLowerCase());

/** Errors one by one, each beside its entity, as `flatten_errors` wants them. */
function flattened(document: JsonObject, errors: readonly DocumentError[]): JsonObject {
  const at = (path: readonly (string | number)[]): Json => {
    let value: Json = document;
    for (const part of path) value = (value as Record<string | number, Json> | null)?.[part] ?? null;
    return value;
  };
  const left: DocumentError[] = [];
  const list: Json[] = [];
  for (const found of errors) {
    const depth = found.path.findLastIndex((part) => typeof part === 'number') + 1;
    const entity = depth === 0 ? null : at(found.path.slice(0, depth));
    if (!isObject(entity)) {
      left.push(found);
      continue;
    }
    const kind = String(found.path[depth - 2]);
    const lines = errorLines(errorTree([{ path: ['', ...found.path.slice(depth)], error: found.error }]));
    list.push({
      entity_type: kind.replace(/s$/, ''),
      ...(typeof entity.id === 'string' ? { entity_id: entity.id } : {}),
      ...(typeof entity.name === 'string' ? { entity_name: entity.name } : {}),
      entity,
      errors: lines.map((line): JsonObject => {
        const [, field, text = line] = /^(?:\.([^:]+))?: (.*)$/s.exec(line) ?? [];
        return field === undefined ? { type: 'entity', message: text } : { type: 'field', field, message: text };
      }),
    });
  }
  const error = invalidDeclarative(errorTree(left)).toJSON();
  return { ...error, message: 'declarative config is invalid', flattened_errors: list };
}

function byId(entities: Entities): JsonObject {
  return Object.fromEntries(
    KINDS.filter((kind) => entities[kind].length > 0).map((kind) => [
      kind,
      Object.fromEntries(entities[kind].map((entity) => [entity.id, entity])),
    ]),
  );
}

async function load(call: Call): Promise<AdminAnswer> {
  const { api, query } = call;
  if (api.declarative === null) return WITH_DATABASE;
  const document = await readDocument(call);
  const hash = configHash(document);
  if (query.get('check_hash') === '1' && hash === api.declarative.hash) return empty(304);
  const { entities, errors } = readDeclarative(document, api.env);
  if (errors !== null) {
    if (isTruthy(query.get('flatten_errors'))) return json(400, flattened(document, errors));
    return errorAnswer(invalidDeclarative(errorTree(errors)));
  }
  await api.store.replace(entities);
  api.declarative.hash = hash;
  return json(201, byId(entities));
}

export const configRoutes: Routes = [['/config', { GET: show, POST: load }]];
