/**
 * Compresses buffers in order, off the event loop, each into a gzip member of its own (RFC 1952, 2.2: members follow
 * each other, so the file can be appended to and read at any time).
 */

/** Bytes that wait for the compressor. */
const MAX_WAITING = 1024 * 1024;

export interface GzipQueue {
  /** @returns false when too much waits already: the bytes are dropped */
  add(bytes: Uint8Array): boolean;
  /** Compresses all that waits before returning. */
  finish(): void;
}

/**
 * @param level 1 to 9
 * @param done takes the finished members in order
 */
export function openGzip(level: number, done: (member: Uint8Array) => void): GzipQueue {
  // Loaded here: node:zlib is not free at start and few logs are compressed.
  const zlib = process.getBuiltinModule('node:zlib');
  const queue: Uint8Array[] = [];
  let size = 0;
  let busy = false;

  const take = (): Uint8Array => {
    const bytes = queue.shift()!;
    size -= bytes.length;
    return bytes;
  };
  const next = (): void => {
    const bytes = queue[0];
    if (busy || bytes === undefined) return;
    busy = true;
    zlib.gzip(bytes, { level }, (error, member) => {
      busy = false;
      // `finish` was faster.
      if (queue[0] !== bytes) return next();
      take();
      if (error === null) done(member);
      next();
    });
  };

  return {
    add(bytes) {
      if (size + bytes.length > MAX_WAITING && queue.length > 0) return false;
      queue.push(bytes);
      size += bytes.length;
      next();
      return true;
    },
    finish() {
      while (queue.length > 0) done(zlib.gzipSync(take(), { level }));
    },
  };
}
