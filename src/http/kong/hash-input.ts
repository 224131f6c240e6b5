/** What a request is hashed by: `hash_on`, and `hash_fallback` when that gives nothing. */
import { randomUUID } from 'node:crypto';
import type { KongHash } from '../../config/kong/model.ts';
import type { HttpRequest } from '../request.ts';
import { requestFamily } from '../variables/request.ts';
import type { Getter, Value } from '../variables/value.ts';

/** Byte string of a request; empty: it brings none. */
type Source = (r: HttpRequest) => string;

/** Null: requests are not hashed. */
export function hashInput(on: KongHash, fallback: KongHash): Value | null {
  const first = sourceOf(on);
  if (first === null) return null;
  // A cookie is made for who has none: there is nothing to fall back from.
  const second = on.kind === 'cookie' ? null : sourceOf(fallback);
  const get = second === null ? first : (r: HttpRequest): string => first(r) || second(r);
  return { constant: null, get };
}

function sourceOf(hash: KongHash): Source | null {
  switch (hash.kind) {
    case 'none':
      return null;
    case 'consumer':
      // Nobody says who the consumer is: there are no authentication plugins.
      return () => '';
    case 'ip':
      return (r) => r.client.text;
    case 'path':
      return (r) => r.uri;
    case 'header':
      return (r) => valuesOf(r, hash.name.toLowerCase()).join(', ');
    case 'query_arg':
      return (r) => argumentValues(r.args, hash.name);
    case 'uri_capture':
      return (r) => r.kong?.captures?.[hash.name] ?? '';
    case 'cookie':
      return cookieSource(hash.name, hash.path);
  }
}

/** All values of a request field. @param lower name in lower case */
export function valuesOf(r: HttpRequest, lower: string): string[] {
  const { head } = r;
  const values: string[] = [];
  for (let i = 0; i < head.count; i++) if (head.name(i).toLowerCase() === lower) values.push(head.value(i));
  return values;
}

/** Values of all arguments of that name, sorted and joined; one without a value counts as `true`. */
export function argumentValues(args: string, name: string): string {
  const values: string[] = [];
  for (const part of args.split('&')) {
    const equals = part.indexOf('=');
    if (decoded(equals < 0 ? part : part.slice(0, equals)) !== name) continue;
    values.push(equals < 0 ? 'true' : decoded(part.slice(equals + 1)));
  }
  return values
    .filter((value) => value !== '')
    .toSorted()
    .join(',');
}

function decoded(text: string): string {
  return text
    .replaceAll('+', ' ')
    .replace(/%([\da-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

function cookieSource(name: string, path: string): Source {
  const cookie: Getter = requestFamily(`cookie_${name}`)!;
  return (r) => {
    const known = cookie(r) ?? '';
    if (known !== '') return known;
    const made = randomUUID();
    r.setCookie = `${name}=${made}; Path=${path}; SameSite=Lax; HttpOnly`;
    return made;
  };
}
