/**
 * The pid file: written when all addresses are bound, removed at the end.
 */
import { closeSync, ftruncateSync, openSync, readFileSync, unlinkSync, writeSync } from 'node:fs';
import { failedText } from '../observe/errno.ts';

const MODE = 0o644;

/**
 * Reads the process number that `-s` is for.
 *
 * @returns the number, or the error in nginx's words
 */
export function readPidFile(path: string): { pid: number } | { error: string } {
  let text: string;
  try {
    text = readFileSync(path, 'latin1').slice(0, 22);
  } catch (error) {
    return { error: failedText(`open() "${path}"`, error) };
  }
  const digits = text.replace(/[\r\n]+$/, '');
  // 0 and negative numbers would signal whole process groups; a pid_t has 31 bits.
  if (!/^\d{1,10}$/.test(digits) || Number(digits) === 0 || Number(digits) > 0x7fffffff) {
    return { error: `invalid PID number "${digits}" in "${path}"` };
  }
  return { pid: Number(digits) };
}

/** The pid file of this process. */
export class PidFile {
  #path: string | null = null;
  #fd = -1;

  /**
   * Writes the file, over one that a crash may have left; when the path has changed, removes the old one.
   *
   * @param path empty: none is wanted
   * @returns the error in nginx's words, or null
   */
  write(path: string): string | null {
    if (path === this.#path) return null;
    if (path === '') return this.remove();
    let fd: number;
    try {
      fd = openSync(path, 'w', MODE);
      writeSync(fd, `${process.pid}\n`);
    } catch (error) {
      return failedText(`open() "${path}"`, error);
    }
    this.remove();
    this.#path = path;
    // Kept open: after `user` has taken effect the directory may not let the file go, but it can still be emptied.
    this.#fd = fd;
    return null;
  }

  /**
   * Removes the file, unless another process has put its own number there.
   *
   * @returns the error in nginx's words, or null
   */
  remove(): string | null {
    const path = this.#path;
    if (path === null) return null;
    this.#path = null;
    let failure: string | null = null;
    try {
      const found = readPidFile(path);
      if ('pid' in found && found.pid === process.pid) unlinkSync(path);
    } catch (error) {
      failure = failedText(`unlink() "${path}"`, error);
      try {
        ftruncateSync(this.#fd, 0);
      } catch {
        // Said already that it stays.
      }
    }
    closeSync(this.#fd);
    this.#fd = -1;
    return failure;
  }
}
