/**
 * Keys and values as `keyval_zone` has them: which pair is found for a key, and when pairs end. Keys and values are byte
 * strings (one character a byte), times milliseconds since the epoch.
 *
 * `string`: the pair with that key. `prefix`: of the pairs whose key the given one begins with, the longest. `ip`: of the
 * networks that hold the address (or network), the smallest.
 */
import type { KeyvalType } from '../config/model-variables.ts';
import { CHANGING } from '../shared/change-mark.ts';
import { NONE, SLOT_SIZES } from '../shared/slab.ts';
import type { SlotCounts } from '../shared/slab.ts';
import { address, mask, networkBits, readNetwork } from './address.ts';
import { W } from './layout.ts';

import { Key } from './key.ts';
import { createTable, Table } from './table.ts';

export const KEYVAL_TYPES: readonly KeyvalType[] = ['string', 'ip', 'prefix'];

/** What became of a change. */
export const DONE = 0;
/** There is a pair with this key already. */
export const EXISTS = 1;
/** There is none. */
export const MISSING = 2;
/** The zone has no room. */
export const FULL = 3;
/** The key is empty, or not an address where addresses are asked for. */
export const INVALID = 4;

/** When a pair ends. */
export interface End {
  /** 0: never. */
  at: number;
  /** It is not the zone's timeout, counted from now. */
  own: boolean;
}

/** A pair, as files and the API have it. */
export interface Pair {
  key: string;
  value: string;
  /** 0: never. */
  end: number;
}

/** Of slots of one size: as `/slabs` shows them. */
export interface SlotUse extends SlotCounts {
  size: number;
  /** Requests for memory so far, and those that failed. */
  requests: number;
  fails: number;
}

/** How many pairs are looked at while the lock is held. */
const AT_ONCE = 256;
/** And how many chains, where texts are made of all that they hold. */
const CHAINS_AT_ONCE = 32;
/** How far a chain is followed without the lock; it hardly ever has more than ten pairs. */
const STEPS = 64;
/** Each new pair makes room of this many that have ended. */
const REAP = 2;
/** Pairs with ends of their own that one `sweep` looks at. */
const SWEEP = 16 * AT_ONCE;

/** Makes an empty zone. Main thread. @param size bytes */
export function createKeyvalZone(size: number, type: KeyvalType, maxWorkers: number): SharedArrayBuffer {
  return createTable(size, KEYVAL_TYPES.indexOf(type), maxWorkers);
}

/** Keys are prepared one at a time. */
const key = new Key();
/** By length: the hash of that many first bytes of the key. */
let hashes = new Int32Array(257);

/** A thread's handle on a zone. */
export class KeyvalStore {
  readonly type: KeyvalType;
  readonly #table: Table;

