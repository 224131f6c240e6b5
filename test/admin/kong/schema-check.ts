/** Enough of JSON Schema to hold the Admin API's answers against its own OpenAPI document. */
import { isObject } from '../../../src/config/kong/schema.ts';
import type { Json, JsonObject } from '../../../src/config/kong/schema.ts';

const KNOWN = new Set(
  'type properties required additionalProperties items uniqueItems enum minimum maximum minLength format description default $ref'.split(
    ' ',
  ),
);

function typeOf(value: Json): string[] {
  if (value === null) return ['null'];
  if (Array.isArray(value)) return ['array'];
  if (typeof value === 'number') return Number.isInteger(value) ? ['integer', 'number'] : ['number'];
  return [typeof value];
}

/** What of a value is not as the schema says: `path: why`. */
export function violations(document: JsonObject, schema: JsonObject, value: Json, at = ''): string[] {
  if (typeof schema.$ref === 'string') {
    const target = schema.$ref
      .slice(2)
      .split('/')
      .reduce<Json>((node, name) => (isObject(node) ? (node[name] ?? null) : null), document);
    return isObject(target) ? violations(document, target, value, at) : [`${at}: ${schema.$ref} leads nowhere`];
  }
  const unknown = Object.keys(schema).filter((name) => !KNOWN.has(name));
  const out = unknown.map((name) => `${at}: the check does not know ${name}`);
  const types = [schema.type ?? []].flat() as string[];
  if (types.length > 0 && !typeOf(value).some((type) => types.includes(type))) {
    return [...out, `${at}: ${JSON.stringify(value)} is none of ${types.join(', ')}`];
  }
  if (Array.isArray(schema.enum) && !schema.enum.includes(value))
    out.push(`${at}: ${JSON.stringify(value)} is not listed`);
  if (typeof value === 'number') {
    if (typeof schema.minimum === 'number' && value < schema.minimum) out.push(`${at}: too small`);
    if (typeof schema.maximum === 'number' && value > schema.maximum) out.push(`${at}: too large`);
  }
  if (typeof value === 'string' && value.length < Number(schema.minLength ?? 0)) out.push(`${at}: too short`);
  if (Array.isArray(value) && isObject(schema.items)) {
    const { items } = schema;
    out.push(...value.flatMap((item, i) => violations(document, items, item, `${at}[${i}]`)));
  }
  if (isObject(value)) out.push(...objectViolations(document, schema, value, at));
  return out;
}

function objectViolations(document: JsonObject, schema: JsonObject, value: JsonObject, at: string): string[] {
  const properties = isObject(schema.properties) ? schema.properties : {};
  const required = (schema.required ?? []) as string[];
  const out = required.filter((name) => !(name in value)).map((name) => `${at}.${name}: is not there`);
  for (const [name, inner] of Object.entries(value)) {
    const known = properties[name] ?? schema.additionalProperties ?? true;
    if (isObject(known)) out.push(...violations(document, known, inner, `${at}.${name}`));
    else if (known === false) out.push(`${at}.${name}: is not described`);
  }
  return out;
}

/** The schema of an answer; null: none is described (there is no body). @throws when the document does not know it */
export function answerSchema(document: JsonObject, method: string, path: string, status: number): JsonObject | null {
  const segments = path
    .replace(/[?].*$/, '')
    .replace(/\/+$/, '')
    .split('/');
  const paths = document.paths as JsonObject;
  const fits = Object.keys(paths)
    .filter((pattern) => {
      const parts = pattern.replace(/\/+$/, '').split('/');
      return parts.length === segments.length && parts.every((part, i) => part.startsWith('{') || part === segments[i]);
    })
    .sort((a, b) => a.split('{').length - b.split('{').length);
  const operation = (paths[fits[0] ?? ''] as JsonObject | undefined)?.[method.toLowerCase()] as JsonObject | undefined;
  const responses = operation?.responses as JsonObject | undefined;
  const response = (responses?.[status] ?? responses?.[`${Math.floor(status / 100)}XX`]) as JsonObject | undefined;
  if (response === undefined) throw new Error(`the OpenAPI document has no ${method} ${path} → ${status}`);
  const content = response.content as { 'application/json': { schema: JsonObject } } | undefined;
  return content?.['application/json'].schema ?? null;
}
