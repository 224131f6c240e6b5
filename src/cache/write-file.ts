/** Making files that nobody sees before they are complete: a temporary name, then a rename. */
import { closeSync, copyFileSync, mkdirSync, openSync, renameSync, unlinkSync, writeSync } from 'node:fs';
import { Buffer } from 'node:buffer';
import { dirname } from 'node:path';
import { leveled, temporaryNumber } from './paths.ts';
import type { TreePath } from './paths.ts';

const ATTEMPTS = 10;

export interface OpenFile {
  path: string;
  fd: number;
}

function code(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}

/** @throws the system's error when there can be no such file */
function create(path: string, mode: number): number {
  try {
    return openSync(path, 'wx+', mode);
  } catch (error) {
    if (code(error) !== 'ENOENT') throw error;
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    return openSync(path, 'wx+', mode);
  }
}

/**
 * Makes a temporary file to write and read.
 *
 * @param beside the file it will become, when it is to stand in the same directory; null: in the tree of temporary files
 * @throws the system's error
 */
export function createTemporary(tree: TreePath, beside: string | null, mode = 0o600): OpenFile {
  for (let attempt = 1; ; attempt++) {
    const number = temporaryNumber();
    const path = beside === null ? leveled(tree, number) : `${beside}.${number}`;
    try {
      return { path, fd: create(path, mode) };
    } catch (error) {
      // Another one has this name.
      if (code(error) !== 'EEXIST' || attempt === ATTEMPTS) throw error;
    }
  }
}

/**
 * Gives a file its final name, and takes the place of what has it.
 *
 * @param directoryMode of directories that have to be made
 * @throws the system's error; the temporary file is removed then
 */
export function moveInto(from: string, to: string | Buffer, directoryMode = 0o700): void {
  try {
    try {
      renameSync(from, to);
    } catch (error) {
      if (code(error) === 'ENOENT') {
        mkdirSync(directoryOf(to), { recursive: true, mode: directoryMode });
        renameSync(from, to);
      } else if (code(error) === 'EXDEV') moveAcross(from, to, directoryMode);
      else throw error;
    }
  } catch (error) {
    removeFile(from);
    throw error;
  }
}

/** To another file system: by a copy that stands beside its final place before it gets its name. */
function moveAcross(from: string, to: string | Buffer, directoryMode: number): void {
  mkdirSync(directoryOf(to), { recursive: true, mode: directoryMode });
  const number = `.${temporaryNumber()}`;
  const beside = typeof to === 'string' ? to + number : Buffer.concat([to, Buffer.from(number)]);
  try {
    copyFileSync(from, beside);
    renameSync(beside, to);
  } catch (error) {
    removeFile(beside);
    throw error;
  }
  removeFile(from);
}

/** Of a path that may be bytes. */
function directoryOf(path: string | Buffer): string | Buffer {
  if (typeof path === 'string') return dirname(path);
  return path.subarray(0, Math.max(1, path.lastIndexOf(0x2f)));
}

/** Writes all of it. @throws the system's error; ENOSPC if the disk takes only a part */
export function writeAll(fd: number, buf: Buffer, start: number, end: number, position: number): void {
  while (start < end) {
    const n = writeSync(fd, buf, start, end - start, position);
    start += n;
    position += n;
  }
}

/** Closes and removes a temporary file that is not wanted; one that is gone already is no error. */
export function discard(file: OpenFile): void {
  closeQuietly(file.fd);
  removeFile(file.path);
}

export function closeQuietly(fd: number): void {
  try {
    closeSync(fd);
  } catch {
    // It was ours alone: nothing is left to be done about it.
  }
}

/** @returns null, or the error if it is there and cannot be removed */
export function removeFile(path: string | Buffer): Error | null {
  try {
    unlinkSync(path);
    return null;
  } catch (error) {
    return code(error) === 'ENOENT' ? null : (error as Error);
  }
}
