/** Networks in CIDR notation, and addresses as proxies write them. */
import { formatIpv6, parseIpv4, parseIpv6 } from '../config/address.ts';
import type { ClientAddress } from './client-address.ts';

interface Network {
  bytes: readonly number[];
  bits: number;
}

/** Networks in CIDR notation, and whether unix sockets belong to them. */
export class NetworkList {
  readonly #v4: Network[] = [];
  readonly #v6: Network[] = [];
  readonly #unix: boolean;

  /** @param networks `address/bits`, `address` or `unix:` */
  constructor(networks: readonly string[]) {
    this.#unix = networks.includes('unix:');
    for (const text of networks) {
      if (text === 'unix:') continue;
      const slash = text.indexOf('/');
      const address = slash < 0 ? text : text.slice(0, slash);
      const v4 = parseIpv4(address);
      const bytes = v4 ?? parseIpv6(address);
      if (bytes === null) throw new TypeError(`invalid network "${text}"`);
      const bits = slash < 0 ? bytes.length * 8 : Number(text.slice(slash + 1));
      (v4 === null ? this.#v6 : this.#v4).push({ bytes, bits });
    }
  }

  /** @param bytes 4 or 16; none: a unix socket */
  has(bytes: Uint8Array): boolean {
    if (bytes.length === 0) return this.#unix;
    // An IPv4 client of an IPv6 socket.
    if (bytes.length === 16 && isMapped(bytes)) return contains(this.#v4, bytes, 12);
    return contains(bytes.length === 4 ? this.#v4 : this.#v6, bytes, 0);
  }
}

function isMapped(bytes: Uint8Array): boolean {
  for (let i = 0; i < 10; i++) if (bytes[i] !== 0) return false;
  return bytes[10] === 0xff && bytes[11] === 0xff;
}

function contains(networks: readonly Network[], bytes: Uint8Array, offset: number): boolean {
  for (let n = 0; n < networks.length; n++) if (matches(networks[n]!, bytes, offset)) return true;
  return false;
}

function matches(network: Network, bytes: Uint8Array, offset: number): boolean {
  let bits = network.bits;
  for (let i = 0; bits > 0; i++, bits -= 8) {
    const difference = network.bytes[i]! ^ bytes[offset + i]!;
    if (bits >= 8 ? difference !== 0 : difference >> (8 - bits) !== 0) return false;
  }
  return true;
}

const PORT = /^[0-9]{1,5}$/;

/** An address as proxies write it: `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]`, `[::1]:80`; null if it is none. */
export function parseAddress(text: string): ClientAddress | null {
  let host = text;
  let port = 0;
  const colon = text.lastIndexOf(':');
  if (text.startsWith('[')) {
    const close = text.indexOf(']');
    if (close < 0) return null;
    host = text.slice(1, close);
    const rest = text.slice(close + 1);
    if (rest !== '') {
      port = rest[0] === ':' ? portOf(rest.slice(1)) : -1;
    }
  } else if (colon >= 0 && text.indexOf(':') === colon) {
    host = text.slice(0, colon);
    port = portOf(text.slice(colon + 1));
  }
  if (port < 0) return null;
  const v4 = parseIpv4(host);
  if (v4 !== null) return { text: v4.join('.'), port, bytes: Uint8Array.from(v4) };
  const v6 = parseIpv6(host);
  return v6 === null ? null : { text: formatIpv6(v6), port, bytes: Uint8Array.from(v6) };
}

/** -1: not a port. */
function portOf(text: string): number {
  const port = PORT.test(text) ? Number(text) : 0;
  return port >= 1 && port <= 65535 ? port : -1;
}