  /** @param workerId -1: the main thread */
  constructor(buffer: SharedArrayBuffer, workerId: number) {
    this.#table = new Table(buffer, workerId);
    this.type = KEYVAL_TYPES[this.#table.head[W.type]!]!;
  }

  /** Pairs held; some may have ended. */
  get count(): number {
    return this.#table.count;
  }

  /** Changes with every change. */
  get version(): number {
    return this.#table.version;
  }

  /** The value for a key, by the rules of the zone's type, or null. */
  get(text: string, now: number): string | null {
    const t = this.#table;
    // Most look-ups meet no change, and do without the lock.
    const mark = t.mark.read();
    if (mark !== CHANGING) {
      const cell = this.#match(text, now, STEPS);
      if (cell >= 0) {
        const value = t.valueIfUnchanged(cell, mark);
        if (value !== null) return value;
      } else if (cell === NONE && t.mark.unchanged(mark)) return null;
    }
    t.enter();
    const cell = this.#match(text, now, Infinity);
    const value = cell === NONE ? null : t.valueOf(cell);
    t.leave();
    return value;
  }

  /** The value of the pair with this very key (of addresses: this very network), or null. */
  exact(text: string, now: number): string | null {
    if (!this.#prepare(text)) return null;
    const t = this.#table;
    t.enter();
    const cell = this.#live(t.find(key.bytes, key.length, key.hash), now);
    const value = cell === NONE ? null : t.valueOf(cell);
    t.leave();
    return value;
  }

  /** A new pair. @returns DONE, EXISTS, FULL or INVALID */
  add(text: string, value: string, end: End, now: number): number {
    return this.#write(text, value, end, now, true, false);
  }

  /** Another value for a key that is there; `value` null: the same one, with another end. @returns DONE, MISSING, FULL or INVALID */
  change(text: string, value: string | null, end: End, now: number): number {
    if (value !== null) return this.#write(text, value, end, now, false, true);
    if (!this.#prepare(text)) return INVALID;
    const t = this.#table;
    t.change();
    const cell = this.#live(t.find(key.bytes, key.length, key.hash), now);
    if (cell !== NONE) t.setEnd(cell, end.at, end.own);
    t.leave();
    return cell === NONE ? MISSING : DONE;
  }

  /** A value for a key, whether it is there or not. @returns DONE, FULL or INVALID */
  set(text: string, value: string, end: End, now: number): number {
    return this.#write(text, value, end, now, false, false);
  }

  /** @returns DONE or MISSING */
  remove(text: string, now: number): number {
    if (!this.#prepare(text)) return MISSING;
    const t = this.#table;
    t.change();
    const cell = t.find(key.bytes, key.length, key.hash);
    const live = this.#live(cell, now) !== NONE;
    if (cell !== NONE) t.remove(cell);
    t.leave();
    return live ? DONE : MISSING;
  }

  clear(): void {
    this.#table.change();
    this.#table.clear();
    this.#table.leave();
  }

  /** All pairs, in no order, some at a time. Others may change them meanwhile: each is as it was at some moment. */
  *pieces(now: number): Generator<Pair[], void> {
    const t = this.#table;
    let found: Pair[] = [];
    const take = (cell: number): void => {
      const end = t.endOf(cell);
      if (end === 0 || end > now) found.push({ key: t.nameOf(cell), value: t.valueOf(cell), end });
    };
    for (let chain = 0; chain < t.chains;) {
      t.enter();
      chain = t.visit(chain, CHAINS_AT_ONCE, take);
      t.leave();
      yield found;
      found = [];
    }
  }

  /** All pairs at once, for zones that nobody waits for. */
  pairs(now: number): Pair[] {
    return [...this.pieces(now)].flat();
  }

  /** Gives the memory of pairs that have ended back, in steps; of those with ends of their own, some. */
  *sweep(now: number): Generator<void> {
    const t = this.#table;
    let more = true;
    while (more) {
      t.change();
      more = t.reap(now, AT_ONCE) === AT_ONCE;
      t.leave();
      yield;
    }
    more = true;
    for (let n = 0; n < SWEEP && more; n += AT_ONCE) {
      t.change();
      more = t.reapOwn(now, AT_ONCE);
      t.leave();
      yield;
    }
  }

  /** Whether nothing is held that has not ended. Gives back what has. */
  isEmpty(now: number): boolean {
    const t = this.#table;
    t.change();
    this.#reapAll(now);
    t.leave();
    return t.count === 0;
  }

  /** The zone's timeout has changed: pairs do not end in the order any more in which they came. */
  forgetOrder(): void {
    const t = this.#table;
    for (let all = false; !all;) {
      t.change();
      all = t.forgetOrder(AT_ONCE);
      t.leave();
    }
  }

  /** Pages and slots of the zone's memory. */
  memory(): { used: number; free: number; slots: SlotUse[] } {
    const { slab } = this.#table;
    this.#table.enter();
    const slots = SLOT_SIZES.map((size, i) => ({
      size,
      ...slab.slotCounts(i),
      requests: slab.counters[i]!,
      fails: slab.counters[SLOT_SIZES.length + i]!,
    }));
    const free = slab.freePages;
    this.#table.leave();
    return { used: slab.pages - free, free, slots };
  }

  #write(text: string, value: string, end: End, now: number, only: boolean, must: boolean): number {
    if (!this.#prepare(text)) return INVALID;
    // Other names of a network mean the same pair.
    const name = this.type === 'ip' ? text : '';
    const t = this.#table;
    t.change();
    try {
      let old = t.find(key.bytes, key.length, key.hash);
      const live = this.#live(old, now) !== NONE;
      if (only && live) return EXISTS;
      if (must && !live) return MISSING;
      if (old !== NONE && !live) {
        t.remove(old);
        old = NONE;
      }
      t.reap(now, REAP);
      if (t.put(old, key, name, value, end.at, end.own) !== NONE) return DONE;
      // Requests may go on trying: all of a full zone is searched once a second.
      const second = Math.floor(now / 1000) | 0;
      if (t.head[W.searched] === second) return FULL;
      t.head[W.searched] = second;
      this.#reapAll(now);
      return t.put(old, key, name, value, end.at, end.own) === NONE ? FULL : DONE;
    } finally {
      t.leave();
    }
  }

  #reapAll(now: number): void {
    this.#table.reap(now, Infinity);
    this.#table.reapOwn(now, Infinity);
  }

  #live(cell: number, now: number): number {
    if (cell < 0) return cell;
    const end = this.#table.endOf(cell);
    return end === 0 || end > now ? cell : NONE;
  }

  /** Makes `key` of a text. @returns false: it cannot be a key of this zone */
  #prepare(text: string): boolean {
    if (this.type === 'ip') {
      const width = readNetwork(text);
      if (width === 0) return false;
      this.#network(width, networkBits());
      return true;
    }
    const { length } = text;
    if (length === 0) return false;
    const bytes = key.reserve(length);
    const factors = this.#table.factors.upTo(length);
    let hash = 0;
    for (let i = 0; i < length; i++) {
      const byte = text.charCodeAt(i) & 0xff;
      bytes[i] = byte;
      hash = (hash + Math.imul(byte + 1, factors[i]!)) | 0;
    }
    key.hash = hash;
    return true;
  }

  /** Makes `key` of the first bits of `address`; the others are cleared. */
  #network(width: number, bits: number): void {
    mask(width, bits);
    const bytes = key.reserve(width + 1);
    const factors = this.#table.factors.upTo(width + 1);
    bytes[0] = bits;
    let hash = Math.imul(bits + 1, factors[0]!);
    for (let i = 0; i < width; i++) {
      bytes[i + 1] = address[i]!;
      hash = (hash + Math.imul(address[i]! + 1, factors[i + 1]!)) | 0;
    }
    key.hash = hash;
  }

