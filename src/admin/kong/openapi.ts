/** The API as an OpenAPI 3.1 document, made of the same tables that answer. */
import type { Field, Fields, Json, JsonObject } from '../../config/kong/schema.ts';
import { KINDS } from '../../config/kong/schema.ts';
import type { EntityKind } from '../../config/kong/schema.ts';
import { SCHEMAS } from '../../config/kong/schemas.ts';
import { VERSION } from '../../version.ts';

const SINGULAR: Record<EntityKind, string> = {
  certificates: 'Certificate',
  ca_certificates: 'CaCertificate',
  snis: 'Sni',
  consumers: 'Consumer',
  services: 'Service',
  routes: 'Route',
  upstreams: 'Upstream',
  targets: 'Target',
};

const ref = (name: string): JsonObject => ({ $ref: `#/components/schemas/${name}` });
const jsonBody = (schema: JsonObject): JsonObject => ({ 'application/json': { schema } });
const answer = (description: string, schema: JsonObject | null): JsonObject =>
  schema === null ? { description } : { description, content: jsonBody(schema) };

/** A value as it is answered: what is not required may be null. */
function valueSchema(field: Field): JsonObject {
  const schema = plainSchema(field);
  if (field.description !== undefined) schema.description = field.description;
  if (field.default !== undefined) schema.default = field.default;
  // What has a default or is filled in is never null in answers; a record's own default says {} and means its fields'.
  if (field.required === true || field.auto !== undefined || field.default !== undefined) {
    if (field.type === 'record') delete schema.default;
    return schema;
  }
  if (Array.isArray(schema.enum)) schema.enum = [...schema.enum, null];
  if (typeof schema.type === 'string') schema.type = [schema.type, 'null'];
  return schema;
}

function plainSchema(field: Field): JsonObject {
  switch (field.type) {
    case 'string': {
      const schema: JsonObject = { type: 'string', minLength: field.minLength ?? 1 };
      if (field.oneOf !== undefined) schema.enum = [...field.oneOf];
      if (field.format !== undefined) schema.format = field.format;
      return schema;
    }
    case 'integer':
    case 'number': {
      const schema: JsonObject = { type: field.type };
      if (field.oneOf !== undefined) schema.enum = [...field.oneOf];
      if (field.between !== undefined) [schema.minimum, schema.maximum] = field.between;
      return schema;
    }
    case 'boolean':
      return { type: 'boolean' };
    case 'array':
      return { type: 'array', items: elementSchema(field.elements) };
    case 'set':
      return { type: 'array', uniqueItems: true, items: elementSchema(field.elements) };
    case 'map':
      return { type: 'object', additionalProperties: elementSchema(field.values) };
    case 'record':
      return objectSchema(field.fields);
    case 'foreign':
      return {
        type: 'object',
        properties: { id: { type: 'string', format: 'uuid' } },
        required: ['id'],
        additionalProperties: false,
      };
  }
}

const elementSchema = (field: Field): JsonObject =>
  field.type === 'record' ? plainSchema(field) : plainSchema({ ...field, required: true });

function objectSchema(fields: Fields): JsonObject {
  return {
    type: 'object',
    properties: Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, valueSchema(field)])),
    required: Object.keys(fields),
    additionalProperties: false,
  };
}

/** What may be sent: all may be absent but for what is required and has no default. */
function inputSchema(kind: EntityKind): JsonObject {
  const { fields, shorthands } = SCHEMAS[kind];
  const shorter = Object.entries(shorthands ?? {}).filter(([name]) => !(name in fields));
  const properties = Object.fromEntries([
    ...Object.entries(fields).map(([name, field]) => [name, looseSchema(field)] as const),
    ...shorter.map(([name, { field }]) => [name, plainSchema(field)] as const),
  ]);
  return { type: 'object', properties, additionalProperties: false };
}

function looseSchema(field: Field): JsonObject {
  const schema: JsonObject =
    field.type === 'record'
      ? {
          type: 'object',
          properties: Object.fromEntries(
            Object.entries(field.fields).map(([name, inner]) => [name, looseSchema(inner)]),
          ),
          additionalProperties: false,
        }
      : plainSchema(field);
  if (field.type === 'foreign') delete schema.required;
  if (field.type === 'foreign') delete schema.additionalProperties;
  if (field.description !== undefined) schema.description = field.description;
  if (field.default !== undefined && field.type !== 'record') schema.default = field.default;
  if (Array.isArray(schema.enum)) schema.enum = [...schema.enum, null];
  if (typeof schema.type === 'string') schema.type = [schema.type, 'null'];
  return schema;
}

const pageSchema = (items: JsonObject): JsonObject => ({
  type: 'object',
  properties: {
    data: { type: 'array', items },
    offset: { type: 'string', description: 'Where the next page begins; absent on the last one.' },
    next: { type: ['string', 'null'], description: 'Path of the next page.' },
  },
  required: ['data', 'next'],
});

