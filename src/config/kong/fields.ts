/**
 * Fields that several entities have, and the checks of single values, in Kong's words.
 */
import { X509Certificate, createPrivateKey } from 'node:crypto';
import { decodeText, encodeText } from '../bytes.ts';
import { compilePattern } from '../pcre.ts';
import { isAddressOrCidr, parseHost } from './host.ts';
import type { BooleanField, Check, ForeignField, ListField, MapField, NumberField, StringField } from './schema.ts';

// ---------------------------------------------------------------------------------------------- values

/** A text that came from bytes which were not UTF-8. */
const isBroken = (text: string): boolean => !text.isWellFormed() || text.includes('\uFFFD');

const hostName: Check<string> = (text) => {
  const host = parseHost(text);
  if ('error' in host) return host.error === 'invalid port number' ? 'must not have a port' : `invalid value: ${text}`;
  return host.port === null ? null : 'must not have a port';
};

const hostWithPort: Check<string> = (text) => {
  const host = parseHost(text);
  return 'error' in host ? host.error : null;
};

const serverName: Check<string> = (text) => {
  const host = parseHost(text);
  if ('error' in host) return host.error === 'invalid port number' ? 'must not have a port' : `invalid value: ${text}`;
  if (host.kind !== 'name') return 'must not be an IP';
  return host.port === null ? null : 'must not have a port';
};

const wildcardName: Check<string> = (text) => {
  const at = text.indexOf('*');
  if (at < 0) return serverName(text);
  if (at !== 0 && at !== text.length - 1) return 'wildcard must be leftmost or rightmost character';
  if (text.lastIndexOf('*') !== at) return 'only one wildcard must be specified';
  const error = serverName(text.replace('*', 'wildcard'));
  return error?.startsWith('invalid value') === true ? `invalid value: ${text}` : error;
};

const routeHost: Check<string> = (text) => {
  if (text.indexOf('*') !== text.lastIndexOf('*')) return 'invalid wildcard: must have at most one wildcard';
  if (text.includes('*') && !text.startsWith('*.') && !text.endsWith('.*')) {
    return 'invalid wildcard: must be placed at leftmost or rightmost label';
  }
  return hostWithPort(text.replaceAll('*', 'abc'));
};

