/** The memory of a zone of keys and values, as all threads carve it. */
import { Carver } from '../shared/carver.ts';
import type { Lockable } from '../shared/lock.ts';
import { PAGE, Slab } from '../shared/slab.ts';
import { LENGTHS, W } from './layout.ts';

/** Bytes of a page that a pair takes at least, as chains are made for. */
const BYTES_A_CHAIN = 128;

/** What a table is made of. */
export class TableMemory implements Lockable {
  readonly head: Int32Array;
  readonly alive: Int32Array;
  /** How many keys have a length, or networks so many bits. */
  readonly lengths: Int32Array;
  /** First pair of each chain; their number is a power of two. */
  readonly chains: Int32Array;
  readonly slab: Slab;
  /** Bytes of all of it. */
  readonly size: number;

  constructor(buffer: SharedArrayBuffer, rows: number, pages: number) {
    const c = new Carver(buffer);
    this.head = c.int32(W.words);
    this.alive = c.int32(rows);
    this.lengths = c.int32(LENGTHS);
    this.chains = c.int32(2 ** Math.ceil(Math.log2((pages * PAGE) / BYTES_A_CHAIN)));
    this.slab = new Slab(c, pages);
    this.size = c.size;
  }
}
