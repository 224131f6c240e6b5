/** Service: where requests of its routes go. */
import {
  boolean,
  createdAt,
  foreign,
  hostField,
  id,
  integer,
  nameField,
  pathField,
  port,
  protocol,
  string,
  tags,
  updatedAt,
} from '../fields.ts';
import type { EntityCheck, Json, JsonObject, NumberField, Schema } from '../schema.ts';

const timeout: NumberField = integer({ between: [1, 2_147_483_646], default: 60_000, description: 'Milliseconds.' });

const isPathless = (value: Json): boolean => ['tcp', 'tls', 'udp', 'grpc', 'grpcs'].includes(value as string);
const isPlain = (value: Json): boolean => value !== null && !['https', 'tls'].includes(value as string);
const nothing = (match: (value: Json) => boolean, field: string): EntityCheck => ({
  kind: 'conditional',
  given: 'protocol',
  match,
  field,
  must: 'null',
});

/** `https://host:8443/path` into protocol, host, port and path. */
function splitUrl(input: JsonObject, value: Json): void {
  if (typeof value !== 'string') return;
  const match = /^(?:([A-Za-z][\w+.-]*):)?(?:\/\/(?:[^@/?#]*@)?(\[[^\]]*\]|[^:/?#]*)(?::(\d*))?)?([^?#]*)/.exec(value);
  const [, scheme, host, digits, path] = match ?? [];
  const given = digits === undefined || digits === '' ? null : Number(digits);
  const byPort = given === 443 ? 'https' : 'http';
  const scheme_ = scheme?.toLowerCase() ?? byPort;
  input.protocol = scheme_;
  input.host = host === undefined || host === '' ? null : host;
  input.port = given ?? (scheme_ === 'https' ? 443 : 80);
  input.path = path === undefined || path === '' ? null : path;
}

export const services: Schema = {
  kind: 'services',
  key: 'name',
  fields: {
    id,
    created_at: createdAt,
    updated_at: updatedAt,
    name: nameField(),
    retries: integer({ between: [0, 32_767], default: 5, description: 'Further tries after the first.' }),
    protocol: protocol({ required: true, default: 'http' }),
    host: hostField({ required: true, description: 'A name, or that of an upstream.' }),
    port: port({ required: true, default: 80 }),
    path: pathField(),
    connect_timeout: timeout,
    write_timeout: timeout,
    read_timeout: timeout,
    tags,
    client_certificate: foreign({ to: 'certificates' }),
    tls_verify: boolean(),
    tls_verify_depth: integer({ between: [0, 64] }),
    ca_certificates: { type: 'array', elements: string({ uuid: true, format: 'uuid' }) },
    enabled: boolean({ required: true, default: true }),
  },
  checks: [
    nothing(isPathless, 'path'),
    nothing(isPlain, 'client_certificate'),
    nothing(isPlain, 'tls_verify'),
    nothing(isPlain, 'tls_verify_depth'),
    nothing(isPlain, 'ca_certificates'),
  ],
  shorthands: { url: { field: string({ format: 'uri' }), apply: splitUrl } },
};
