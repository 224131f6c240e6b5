/** Virtual servers of one listening address, found by the request's host; and the checks that a host must pass. */
import type { ServerNameConfig } from '../config/model.ts';
import type { VariableContext } from './context.ts';
import { HostMatcher } from './host-match.ts';
import { CaptureRegex } from './regex.ts';
import type { CaptureSlots } from './regex.ts';

/** A server block of http or stream. */
interface NamedServer {
  readonly config: { readonly names: readonly ServerNameConfig[] };
}

export class HostTable<S extends NamedServer> {
  /** False: whatever the host, the default server answers, and nobody need ask. */
  readonly several: boolean;
  readonly #default: S;
  readonly #names = new HostMatcher<S>();
  readonly #regexes: { regex: CaptureRegex; server: S }[] = [];

  /**
   * @param servers those of the address, in order of configuration
   * @param slots where named groups of server names are stored (the generation's `VariableTable`)
   */
  constructor(servers: readonly S[], defaultServer: S, slots: CaptureSlots) {
    this.#default = defaultServer;
    for (const server of servers) {
      for (const name of server.config.names) {
        if (name.kind === 'exact') this.#names.addExact(name.name.toLowerCase(), server);
        else if (name.kind === 'suffix') this.#names.addSuffix(name.name.toLowerCase(), server);
        else if (name.kind === 'prefix') this.#names.addPrefix(name.name.toLowerCase(), server);
        else this.#regexes.push({ regex: new CaptureRegex(name.regex, slots), server });
      }
    }
    this.several = servers.some((server) => server !== defaultServer) || this.#regexes.length > 0;
  }

  /**
   * The server for a host.
   *
   * @param host as `validate` made it; may be empty
   * @param c takes what the server name's regular expression captures; null: nothing is stored
   */
  find(host: string, c: VariableContext | null): S {
    if (!this.several) return this.#default;
    const named = this.#names.find(host);
    if (named !== undefined) return named;
    if (host !== '') {
      for (let i = 0; i < this.#regexes.length; i++) {
        const { regex, server } = this.#regexes[i]!;
        if (c === null ? regex.test(host) : regex.exec(c, host)) return server;
      }
    }
    return this.#default;
  }

  /** The server for a name that TLS was asked for (SNI). @param name in lower case */
  byName(name: string): S {
    return this.find(name, null);
  }

  /** As the function `validateHost`. */
  validate(text: string): string | null {
    return validateHost(text);
  }
}

/** 1: may stand in a host as it is; 2: an upper-case letter; 0: may not, or is looked at apart. */
const HOST_BYTE = new Uint8Array(256);
for (const ch of "abcdefghijklmnopqrstuvwxyz0123456789-_~!$&'()*+,;=%") HOST_BYTE[ch.charCodeAt(0)] = 1;
for (let b = 0x41; b <= 0x5a; b++) HOST_BYTE[b] = 2;

const DOT = 0x2e;
const COLON = 0x3a;
const PERCENT = 0x25;
const MAX_PORT = 65535;

/**
 * Checks a `Host` field or the authority of a request-target, as ngx_http_validate_host does (RFC 3986 section 3.2.2).
 *
 * @returns the host in lower case without port and final dot, IPv6 addresses with their brackets; null: not valid (400)
 */
export function validateHost(text: string): string | null {
  let end = text.length;
  let lower = true;
  let lastDot = -2;
  let i = 0;
  const bracketed = text.charCodeAt(0) === 0x5b;
  if (bracketed) i = 1;
  for (; i < text.length; i++) {
    const b = text.charCodeAt(i);
    const kind = b < 256 ? HOST_BYTE[b]! : 0;
    if (kind === 1) {
      // An address has no percent signs; zone identifiers are not for other machines.
      if (bracketed && b === PERCENT) return null;
    } else if (kind === 2) {
      lower = false;
    } else if (b === DOT) {
      if (lastDot === i - 1) return null;
      lastDot = i;
    } else if (b === COLON) {
      if (bracketed) continue;
      end = i;
      break;
    } else if (b === 0x5d && bracketed) {
      end = i + 1;
      if (end < text.length && text.charCodeAt(end) !== COLON) return null;
      break;
    } else return null;
  }
  if (bracketed && text.charCodeAt(end - 1) !== 0x5d) return null;
  if (portAt(text, end) < 0) return null;
  if (!bracketed && lastDot === end - 1) end--;
  if (end <= 0) return null;
  const host = end === text.length ? text : text.slice(0, end);
  return lower ? host : host.toLowerCase();
}

/** The port behind `end`; 0: none; -1: not valid. */
function portAt(text: string, end: number): number {
  let port = 0;
  for (let i = end + 1; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    port = port * 10 + digit;
    if (port > MAX_PORT) return -1;
  }
  return port;
}

/** The port of a valid host text; 0: none. */
export function hostPort(text: string): number {
  const end = text.startsWith('[') ? text.indexOf(']') + 1 : text.indexOf(':');
  return end <= 0 || text.charCodeAt(end) !== COLON ? 0 : Math.max(0, portAt(text, end));
}
