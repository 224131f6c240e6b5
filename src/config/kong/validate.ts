/**
 * Input and schema together: what is absent is filled in, what is wrong is named in Kong's words.
 *
 * Pure: clock and ids are given. Kong leaves a null that a client sends for a field with a default; here it means the
 * default, so that nothing that runs has to expect it.
 */
import { addEntityError } from './errors.ts';
import type { EntityErrors, FieldError } from './errors.ts';
import { foreignFields, isObject, isUuid, setOwn } from './schema.ts';
import type { Entity, EntityCheck, Field, Fields, Json, JsonObject, Schema } from './schema.ts';

export interface Environment {
  /** Unix time in seconds, with fractions. */
  now: () => number;
  uuid: () => string;
}

export const REQUIRED = 'required field missing';

/** An entity, or what is wrong with it. */
export type Judged = { entity: Entity; errors: null } | { entity: null; errors: EntityErrors };

/**
 * A new entity, or one that replaces another (`PUT`).
 *
 * @param input is not changed
 */
export function create(schema: Schema, input: JsonObject, env: Environment): Judged {
  const given = withoutShorthands(schema, input);
  if (!('given' in given)) return { entity: null, errors: given.errors };
  return finish(schema, completeEntity(schema, given.given, env, null));
}

/**
 * An entity with changes (`PATCH`): records are merged deeply, all else is replaced, null clears.
 *
 * @param stored complete
 */
export function update(schema: Schema, stored: JsonObject, input: JsonObject, env: Environment): Judged {
  const given = withoutShorthands(schema, input);
  if (!('given' in given)) return { entity: null, errors: given.errors };
  return finish(schema, completeEntity(schema, merge(schema.fields, stored, given.given), env, stored));
}

function finish(schema: Schema, entity: JsonObject): Judged {
  const errors = judge(schema, entity);
  if (errors !== null) return { entity: null, errors };
  for (const [name] of foreignFields(schema)) {
    const value = entity[name];
    if (isObject(value)) entity[name] = { id: (value.id as string).toLowerCase() };
  }
  entity.id = (entity.id as string).toLowerCase();
  schema.normalize?.(entity);
  return { entity: entity as Entity, errors: null };
}

/** Kong judges shorthands first, and nothing else when one of them is wrong. */
function withoutShorthands(schema: Schema, input: JsonObject): { given: JsonObject } | { errors: EntityErrors } {
  // What is below is never changed, only taken over.
  const given: JsonObject = { ...input };
  const errors: EntityErrors = {};
  for (const [name, { field, apply }] of Object.entries(schema.shorthands ?? {})) {
    const value = given[name];
    if (value === undefined || !Object.hasOwn(given, name)) continue;
    const error = value === null ? null : judgeValue(field, value);
    if (error !== null) {
      errors[name] = error;
      continue;
    }
    delete given[name];
    apply(given, value);
  }
  return Object.keys(errors).length > 0 ? { errors } : { given };
}

function merge(fields: Fields, stored: JsonObject, given: JsonObject): JsonObject {
  const merged: JsonObject = { ...stored };
  for (const [name, value] of Object.entries(given)) {
    const field = Object.hasOwn(fields, name) ? fields[name] : undefined;
    const before = Object.hasOwn(stored, name) ? stored[name] : undefined;
    const deep = field?.type === 'record' && isObject(value) && isObject(before);
    setOwn(merged, name, deep ? merge(field.fields, before, value) : value);
  }
  return merged;
}

/** @param stored what is updated; null: it is new */
function completeEntity(schema: Schema, given: JsonObject, env: Environment, stored: JsonObject | null): JsonObject {
  const fields = fieldsOf(schema, given);
  let time: number | null = null;
  const auto = (name: string, field: Field): Json | undefined => {
    if (field.auto === 'uuid') return stored === null && given[name] === undefined ? env.uuid() : undefined;
    if (field.auto === 'created' && (given[name] ?? null) !== null) return undefined;
    if (field.auto === 'created' && stored !== null) return stored[name];
    time ??= env.now();
    return field.type === 'integer' ? Math.floor(time) : Math.round(time * 1000) / 1000;
  };
  return complete(fields, given, auto);
}

