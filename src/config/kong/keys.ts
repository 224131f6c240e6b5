/** What an entity can be found by, what it refers to, and its tags: by the schemas. */
import { foreignFields, isObject } from './schema.ts';
import type { Entity, EntityKind, Json, JsonObject } from './schema.ts';
import { SCHEMAS } from './schemas.ts';

export interface Key {
  /** Field, or fields joined by `+`. */
  name: string;
  value: string;
  /** As an error shows it. */
  fields: JsonObject;
}

export interface Reference {
  field: string;
  to: EntityKind;
  id: string;
  cascade: boolean;
}

/** The value of a key over several fields. */
export function togetherValue(parts: readonly string[]): string {
  return parts.join('\n');
}

/** A text, or the id of a reference. */
function partOf(value: Json | undefined): string {
  const part = isObject(value) ? value.id : value;
  return typeof part === 'string' ? part : '';
}

const unique = new Map<EntityKind, readonly string[]>();

function uniqueFields(kind: EntityKind): readonly string[] {
  let names = unique.get(kind);
  if (names === undefined) {
    const fields = Object.entries(SCHEMAS[kind].fields);
    names = fields.filter(([, field]) => field.type === 'string' && field.unique === true).map(([name]) => name);
    unique.set(kind, names);
  }
  return names;
}

export function keysOf(kind: EntityKind, entity: Entity): Key[] {
  const { uniqueTogether } = SCHEMAS[kind];
  const keys: Key[] = [];
  for (const name of uniqueFields(kind)) {
    const value = entity[name];
    if (typeof value === 'string') keys.push({ name, value, fields: { [name]: value } });
  }
  if (uniqueTogether !== undefined) {
    keys.push({
      name: uniqueTogether.join('+'),
      value: togetherValue(uniqueTogether.map((name) => partOf(entity[name]))),
      fields: Object.fromEntries(uniqueTogether.map((name) => [name, entity[name] ?? null])),
    });
  }
  return keys;
}

export function referencesOf(kind: EntityKind, entity: Entity): Reference[] {
  return foreignFields(SCHEMAS[kind]).flatMap(([field, { to, onDelete }]) => {
    const value = entity[field];
    if (!isObject(value) || typeof value.id !== 'string') return [];
    return [{ field, to, id: value.id, cascade: onDelete === 'cascade' }];
  });
}

export function tagsOf(entity: Entity): string[] {
  return Array.isArray(entity.tags) ? entity.tags.filter((tag) => typeof tag === 'string') : [];
}
