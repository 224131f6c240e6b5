/** `geo`: a variable whose value is chosen by an address. */
import { parseIpv4, parseIpv6 } from '../config/address.ts';
import type { GeoConfig, GeoTable } from '../config/model-variables.ts';
import { NetworkList } from '../net/networks.ts';
import type { VariableContext } from './context.ts';
import type { Getter } from './value.ts';

/** What a geo needs of the variables around it. */
export interface GeoSource<C extends VariableContext> {
  lookup(name: string): Getter<C>;
  /** The client's address: 4 or 16 bytes; none: a unix socket. */
  clientAddress(c: C): Uint8Array;
  /** The address that trusted proxies pass on, beginning with that one. */
  forwardedAddress(c: C, address: Uint8Array, trusted: NetworkList, recursive: boolean): Uint8Array;
}

/** Where there is no IPv4 address: unix sockets, texts that are none, IPv6 with `ranges`. */
const NO_ADDRESS = 0xffffffff;

/** @returns its getter, without caching: the table adds that unless the geo is volatile */
export function compileGeo<C extends VariableContext>(config: GeoConfig, source: GeoSource<C>): Getter<C> {
  const { texts } = config;
  const v4 = new Finder(config.v4, 1);
  const v6 = new Finder(config.v6, 4);
  const trusted = config.proxies.length === 0 ? null : new NetworkList(config.proxies);
  const text = config.source === null ? null : source.lookup(config.source);
  return (c) => {
    let address = text === null ? source.clientAddress(c) : parse(text(c));
    if (address !== null && trusted !== null) {
      address = source.forwardedAddress(c, address, trusted, config.proxyRecursive);
    }
    return texts[find(address, v4, v6)]!;
  };
}

function parse(text: string | null): Uint8Array | null {
  if (text === null) return null;
  const bytes = parseIpv4(text) ?? parseIpv6(text);
  return bytes === null ? null : Uint8Array.from(bytes);
}

function find(address: Uint8Array | null, v4: Finder, v6: Finder): number {
  if (address === null || address.length === 0) return v4.find(NO_ADDRESS, 0, 0, 0);
  if (address.length === 4) return v4.find(word(address, 0), 0, 0, 0);
  const [a, b, c, d] = [word(address, 0), word(address, 4), word(address, 8), word(address, 12)];
  if (a === 0 && b === 0 && c === 0xffff) return v4.find(d, 0, 0, 0);
  return v6.find(a, b, c, d);
}

function word(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

/** Finds the stretch of an address, of one word or of four. */
class Finder {
  readonly #starts: Uint32Array;
  readonly #values: Int32Array;
  readonly #words: number;

  constructor({ starts, values }: GeoTable, words: 1 | 4) {
    this.#starts = Uint32Array.from(starts);
    this.#values = Int32Array.from(values);
    this.#words = words;
  }

  find(a: number, b: number, c: number, d: number): number {
    let low = 0;
    let high = this.#values.length - 1;
    // The first stretch begins with the first address.
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#isAfter(middle * this.#words, a, b, c, d)) high = middle - 1;
      else low = middle;
    }
    return this.#values[low]!;
  }

  /** Whether the stretch begins after the address. */
  #isAfter(at: number, a: number, b: number, c: number, d: number): boolean {
    const starts = this.#starts;
    if (this.#words === 1 || starts[at] !== a) return starts[at]! > a;
    if (starts[at + 1] !== b) return starts[at + 1]! > b;
    if (starts[at + 2] !== c) return starts[at + 2]! > c;
    return starts[at + 3]! > d;
  }
}