/** Fields of the schema, as the entity's variant has them. */
function fieldsOf(schema: Schema, entity: JsonObject): Fields {
  const variant = schema.variant?.(entity);
  return variant == null ? schema.fields : { ...schema.fields, ...variant.fields };
}

function complete(
  fields: Fields,
  given: JsonObject,
  auto: (name: string, field: Field) => Json | undefined,
): JsonObject {
  const out: JsonObject = {};
  for (const name in fields) {
    const field = fields[name] as Field;
    const filled = field.auto === undefined ? undefined : auto(name, field);
    out[name] = filled ?? completeValue(field, Object.hasOwn(given, name) ? given[name] : undefined);
  }
  // What nobody knows is kept, to be named as an error.
  for (const name of Object.keys(given)) if (!Object.hasOwn(fields, name)) setOwn(out, name, given[name]);
  return out;
}

function completeValue(field: Field, value: Json | undefined): Json {
  if (value === undefined || value === null) {
    if (field.default !== undefined) return completeValue(field, field.default);
    return field.type === 'record' && field.required === true ? completeValue(field, {}) : null;
  }
  switch (field.type) {
    case 'record':
      return isObject(value) ? complete(field.fields, value, () => undefined) : value;
    case 'array':
      return Array.isArray(value) ? value.map((item) => completeElement(field.elements, item)) : value;
    case 'set':
      return Array.isArray(value) ? unique(value.map((item) => completeElement(field.elements, item))) : value;
    case 'string':
    case 'number':
    case 'integer':
    case 'boolean':
    case 'map':
    case 'foreign':
      return value;
  }
}

/** Elements have no defaults of their own, but records in lists have. */
function completeElement(field: Field, value: Json): Json {
  return value === null ? null : completeValue(field, value);
}

