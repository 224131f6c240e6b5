/** Networks in CIDR notation: trusted proxies, access rules. */
import { parseIpv4, parseIpv6 } from '../config/address.ts';

interface Network {
  bytes: readonly number[];
  bits: number;
}

/** A set of networks, and whether unix sockets belong to it. */
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
