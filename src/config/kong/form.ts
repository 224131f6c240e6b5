/**
 * Forms as entities: `healthchecks.active.http_path=/x`, `tags[]=a`, `tags[2]=b`, `headers[X-Foo]=1`. All values are texts;
 * the schema says what they stand for.
 */
import { setOwn } from './schema.ts';
import type { Field, Json, JsonObject, Schema } from './schema.ts';

/** A name and its value; parts of a multipart body may hold JSON. */
export type FormEntry = readonly [name: string, value: string | { json: Json }];

/** What was said under one name: values, and names below it. */
interface Node {
  values: (string | { json: Json })[];
  /** `name[]` and `name[3]`, by position. */
  items: Map<number, Node>;
  names: Map<string, Node>;
}

const newNode = (): Node => ({ values: [], items: new Map(), names: new Map() });

/** Deeper than any entity. */
const MAX_DEPTH = 16;

/** `a.b[1][c][]` is `a`, `b`, `[1]`, `c`, `[]`: numbers and nothing in brackets are positions, all else are names. */
function split(name: string): (string | number | null)[] | null {
  const first = name.slice(1).search(/[.[]/);
  if (first < 0) return [name];
  const path: (string | number | null)[] = [name.slice(0, first + 1)];
  let rest = name.slice(first + 1);
  while (rest !== '') {
    const match = /^\.([^.[]+)|^\[([^\]]*)\]/.exec(rest);
    if (match === null || path.length === MAX_DEPTH) return null;
    const [all, dotted, bracketed = ''] = match;
    if (dotted !== undefined) path.push(dotted);
    else if (bracketed === '') path.push(null);
    else path.push(/^\d{1,6}$/.test(bracketed) ? Number(bracketed) : bracketed);
    rest = rest.slice(all.length);
  }
  return path;
}

/** An entity's input, of a form. */
export function readForm(schema: Schema, entries: Iterable<FormEntry>): JsonObject {
  const root = newNode();
  for (const [name, value] of entries) {
    let node = root;
    // A name that cannot be taken apart is a field that nobody knows.
    for (const part of split(name) ?? [name]) {
      const below = part === null || typeof part === 'number' ? node.items : node.names;
      const key = part ?? nextPosition(node.items);
      let inner = (below as Map<string | number, Node>).get(key);
      if (inner === undefined) {
        inner = newNode();
        (below as Map<string | number, Node>).set(key, inner);
      }
      node = inner;
    }
    node.values.push(value);
  }
  const input: JsonObject = {};
  for (const [name, node] of root.names) {
    const shorthand = schema.shorthands?.[name]?.field;
    const field = Object.hasOwn(schema.fields, name) ? schema.fields[name] : shorthand;
    setOwn(input, name, read(node, field));
  }
  return input;
}

function nextPosition(items: Map<number, Node>): number {
  return items.size === 0 ? 1 : Math.max(...items.keys()) + 1;
}

function read(node: Node, field: Field | undefined): Json {
  const list = field?.type === 'array' || field?.type === 'set';
  const element = list ? field.elements : undefined;
  if (node.items.size > 0) {
    const items = [...node.items].sort(([a], [b]) => a - b).map(([, item]) => read(item, element));
    return [...node.values.map((value) => readValue(value, element)), ...items];
  }
  if (node.names.size > 0) return readNames(node, field);
  const [first = '', ...more] = node.values;
  if (list) {
    if (more.length === 0 && typeof first === 'object' && Array.isArray(first.json)) return first.json;
    return more.length === 0 && first === '' ? null : node.values.map((value) => readValue(value, element));
  }
  return more.length === 0 ? readValue(first, field) : node.values.map((value) => readValue(value, field));
}

function readNames(node: Node, field: Field | undefined): Json {
  const object: JsonObject = {};
  for (const [name, inner] of node.names) {
    const known = field?.type === 'record' && Object.hasOwn(field.fields, name) ? field.fields[name] : undefined;
    setOwn(object, name, read(inner, field?.type === 'map' ? field.values : known));
  }
  return object;
}

const NUMBER = /^\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?\s*$/i;

function readValue(value: string | { json: Json }, field: Field | undefined): Json {
  if (typeof value !== 'string') return value.json;
  if (value === '') return null;
  if (field?.type === 'integer' || field?.type === 'number') return NUMBER.test(value) ? Number(value) : value;
  if (field?.type === 'boolean' && (value === 'true' || value === 'false')) return value === 'true';
  return value;
}
