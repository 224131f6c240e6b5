/** Route: which requests go to a service. What may be said depends on its protocols. */
import {
  PROTOCOLS,
  addressField,
  boolean,
  createdAt,
  foreign,
  headerNameField,
  headers,
  id,
  integer,
  method,
  nameField,
  port,
  protocol,
  routeHostField,
  routePathField,
  string,
  tags,
  updatedAt,
  wildcardSni,
} from '../fields.ts';
import type { EntityCheck, Field, Fields, Json, JsonObject, ListField, MapField, Schema } from '../schema.ts';

/** A route's protocols are of one of these. */
const FAMILIES = [['http', 'https'], ['tcp', 'tls', 'udp'], ['tls_passthrough'], ['grpc', 'grpcs']] as const;
type Family = 'http' | 'stream' | 'grpc';

const addresses = (): ListField => ({
  type: 'set',
  elements: {
    type: 'record',
    fields: { ip: addressField, port: port() },
    checks: [{ kind: 'at_least_one_of', fields: ['ip', 'port'] }],
  },
});

const plainHeader = headerNameField();
const notHost = "cannot contain 'host' header, which must be specified in the 'hosts' attribute";
const routeHeaders: MapField = headers({
  keys: headerNameField({
    check: (text) => (text.toLowerCase() === 'host' ? notHost : (plainHeader.check?.(text) ?? null)),
  }),
});

function oneFamily(list: Json[]): string | null {
  const found = new Set(list.map((name) => FAMILIES.find((family) => (family as readonly Json[]).includes(name))));
  if (found.size <= 1) return null;
  const texts = [...found].map((family) => `(${(family ?? []).map((name) => `'${name}'`).join(', ')})`);
  return `these sets are mutually exclusive: ${texts.join(', ')}`;
}

const fields = {
  id,
  created_at: createdAt,
  updated_at: updatedAt,
  name: nameField(),
  protocols: {
    type: 'set',
    elements: protocol(),
    minLength: 1,
    required: true,
    default: ['http', 'https'],
    check: oneFamily,
  },
  https_redirect_status_code: integer({ oneOf: [426, 301, 302, 307, 308], required: true, default: 426 }),
  strip_path: boolean({ required: true, default: true }),
  preserve_host: boolean({ required: true, default: false }),
  request_buffering: boolean({ required: true, default: true }),
  response_buffering: boolean({ required: true, default: true }),
  tags,
  service: foreign({ to: 'services' }),
  snis: { type: 'set', elements: wildcardSni() },
  sources: addresses(),
  destinations: addresses(),
  methods: { type: 'set', elements: method },
  hosts: { type: 'array', elements: routeHostField },
  paths: { type: 'array', elements: routePathField },
  headers: routeHeaders,
  regex_priority: integer({ default: 0 }),
  path_handling: string({ oneOf: ['v0', 'v1'], default: 'v0' }),
} satisfies Record<string, Field>;

const isEmpty = (value: Json | undefined): boolean =>
  value === undefined || value === null || (typeof value === 'object' && Object.keys(value).length === 0);

/** At least one of the fields must say something, when the protocols contain `protocol`, or are all of `all`. */
function oneOfThese(
  text: (list: string) => string,
  when: (protocols: Json[]) => boolean,
  names: string[],
): EntityCheck {
  return {
    kind: 'custom',
    fields: ['protocols'],
    check: (entity) => {
      if (!Array.isArray(entity.protocols) || !when(entity.protocols)) return null;
      if (names.some((name) => !isEmpty(entity[name]))) return null;
      return text(names.map((name) => `'${name}'`).join(', '));
    },
  };
}

const must =
  (protocols: string) =>
  (list: string): string =>
    `must set one of ${list} when 'protocols' is ${protocols}`;
const secure =
  (name: string) =>
  (list: Json[]): boolean =>
    list.includes(name);
const plain =
  (name: string) =>
  (list: Json[]): boolean =>
    list.includes(name) && !list.includes(`${name}s`);
const nothing = (names: readonly (keyof typeof fields)[], protocols: string): Fields =>
  Object.fromEntries(
    names.map((name) => [name, { ...fields[name], nothing: `cannot set '${name}' when 'protocols' is ${protocols}` }]),
  );

const GRPC = `'grpc' or 'grpcs'`;
const STREAM = `'tcp', 'tls', 'tls_passthrough' or 'udp'`;

const VARIANTS: Record<Family, { fields: Fields; checks: readonly EntityCheck[] }> = {
  http: {
    fields: nothing(['sources', 'destinations'], `'http' or 'https'`),
    checks: [
      oneOfThese(must(`'https'`), secure('https'), ['methods', 'hosts', 'headers', 'paths', 'snis']),
      oneOfThese(must(`'http'`), plain('http'), ['methods', 'hosts', 'headers', 'paths']),
    ],
  },
  stream: {
    fields: nothing(['methods', 'hosts', 'paths', 'headers'], STREAM),
    checks: [
      oneOfThese(
        must(`'tcp', 'tls' or 'udp'`),
        (list) => list.every((name) => (FAMILIES[1] as readonly Json[]).includes(name)),
        ['sources', 'destinations', 'snis'],
      ),
      oneOfThese(
        () => `must set snis when 'protocols' is 'tls_passthrough'`,
        (list) => list.every((name) => name === 'tls_passthrough'),
        ['snis'],
      ),
    ],
  },
  grpc: {
    fields: {
      ...nothing(['methods', 'sources', 'destinations'], GRPC),
      strip_path: boolean({
        required: true,
        default: false,
        not: { value: true, error: `cannot set 'strip_path' when 'protocols' is ${GRPC}` },
      }),
    },
    checks: [
      oneOfThese(must(`'grpcs'`), secure('grpcs'), ['hosts', 'headers', 'paths', 'snis']),
      oneOfThese(must(`'grpc'`), plain('grpc'), ['hosts', 'headers', 'paths']),
    ],
  },
};

/** The first protocol that is one decides. */
function familyOf(entity: JsonObject): Family | null {
  const { protocols = fields.protocols.default as Json } = entity;
  if (!Array.isArray(protocols)) return null;
  const first = protocols.find((name) => (PROTOCOLS as readonly Json[]).includes(name));
  if (first === undefined) return null;
  if (first === 'http' || first === 'https') return 'http';
  return first === 'grpc' || first === 'grpcs' ? 'grpc' : 'stream';
}

const SECURE = ['grpcs', 'https', 'tls', 'tls_passthrough'];

export const routes: Schema = {
  kind: 'routes',
  key: 'name',
  fields,
  checks: [
    {
      kind: 'custom',
      fields: ['protocols', 'snis'],
      check: ({ protocols, snis }) =>
        isEmpty(snis) || !Array.isArray(protocols) || protocols.some((name) => SECURE.includes(name as string))
          ? null
          : `'snis' can only be set when 'protocols' is 'grpcs', 'https', 'tls' or 'tls_passthrough'`,
    },
  ],
  variant: (entity) => {
    const family = familyOf(entity);
    return family === null ? null : VARIANTS[family];
  },
};