function unique(list: Json[]): Json[] {
  const seen = new Set<unknown>();
  return list.filter((value) => {
    const key = typeof value === 'object' ? JSON.stringify(value) : value;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

// ---------------------------------------------------------------------------------------------- judging

/** @param entity complete; null: it is good */
export function judge(schema: Schema, entity: JsonObject): EntityErrors | null {
  const variant = schema.variant?.(entity) ?? null;
  const errors = judgeFields(variant === null ? schema.fields : { ...schema.fields, ...variant.fields }, entity);
  runChecks([...schema.checks, ...(variant?.checks ?? [])], entity, errors);
  return Object.keys(errors).length === 0 ? null : errors;
}

function judgeFields(fields: Fields, value: JsonObject): EntityErrors {
  const errors: EntityErrors = {};
  for (const name in fields) {
    const error = judgeValue(fields[name] as Field, value[name] ?? null);
    if (error !== null) errors[name] = error;
  }
  for (const name of Object.keys(value)) if (!Object.hasOwn(fields, name)) setOwn(errors, name, 'unknown field');
  return errors;
}

/** The error of one value, or null. */
export function judgeValue(field: Field, value: Json): FieldError | null {
  if (value === null) return field.required === true ? REQUIRED : null;
  if (field.nothing !== undefined) return field.nothing;
  switch (field.type) {
    case 'string':
      if (typeof value !== 'string') return 'expected a string';
      if (field.oneOf?.includes(value) === false) return `expected one of: ${field.oneOf.join(', ')}`;
      if (field.uuid === true && !isUuid(value)) return 'expected a valid UUID';
      if (value.length < (field.minLength ?? 1)) return `length must be at least ${field.minLength ?? 1}`;
      return field.check?.(value) ?? null;
    case 'integer':
    case 'number':
      if (typeof value !== 'number') return field.type === 'integer' ? 'expected an integer' : 'expected a number';
      if (field.type === 'integer' && !Number.isInteger(value)) return 'expected an integer';
      if (field.oneOf?.includes(value) === false) return `expected one of: ${field.oneOf.join(', ')}`;
      if (field.timestamp === true && value <= 0) return 'expected a valid timestamp';
      if (field.between !== undefined && !(value >= field.between[0] && value <= field.between[1])) {
        return `value should be between ${field.between[0]} and ${field.between[1]}`;
      }
      return null;
    case 'boolean':
      if (typeof value !== 'boolean') return 'expected a boolean';
      return field.not?.value === value ? field.not.error : null;
    case 'array':
    case 'set': {
      if (!Array.isArray(value)) return field.type === 'array' ? 'expected an array' : 'expected a set';
      const errors = judgeElements(field.elements, value);
      if (errors !== null) return errors;
      if (value.length < (field.minLength ?? 0)) return `length must be at least ${field.minLength}`;
      return field.check?.(value) ?? null;
    }
    case 'map':
      if (!isObject(value)) return 'expected a map';
      for (const [key, inner] of Object.entries(value)) {
        const error = judgeValue(field.keys, key) ?? (inner === null ? REQUIRED : judgeValue(field.values, inner));
        if (error !== null) return error;
      }
      return null;
    case 'record': {
      if (!isObject(value)) return 'expected a record';
      const errors = judgeFields(field.fields, value);
      runChecks(field.checks ?? [], value, errors);
      return Object.keys(errors).length === 0 ? null : errors;
    }
    case 'foreign':
      return judgeForeign(value);
  }
}

/** Null when all are good; else a list with an error, or null, for each up to the last bad one. */
function judgeElements(field: Field, list: Json[]): (FieldError | null)[] | null {
  const errors = list.map((value) => (value === null ? REQUIRED : judgeValue(field, value)));
  const last = errors.findLastIndex((error) => error !== null);
  return last < 0 ? null : errors.slice(0, last + 1);
}

function judgeForeign(value: Json): FieldError | null {
  if (!isObject(value)) return 'expected a record';
  const { id } = value;
  if (id === undefined) return { id: 'missing primary key' };
  if (id === null) return { id: REQUIRED };
  if (typeof id !== 'string') return { id: 'expected a string' };
  return isUuid(id) ? null : { id: 'expected a valid UUID' };
}

function isEmpty(value: Json | undefined): boolean {
  if (value === undefined || value === null || value === '') return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

const quoted = (fields: readonly string[]): string => fields.map((name) => `'${name}'`).join(', ');

function runChecks(checks: readonly EntityCheck[], entity: JsonObject, errors: EntityErrors): void {
  for (const check of checks) {
    const error = runCheck(check, entity, errors);
    if (error !== null) addEntityError(errors, error);
  }
}

function runCheck(check: EntityCheck, entity: JsonObject, errors: EntityErrors): string | null {
  switch (check.kind) {
    case 'conditional': {
      if (!check.match(entity[check.given] ?? null)) return null;
      const error = mustBe(check.must, entity[check.field] ?? null);
      if (error === null) return null;
      errors[check.field] = error;
      return `failed conditional validation given value of field '${check.given}'`;
    }
    case 'distinct': {
      const values = check.fields.map((name) => entity[name]).filter((value) => !isEmpty(value));
      if (new Set(values).size === values.length) return null;
      return `values of these fields must be distinct: ${quoted(check.fields)}`;
    }
    case 'at_least_one_of':
      if (check.fields.some((name) => !isEmpty(entity[name]))) return null;
      return `at least one of these fields must be non-empty: ${quoted(check.fields)}`;
    case 'mutually_required': {
      const there = check.fields.filter((name) => !isEmpty(entity[name])).length;
      if (there === 0 || there === check.fields.length) return null;
      return `all or none of these fields must be set: ${quoted(check.fields)}`;
    }
    case 'custom':
      return check.fields.some((name) => name in errors) ? null : check.check(entity);
  }
}

function mustBe(must: 'required' | 'null' | readonly string[], value: Json): string | null {
  if (must === 'required') return value === null ? REQUIRED : null;
  if (must === 'null') return value === null ? null : 'value must be null';
  return value === null || must.includes(value as string) ? null : `expected one of: ${must.join(', ')}`;
}
