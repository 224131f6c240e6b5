/** Files that hold what does not fit into memory for as long as a request lives. */
import { closeSync, mkdirSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { threadId } from 'node:worker_threads';
import type { HttpRequest } from '../request.ts';

/** `off`: the name is gone at once; `clean`: when the file is closed; `on`: it stays. */
export type Keeping = 'off' | 'clean' | 'on';

let serial = 0;
/** Names that are taken already: files that stayed (`client_body_in_file_only on`) of an earlier process of this number. */
const MAX_TAKEN = 10_000;

export class TempFile {
  readonly path: string;
  /** Bytes written. */
  length = 0;
  /** Requests that read it; it is closed with the last one. */
  users = 1;
  readonly #fd: number;
  readonly #unlink: boolean;

  private constructor(path: string, fd: number, unlink: boolean) {
    this.path = path;
    this.#fd = fd;
    this.#unlink = unlink;
  }

  /** Makes a file for a request; null: it could not, which was logged. */
  static open(r: HttpRequest, directory: string, keeping: Keeping): TempFile | null {
    let path = '';
    try {
      for (let i = 0; ; i++) {
        path = join(directory, `${process.pid}-${threadId}-${++serial}`);
        const fd = openNew(directory, path, i === MAX_TAKEN);
        if (fd < 0) continue;
        // So that nothing is left behind whatever happens.
        if (keeping === 'off') unlinkSync(path);
        return new TempFile(path, fd, keeping === 'clean');
      }
    } catch (error) {
      r.loc.log.write('crit', `open() "${path}" failed (${(error as Error).message})`);
      return null;
    }
  }

  /** Appends bytes; false: it could not, which was logged. */
  append(r: HttpRequest, buf: Buffer, start: number, end: number): boolean {
    try {
      let at = start;
      while (at < end) {
        const written = writeSync(this.#fd, buf, at, end - at, this.length);
        at += written;
        this.length += written;
      }
      return true;
    } catch (error) {
      r.loc.log.write('crit', `write() "${this.path}" failed (${(error as Error).message})`);
      return false;
    }
  }

  /** Reads from `offset` into `into`; returns the number of bytes, 0 at the end. */
  read(into: Buffer, offset: number): number {
    const n = Math.min(into.length, this.length - offset);
    return n <= 0 ? 0 : readSync(this.#fd, into, 0, n, offset);
  }

  release(): void {
    if (--this.users > 0) return;
    closeSync(this.#fd);
    if (!this.#unlink) return;
    try {
      unlinkSync(this.path);
    } catch {
      // Whoever was given its name may have taken it away.
    }
  }
}

/** Opens a file that was not there; -1: there is one of this name. */
function openNew(directory: string, path: string, lastTry: boolean): number {
  try {
    return openSync(path, 'wx+', 0o600);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST' && !lastTry) return -1;
    if (code !== 'ENOENT') throw error;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    return openSync(path, 'wx+', 0o600);
  }
}