  /**
   * The pair that counts for a text, by the type.
   * @param steps of a chain that are followed; without the lock there is a limit
   * @returns NONE, or without the lock LOST
   */
  #match(text: string, now: number, steps: number): number {
    switch (this.type) {
      case 'string':
        return this.#prepare(text) ? this.#live(this.#table.find(key.bytes, key.length, key.hash, steps), now) : NONE;
      case 'prefix':
        return this.#longest(text, now, steps);
      default:
        return this.#smallest(text, now, steps);
    }
  }

  #longest(text: string, now: number, steps: number): number {
    const { length } = text;
    if (length === 0) return NONE;
    const t = this.#table;
    const bytes = key.reserve(length);
    const factors = t.factors.upTo(length);
    if (hashes.length <= length) hashes = new Int32Array(bytes.length + 1);
    let hash = 0;
    for (let i = 0; i < length; i++) {
      const byte = text.charCodeAt(i) & 0xff;
      bytes[i] = byte;
      hash = (hash + Math.imul(byte + 1, factors[i]!)) | 0;
      hashes[i + 1] = hash;
    }
    for (let n = length; n > 0; n--) {
      if (!t.hasLength(n)) continue;
      const cell = this.#live(t.find(bytes, n, hashes[n]!, steps), now);
      if (cell !== NONE) return cell;
    }
    return NONE;
  }

  #smallest(text: string, now: number, steps: number): number {
    const width = readNetwork(text);
    if (width === 0) return NONE;
    const t = this.#table;
    for (let bits = networkBits(); bits >= 0; bits--) {
      if (!t.hasNetwork(width, bits)) continue;
      this.#network(width, bits);
      const cell = this.#live(t.find(key.bytes, key.length, key.hash, steps), now);
      if (cell !== NONE) return cell;
    }
    return NONE;
  }
}