/** RFC 3986: unreserved, sub-delims, and what else a path may hold. */
const PATH = /^\/[\w.\-~/%:@!$&'()*+,;=]*$/;

const encoded: Check<string> = (text) => {
  const rest = text.replace(/%[\da-f]{2}/gi, '___');
  const at = rest.indexOf('%');
  return at < 0 ? null : `invalid url-encoded value: '${rest.slice(at, at + 3)}'`;
};

const path: Check<string> = (text) => {
  if (!text.startsWith('/')) return 'should start with: /';
  if (text.includes('//')) return 'must not have empty segments';
  if (!PATH.test(text)) {
    return `invalid path: '${text}' (characters outside of the reserved list of RFC 3986 found)`;
  }
  return encoded(text);
};

/** Decodes what needs no encoding, and resolves `.` and `..`, as Kong does with paths that it compares. */
export function normalizedPath(text: string): string {
  const decoded = text.replace(/%([\da-f]{2})/gi, (all: string, hex: string) => {
    const char = String.fromCharCode(Number.parseInt(hex, 16));
    return /[\w.~-]/.test(char) ? char : all.toUpperCase();
  });
  const out: string[] = [];
  const segments = decoded.split('/');
  for (const [i, segment] of segments.entries()) {
    const last = i === segments.length - 1;
    if (segment === '..' && out.length > 1) out.pop();
    if (segment !== '.' && segment !== '..') out.push(segment);
    else if (last) out.push('');
  }
  return out.join('/');
}

const routePath: Check<string> = (text) => {
  if (!text.startsWith('/') && !text.startsWith('~/')) {
    return 'should start with: / (fixed path) or ~/ (regex path)';
  }
  if (text.includes('//')) return 'must not have empty segments';
  if (text.startsWith('~')) {
    const pattern = text.slice(1);
    const regex = compilePattern({ pattern: encodeText(pattern), caseless: false });
    return regex.ok ? null : `invalid regex: '${pattern}' (PCRE returned: ${decodeText(regex.error)})`;
  }
  const error = PATH.test(text) ? encoded(text) : null;
  if (error !== null) return error;
  const normal = normalizedPath(text);
  return text === normal ? null : `non-normalized path, consider use '${normal}' instead`;
};

const headerName: Check<string> = (text) =>
  /^[\w-]+$/.test(text) ? null : `bad header name '${text}', allowed characters are A-Z, a-z, 0-9, '_', and '-'`;

const COOKIE_ERROR =
  'contains one or more invalid characters. ASCII control characters (0-31;127), space, tab and the characters ' +
  '()<>@,;:\\"/?={}[] are not allowed.';

const cookieName: Check<string> = (text) => (/^[!#$%&'*+\-.^_`|~\dA-Za-z]+$/.test(text) ? null : COOKIE_ERROR);

const utf8Name: Check<string> = (text) => {
  if (isBroken(text)) return 'invalid utf-8 character sequence detected at position 1';
  if (/^[\w.\-~\u0080-\u{10FFFF}]+$/u.test(text)) return null;
  return `invalid value '${text}': the only accepted ascii characters are alphanumerics or ., -, _, and ~`;
};

const TAG_ERROR = 'expected printable ascii (except `,` and `/`) or valid utf-8 sequences';

export const tagText: Check<string> = (text) =>
  !isBroken(text) && /^[ !-+.\-0-~\u0080-\u{10FFFF}]+$/u.test(text) ? null : `invalid tag '${text}': ${TAG_ERROR}`;

const certificate: Check<string> = (text) => {
  try {
    new X509Certificate(text);
    return null;
  } catch (error) {
    return `invalid certificate: ${(error as Error).message}`;
  }
};

const privateKey: Check<string> = (text) => {
  try {
    createPrivateKey(text);
    return null;
  } catch (error) {
    return `invalid key: ${(error as Error).message}`;
  }
};

/** The name of an upstream: a host name, without port, that is no address. */
export const upstreamName: Check<string> = (text) => {
  const start = isBroken(text) ? 'Invalid name' : `Invalid name ('${text}')`;
  const host = parseHost(text);
  if ('error' in host) return `${start}; must be a valid hostname`;
  if (host.kind !== 'name') return `${start}; no ip addresses allowed`;
  return host.port === null ? null : `${start}; no port allowed`;
};

/** The text for a target that is new leaves the value out; everywhere else it is there. */
export const INVALID_TARGET = 'Invalid target; not a valid hostname or ip address';

export const targetText: Check<string> = (text) => {
  if (!('error' in parseHost(text))) return null;
  return isBroken(text) ? INVALID_TARGET : `Invalid target ('${text}'); not a valid hostname or ip address`;
};

// ---------------------------------------------------------------------------------------------- fields

type Rest<F> = Omit<Partial<F>, 'type'>;

export const string = (more: Rest<StringField> = {}): StringField => ({ type: 'string', ...more });
export const integer = (more: Rest<NumberField> = {}): NumberField => ({ type: 'integer', ...more });
export const number = (more: Rest<NumberField> = {}): NumberField => ({ type: 'number', ...more });
export const boolean = (more: Rest<BooleanField> = {}): BooleanField => ({ type: 'boolean', ...more });
export const foreign = (more: Omit<ForeignField, 'type' | 'onDelete'> & Rest<ForeignField>): ForeignField => ({
  type: 'foreign',
  onDelete: 'restrict',
  ...more,
});

export const id: StringField = string({ uuid: true, auto: 'uuid', format: 'uuid', description: 'The identifier.' });
export const createdAt: NumberField = integer({ timestamp: true, auto: 'created', description: 'Unix time, seconds.' });
export const updatedAt: NumberField = integer({ timestamp: true, auto: 'updated', description: 'Unix time, seconds.' });

export const tags: ListField = {
  type: 'set',
  elements: string({ required: true, check: tagText }),
  description: 'Tags for grouping and filtering.',
};

export const PROTOCOLS = ['grpc', 'grpcs', 'http', 'https', 'tcp', 'tls', 'tls_passthrough', 'udp'] as const;
export const protocol = (more: Rest<StringField> = {}): StringField => string({ oneOf: PROTOCOLS, ...more });

export const pathField = (more: Rest<StringField> = {}): StringField => string({ check: path, ...more });
export const routePathField = string({ check: routePath });
export const hostField = (more: Rest<StringField> = {}): StringField => string({ check: hostName, ...more });
export const hostWithPortField = (more: Rest<StringField> = {}): StringField =>
  string({ check: hostWithPort, ...more });
export const routeHostField = string({ check: routeHost });
export const sniField = (more: Rest<StringField> = {}): StringField => string({ check: serverName, ...more });
export const wildcardSni = (more: Rest<StringField> = {}): StringField => string({ check: wildcardName, ...more });
export const headerNameField = (more: Rest<StringField> = {}): StringField => string({ check: headerName, ...more });
export const cookieNameField = (more: Rest<StringField> = {}): StringField => string({ check: cookieName, ...more });
export const nameField = (more: Rest<StringField> = {}): StringField =>
  string({ unique: true, check: utf8Name, ...more });
export const port = (more: Rest<NumberField> = {}): NumberField => integer({ between: [0, 65_535], ...more });
export const certificateField = (more: Rest<StringField> = {}): StringField => string({ check: certificate, ...more });
export const keyField = (more: Rest<StringField> = {}): StringField => string({ check: privateKey, ...more });
export const method = string({
  check: (text) => (/^[A-Z]+$/.test(text) ? null : `invalid value: ${text}`),
});
export const addressField = string({
  check: (text) => (isAddressOrCidr(text) ? null : `invalid ip or cidr range: '${text}'`),
});

/** Header names to lists of values. */
export const headers = (more: Rest<MapField> = {}): MapField => ({
  type: 'map',
  keys: headerNameField(),
  values: { type: 'array', elements: string() },
  ...more,
});