const COMMON: JsonObject = {
  Error: {
    type: 'object',
    properties: {
      code: { type: 'integer' },
      name: { type: 'string' },
      message: { type: 'string' },
      fields: { type: 'object' },
      options: { type: 'object' },
      flattened_errors: { type: 'array', items: { type: 'object' } },
    },
    required: ['message'],
    additionalProperties: false,
  },
  TagRow: {
    type: 'object',
    properties: {
      tag: { type: 'string' },
      entity_name: { type: 'string', enum: [...KINDS] },
      entity_id: { type: 'string', format: 'uuid' },
    },
    required: ['tag', 'entity_name', 'entity_id'],
    additionalProperties: false,
  },
};

/** What a path is about: the kind of the entities it answers, and whether it is a list. */
function subject(path: string): { kind: EntityKind; list: boolean } | null {
  const segments = path.split('/').slice(1);
  const last = segments.at(-1) ?? '';
  const kind = (name: string): EntityKind | null =>
    (KINDS as readonly string[]).includes(name) ? (name as EntityKind) : null;
  if (last.startsWith('{')) {
    const one = kind(last.slice(1, -1));
    return one !== null && kind(segments[0] ?? '') !== null ? { kind: one, list: false } : null;
  }
  if (last === 'all') return { kind: 'targets', list: true };
  const list = kind(last);
  if (list !== null) return { kind: list, list: true };
  const owner = kind(segments[0] ?? '');
  const field = owner === null || segments.length !== 3 ? undefined : SCHEMAS[owner].fields[last];
  return field?.type === 'foreign' ? { kind: field.to, list: false } : null;
}

const parameter = (name: string, where: string, schema: JsonObject, description: string): JsonObject => ({
  name,
  in: where,
  ...(where === 'path' ? { required: true } : {}),
  schema,
  description,
});

function operation(path: string, method: string): JsonObject {
  const about = subject(path);
  const statuses = goodAnswers(path, method, about);
  const errors = answer('What was wrong.', ref('Error'));
  const query: Json[] =
    method === 'GET' && about?.list === true
      ? [
          parameter('size', 'query', { type: 'integer', minimum: 1, maximum: 1000, default: 100 }, 'Rows of a page.'),
          parameter('offset', 'query', { type: 'string' }, 'Of the page before.'),
          ...(path.split('/').length === 2
            ? [parameter('tags', 'query', { type: 'string' }, '`a,b`: with all of them; `a/b`: with any.')]
            : []),
        ]
      : [];
  const variables = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) =>
    parameter(name, 'path', { type: 'string' }, 'Id or name.'),
  );
  return {
    operationId: `${method.toLowerCase()}${path.replace(/[/{}._-]+(\w?)/g, (_, letter: string) => letter.toUpperCase())}`,
    ...(variables.length + query.length > 0 ? { parameters: [...variables, ...query] } : {}),
    ...(about !== null && ['POST', 'PUT', 'PATCH'].includes(method) ? { requestBody: body(about.kind) } : {}),
    responses: { ...statuses, '4XX': errors, '5XX': errors },
  };
}

function body(kind: EntityKind): JsonObject {
  const schema = ref(`${SINGULAR[kind]}Input`);
  const types = ['application/json', 'application/x-www-form-urlencoded', 'multipart/form-data'];
  return { required: true, content: Object.fromEntries(types.map((type) => [type, { schema }])) };
}

function goodAnswers(path: string, method: string, about: ReturnType<typeof subject>): JsonObject {
  const none = { 204: answer('Done.', null) };
  if (method === 'DELETE' || /\/(?:un)?healthy$/.test(path)) return none;
  if (about !== null) {
    const one = ref(SINGULAR[about.kind]);
    if (method === 'POST') return { 201: answer('As it was made.', one) };
    return { 200: answer('As it is.', about.list ? pageSchema(one) : one) };
  }
  if (path === '/config' && method === 'POST') {
    return { 201: answer('All entities, by kind and id.', { type: 'object' }), 304: answer('Nothing is new.', null) };
  }
  if (path.startsWith('/tags')) return { 200: answer('Rows of tags.', pageSchema(ref('TagRow'))) };
  return { 200: answer('As it is.', { type: 'object' }) };
}

/** @param paths of all routes, with their methods */
export function openApiDocument(paths: readonly [path: string, methods: string[]][]): JsonObject {
  const schemas: JsonObject = { ...COMMON };
  for (const kind of KINDS) {
    schemas[SINGULAR[kind]] = objectSchema(SCHEMAS[kind].fields);
    schemas[`${SINGULAR[kind]}Input`] = inputSchema(kind);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Headrace: Admin API',
      version: VERSION,
      description: 'Upstreams, targets, services, routes and what belongs to them, as in Kong’s Admin API.',
    },
    paths: Object.fromEntries(
      paths.map(([path, methods]) => [
        path,
        Object.fromEntries(methods.map((method) => [method.toLowerCase(), operation(path, method)])),
      ]),
    ),
    components: { schemas },
  };
}
