/**
 * Log files: opened for appending, shared by all that log to the same path in this thread, reopened after a rename.
 *
 * Lines of several threads do not mix because each is one write(2) to a descriptor with O_APPEND.
 * Nothing here throws: a log that cannot be written must not stop traffic; what was lost is counted.
 */
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { asError, failedText } from './errno.ts';

/** O_NONBLOCK: a pipe whose reader is slow or away must not stop the thread; files do not care. */
export const LOG_FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK;
const MODE = 0o644;

export class AppendFile {
  readonly path: string;
  /** Failed writes since the file was opened first. */
  lost = 0;
  /** The last failure of open or write, in nginx's words; null after a success. */
  failure: string | null = null;
  #fd = -1;
  #users = 0;
  /** A full disk is left alone for the rest of the second, as nginx does: such writes can block for long. */
  #fullUntilMs = 0;

  constructor(path: string) {
    this.path = path;
    this.#open();
  }

  get isOpen(): boolean {
    return this.#fd >= 0;
  }

  #open(): void {
    try {
      this.#fd = openSync(this.path, LOG_FLAGS, MODE);
      this.failure = null;
    } catch (error) {
      this.#fd = -1;
      this.failure = failedText(`open() "${this.path}"`, error);
    }
  }

  /**
   * Appends `bytes` by one write (two if the first one took a part).
   *
   * @param bytes whole lines
   * @returns the number of bytes taken, less than all when the reader of a pipe is slow; -1: lost, see `failure`
   */
  write(bytes: Uint8Array): number {
    if (this.#fd < 0 || (this.#fullUntilMs !== 0 && Date.now() < this.#fullUntilMs)) return this.#lose();
    let done = 0;
    try {
      done = writeSync(this.#fd, bytes);
      if (done < bytes.length) done += writeSync(this.#fd, bytes, done);
    } catch (error) {
      const { code } = asError(error);
      if (code === 'EAGAIN') return done;
      if (code === 'ENOSPC' || code === 'EDQUOT') this.#fullUntilMs = Date.now() + 1000;
      this.failure = failedText(`write() to "${this.path}"`, error);
      return this.#lose();
    }
    this.#fullUntilMs = 0;
    this.failure = null;
    return done;
  }

  #lose(): -1 {
    this.lost++;
    return -1;
  }

  /**
   * Opens the path anew (USR1) and closes the old descriptor. When that fails the old one stays in use.
   *
   * @returns the error in nginx's words, or null
   */
  reopen(): string | null {
    const old = this.#fd;
    this.#open();
    if (this.#fd < 0) {
      this.#fd = old;
      return this.failure;
    }
    if (old >= 0) closeQuietly(old);
    return null;
  }

  /** Counts one more that logs here. */
  retain(): this {
    this.#users++;
    return this;
  }

  /** The last one that lets go closes the file. */
  release(): void {
    if (--this.#users > 0) return;
    if (files.get(this.path) === this) files.delete(this.path);
    this.close();
  }

  close(): void {
    if (this.#fd >= 0) closeQuietly(this.#fd);
    this.#fd = -1;
  }
}

function closeQuietly(fd: number): void {
  try {
    closeSync(fd);
  } catch {
    // A log file that cannot be closed is no reason to do anything else.
  }
}

/** All that are open in this thread, by path. */
const files = new Map<string, AppendFile>();

/** The file of this path, opened if it is not yet. Pair with `release()`. `isOpen` and `failure` tell the outcome. */
export function shareFile(path: string): AppendFile {
  let file = files.get(path);
  if (file === undefined) files.set(path, (file = new AppendFile(path)));
  return file.retain();
}

/**
 * Reopens every log file of this thread: what USR1 asks for.
 *
 * @returns the errors in nginx's words
 */
export function reopenFiles(): string[] {
  const failures: string[] = [];
  for (const file of files.values()) {
    const failure = file.reopen();
    if (failure !== null) failures.push(failure);
  }
  return failures;
}
