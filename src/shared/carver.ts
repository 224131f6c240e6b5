/** Typed arrays over shared memory, one behind the other: a structure says once what it is made of, and thereby how large it is. */
import { Buffer } from 'node:buffer';

/** In place of memory: a carver over it only measures, and its arrays are empty. */
export const MEASURE = new SharedArrayBuffer(0);

export class Carver {
  readonly buffer: SharedArrayBuffer;
  /** Bytes handed out so far. */
  size = 0;

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
  }

  float64(n: number): Float64Array<SharedArrayBuffer> {
    const at = this.#take(n * 8);
    return at < 0 ? new Float64Array(MEASURE) : new Float64Array(this.buffer, at, n);
  }

  int32(n: number): Int32Array<SharedArrayBuffer> {
    const at = this.#take(n * 4);
    return at < 0 ? new Int32Array(MEASURE) : new Int32Array(this.buffer, at, n);
  }

  uint32(n: number): Uint32Array<SharedArrayBuffer> {
    const at = this.#take(n * 4);
    return at < 0 ? new Uint32Array(MEASURE) : new Uint32Array(this.buffer, at, n);
  }

  uint16(n: number): Uint16Array<SharedArrayBuffer> {
    const at = this.#take(n * 2);
    return at < 0 ? new Uint16Array(MEASURE) : new Uint16Array(this.buffer, at, n);
  }

  bytes(n: number): Buffer {
    const at = this.#take(n);
    return at < 0 ? Buffer.alloc(0) : Buffer.from(this.buffer, at, n);
  }

  /** All begin at a multiple of eight. @returns -1: there is no memory */
  #take(bytes: number): number {
    const at = this.size;
    this.size = at + Math.ceil(bytes / 8) * 8;
    return this.buffer === MEASURE ? -1 : at;
  }
}
