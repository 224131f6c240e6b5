/**
 * Kong's errors: codes, names and texts as its Admin API answers them.
 */
import type { EntityKind, Json, JsonObject } from './schema.ts';
import { setOwn } from './schema.ts';

/** Errors of a field: a text, those of its parts by name, or those of its elements, null where they are good. */
export type FieldError = string | ErrorTree | (FieldError | null)[];
export interface ErrorTree {
  [field: string]: FieldError;
}

/** Errors of one entity. `@entity` holds those that belong to no single field. */
export type EntityErrors = ErrorTree;

const CODES = {
  'invalid primary key': { code: 1, status: 400 },
  'schema violation': { code: 2, status: 400 },
  'primary key violation': { code: 3, status: 400 },
  'foreign key violation': { code: 4, status: 400 },
  'unique constraint violation': { code: 5, status: 409 },
  'not found': { code: 6, status: 404 },
  'invalid offset': { code: 7, status: 400 },
  'database error': { code: 8, status: 500 },
  'invalid size': { code: 9, status: 400 },
  'invalid unique': { code: 10, status: 400 },
  'invalid options': { code: 11, status: 400 },
  'operation unsupported': { code: 12, status: 405 },
  'foreign keys unresolved': { code: 13, status: 400 },
  'invalid declarative configuration': { code: 14, status: 400 },
  'referenced by others': { code: 19, status: 400 },
} as const;
export type KongErrorName = keyof typeof CODES;

/** An error with its place in Kong's table. `details` become `fields` (`options` of code 11). */
export class KongError extends Error {
  override readonly name: string;
  readonly code: number;
  readonly status: number;
  readonly details: JsonObject | null;

  constructor(name: KongErrorName, message: string, details: object | null = null, suffix = '') {
    super(message);
    this.name = name + suffix;
    this.code = CODES[name].code;
    this.status = CODES[name].status;
    this.details = details as JsonObject | null;
  }

  /** As it is answered. */
  toJSON(): JsonObject {
    const json: JsonObject = { code: this.code, name: this.name, message: this.message };
    if (this.details !== null) json[this.code === 11 ? 'options' : 'fields'] = this.details;
    return json;
  }
}

/** `{id="…"}`: how messages show a key. Names are in alphabetical order. */
export function luaTable(key: JsonObject): string {
  const parts = Object.keys(key)
    .sort()
    .map((name) => `${/^[A-Za-z_]\w*$/.test(name) ? name : `["${name}"]`}=${luaValue(key[name] ?? null)}`);
  return `{${parts.join(',')}}`;
}

function luaValue(value: Json): string {
  if (value === null) return 'null';
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'object') return Array.isArray(value) ? `{${value.map(luaValue).join(',')}}` : luaTable(value);
  return String(value);
}

/** One line for each error: `name: text`, with dots down to where it is (`healthchecks.active.timeout: text`). */
export function errorLines(errors: EntityErrors): string[] {
  const entity = errors['@entity'];
  const lines = Array.isArray(entity) ? entity.filter((text): text is string => typeof text === 'string') : [];
  const walk = (path: string, error: FieldError): void => {
    if (typeof error === 'string') {
      lines.push(`${path}: ${error}`);
    } else if (Array.isArray(error)) {
      // Counted from one, as Kong does.
      for (const [i, inner] of error.entries()) if (inner !== null) walk(`${path}.${i + 1}`, inner);
    } else {
      const own = error['@entity'];
      if (Array.isArray(own)) for (const text of own) if (text !== null) walk(path, text);
      for (const name of Object.keys(error).sort()) if (name !== '@entity') walk(`${path}.${name}`, error[name] ?? '');
    }
  };
  for (const name of Object.keys(errors).sort()) if (name !== '@entity') walk(name, errors[name] ?? '');
  return lines;
}

export function schemaViolation(errors: EntityErrors): KongError {
  const lines = errorLines(errors);
  const start = lines.length === 1 ? 'schema violation' : `${lines.length} schema violations`;
  return new KongError('schema violation', `${start} (${lines.join('; ')})`, errors);
}

export function uniqueViolation(key: JsonObject): KongError {
  return new KongError('unique constraint violation', `UNIQUE violation detected on '${luaTable(key)}'`, key);
}

export function primaryKeyViolation(id: string): KongError {
  return new KongError('primary key violation', `primary key violation on key '${luaTable({ id })}'`, { id });
}

export function foreignKeyViolation(field: string, id: string, to: EntityKind): KongError {
  const text = `the foreign key '${luaTable({ id })}' does not reference an existing '${to}' entity.`;
  return new KongError('foreign key violation', text, { [field]: { id } });
}

/** An entity that others refer to cannot go. */
export function stillReferenced(parent: EntityKind, child: EntityKind): KongError {
  const text = `an existing '${child}' entity references this '${parent}' entity`;
  return new KongError('foreign key violation', text, { '@referenced_by': child });
}

/** A reference by another field than the id (`{"name": …}`) that leads nowhere. */
export function foreignKeyUnresolved(field: string, key: string, value: Json, to: EntityKind): KongError {
  const text = `the foreign key cannot be resolved with '${luaTable({ [key]: value })}' for an existing '${to}' entity`;
  return new KongError('foreign keys unresolved', `foreign key unresolved (${field}.${key}: ${text})`, {
    [field]: { [key]: text },
  });
}

export function notFoundById(id: string): KongError {
  return new KongError('not found', `could not find the entity with primary key '${luaTable({ id })}'`, { id });
}

export function notFoundBy(key: string, value: Json): KongError {
  const filter = { [key]: value };
  return new KongError('not found', `could not find the entity with '${luaTable(filter)}'`, filter);
}

/** A key in a path that could not be any entity's: `invalid unique name`. */
export function invalidUnique(key: string, text: string): KongError {
  return new KongError('invalid unique', text, null, ` ${key}`);
}

export function invalidOffset(offset: string, why = 'bad base64 encoding'): KongError {
  return new KongError('invalid offset', `'${offset}' is not a valid offset: ${why}`);
}

export function invalidSize(text: string): KongError {
  return new KongError('invalid size', text);
}

export function invalidOption(option: string, text: string): KongError {
  return new KongError('invalid options', `invalid option (${option}: ${text})`, { [option]: text });
}

export function unsupported(text: string): KongError {
  return new KongError('operation unsupported', text);
}

export function databaseError(text = 'database error'): KongError {
  return new KongError('database error', text);
}

export function invalidDeclarative(errors: EntityErrors | { error: string }): KongError {
  const lines = errorLines(errors);
  return new KongError(
    'invalid declarative configuration',
    `declarative config is invalid: ${lines.join('; ')}`,
    errors,
  );
}

/** Adds an error that belongs to no single field. */
export function addEntityError(errors: EntityErrors, text: string): void {
  const list = errors['@entity'];
  if (Array.isArray(list)) list.push(text);
  else setOwn(errors, '@entity', [text]);
}
