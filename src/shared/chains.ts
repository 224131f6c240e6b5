/**
 * Nodes of a fixed number in shared memory, found by hash chains; those that hold nothing stand in a list of free ones, which goes
 * by the chains' links. Call with the lock held.
 */
import type { Buffer } from 'node:buffer';
import { NIL } from './lru.ts';

/** The memory that holds chains. */
export interface ChainMemory {
  readonly head: Int32Array;
  /** First node of each chain; their number is a power of two. */
  readonly chains: Int32Array;
  readonly chainNext: Int32Array;
}

/** How many chains so many nodes get: at least as many. */
export function chainsFor(capacity: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(2, capacity)));
}

/** Puts a node that is in no chain at the beginning of one. */
export function link(m: ChainMemory, chain: number, node: number): void {
  m.chainNext[node] = m.chains[chain]!;
  m.chains[chain] = node;
}

/** Takes a node out of the chain that it is in. */
export function unlink(m: ChainMemory, chain: number, node: number): void {
  let at = m.chains[chain]!;
  if (at === node) {
    m.chains[chain] = m.chainNext[node]!;
    return;
  }
  while (m.chainNext[at] !== node) at = m.chainNext[at]!;
  m.chainNext[at] = m.chainNext[node]!;
}

/** Words of the header that say where free nodes begin, and how many nodes are not free. */
export interface FreeWords {
  readonly free: number;
  readonly used: number;
}

/** Takes a free node; `NIL`: there is none. */
export function takeFree(m: ChainMemory, words: FreeWords): number {
  const node = m.head[words.free]!;
  if (node === NIL) return NIL;
  m.head[words.free] = m.chainNext[node]!;
  m.head[words.used] = m.head[words.used]! + 1;
  return node;
}

/** Puts a node that is in no chain among the free ones. Who counts those in use is the caller. */
export function putFree(m: ChainMemory, words: FreeWords, node: number): void {
  m.chainNext[node] = m.head[words.free]!;
  m.head[words.free] = node;
}

/** Nodes whose keys are MD5 sums: four words each. */
export interface DigestMemory extends ChainMemory {
  readonly keys: Int32Array;
}

/** Chain of a sum, by its first word. */
export function digestChain(m: DigestMemory, word: number): number {
  return word & (m.chains.length - 1);
}

/** Node of a sum; `NIL`: there is none. */
export function findDigest(m: DigestMemory, key: Buffer): number {
  const a = key.readInt32LE(0);
  const b = key.readInt32LE(4);
  const c = key.readInt32LE(8);
  const d = key.readInt32LE(12);
  for (let node = m.chains[digestChain(m, a)]!; node !== NIL; node = m.chainNext[node]!) {
    const k = node * 4;
    if (m.keys[k] === a && m.keys[k + 1] === b && m.keys[k + 2] === c && m.keys[k + 3] === d) return node;
  }
  return NIL;
}

/** Gives a node its key; it is in no chain yet. */
export function writeDigest(m: DigestMemory, node: number, key: Buffer): void {
  for (let i = 0; i < 4; i++) m.keys[node * 4 + i] = key.readInt32LE(i * 4);
}

/** Puts a node into the chain of its key. */
export function linkDigest(m: DigestMemory, node: number): void {
  link(m, digestChain(m, m.keys[node * 4]!), node);
}

export function unlinkDigest(m: DigestMemory, node: number): void {
  unlink(m, digestChain(m, m.keys[node * 4]!), node);
}
