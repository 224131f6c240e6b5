/**
 * How an entity of Kong's is described: fields with types, limits and defaults, checks over several fields, what is
 * unique, and what refers to what. The descriptions themselves are in `entities/`; `validate.ts` applies them,
 * `coerce.ts` reads forms by them, and the Admin API shows them (`/schemas`, OpenAPI).
 */

export type Json = null | boolean | number | string | Json[] | JsonObject;
export interface JsonObject {
  [key: string]: Json;
}

/** An entity as it is stored and answered: all fields there, in the order of its schema. */
export type Entity = JsonObject & { id: string };

/** Judges a value of the right type; a returned text is the error. */
export type Check<V> = (value: V) => string | null;

interface FieldBase {
  description?: string;
  /** Neither null nor absent. */
  required?: true;
  default?: Json;
  /** Filled in by the server when it is absent. */
  auto?: 'uuid' | 'created' | 'updated';
  /** Must be null; the text is the error. */
  nothing?: string;
}

export interface StringField extends FieldBase {
  type: 'string';
  /** Default 1. */
  minLength?: number;
  oneOf?: readonly string[];
  uuid?: true;
  unique?: true;
  check?: Check<string>;
  /** What an answer for OpenAPI says of the form. */
  format?: string;
}

export interface NumberField extends FieldBase {
  type: 'number' | 'integer';
  oneOf?: readonly number[];
  between?: readonly [number, number];
  /** Time: above zero. */
  timestamp?: true;
}

export interface BooleanField extends FieldBase {
  type: 'boolean';
  /** A value that it must not have, and the error. */
  not?: { value: boolean; error: string };
}

/** `set`: values that are there already are dropped. */
export interface ListField extends FieldBase {
  type: 'array' | 'set';
  elements: Field;
  minLength?: number;
  check?: Check<Json[]>;
}

export interface MapField extends FieldBase {
  type: 'map';
  keys: StringField;
  values: Field;
}

export interface RecordField extends FieldBase {
  type: 'record';
  fields: Fields;
  checks?: readonly EntityCheck[];
}

/** `{"id": …}` of another entity. */
export interface ForeignField extends FieldBase {
  type: 'foreign';
  to: EntityKind;
  /** What becomes of this entity when the other one is deleted; `restrict`: that is refused. */
  onDelete: 'restrict' | 'cascade';
}

export type Field = StringField | NumberField | BooleanField | ListField | MapField | RecordField | ForeignField;
export type Fields = Readonly<Record<string, Field>>;

/** A rule over several fields. Errors go to `@entity`, and with `conditional` to the field too. */
export type EntityCheck =
  | {
      kind: 'conditional';
      /** When this field's value matches, */
      given: string;
      match: (value: Json) => boolean;
      field: string;
      /** this other one must be there, null, or one of these. */
      must: 'required' | 'null' | readonly string[];
    }
  | { kind: 'distinct'; fields: readonly string[] }
  | { kind: 'at_least_one_of'; fields: readonly string[] }
  | { kind: 'mutually_required'; fields: readonly string[] }
  /** Runs only when the fields that it is about are good. */
  | { kind: 'custom'; fields: readonly string[]; check: (entity: JsonObject) => string | null };

/** In an order in which what is referred to comes first. */
export const KINDS = [
  'certificates',
  'ca_certificates',
  'snis',
  'consumers',
  'services',
  'routes',
  'upstreams',
  'targets',
] as const;
export type EntityKind = (typeof KINDS)[number];

/** A field that may be given and is not stored: it stands for others. */
export interface Shorthand {
  field: Field;
  /** Changes the input, which is a copy; the shorthand's own field is gone from it. */
  apply: (input: JsonObject, value: Json) => void;
}

export interface Schema {
  kind: EntityKind;
  /** The field that a path may name it by instead of its id; always unique. */
  key: string | null;
  fields: Fields;
  checks: readonly EntityCheck[];
  /** Applied in order, before anything is judged. */
  shorthands?: Readonly<Record<string, Shorthand>>;
  /** Fields and checks that depend on the entity: routes of different protocols. */
  variant?: (entity: JsonObject) => { fields: Fields; checks: readonly EntityCheck[] } | null;
  /** Together unique, besides the single fields marked `unique`. */
  uniqueTogether?: readonly string[];
  /** Called with a complete, good entity: what is stored may differ from what was given. */
  normalize?: (entity: JsonObject) => void;
}

const foreign = new WeakMap<Schema, readonly [name: string, field: ForeignField][]>();

/** The fields that refer to others. */
export function foreignFields(schema: Schema): readonly [name: string, field: ForeignField][] {
  let found = foreign.get(schema);
  if (found === undefined) {
    const fields = Object.entries(schema.fields);
    found = fields.filter((entry): entry is [string, ForeignField] => entry[1].type === 'foreign');
    foreign.set(schema, found);
  }
  return found;
}

/** Sets a property that a client has named: `__proto__` is a name like any other. */
export function setOwn(object: object, key: string, value: unknown): void {
  Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
}

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export function isUuid(text: string): boolean {
  return UUID.test(text);
}
