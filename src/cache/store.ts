/**
 * A cache as one thread sees it: the keys zone that all share, and the files. Reads and writes whole entries; a file that
 * is damaged, cut or foreign is removed and was never there.
 */
import { Buffer } from 'node:buffer';
import { fstatSync, openSync, readSync, statfsSync } from 'node:fs';
import { failedText } from '../observe/errno.ts';
import { announcedLength, decodeHeader, encodeHeader, PREFIX_BYTES } from './file-format.ts';
import type { FileHeader } from './file-format.ts';
import { KeysZone } from './keys-zone.ts';
import { cacheFile } from './paths.ts';
import type { TreePath } from './paths.ts';
import { closeQuietly, createTemporary, discard, moveInto, removeFile, writeAll } from './write-file.ts';
import type { OpenFile } from './write-file.ts';

export type StoreLog = (level: 'info' | 'error' | 'crit' | 'alert', message: string) => void;

export interface StoreConfig extends TreePath {
  /** Files on their way stand in the location's temporary path; else beside the place they go to. */
  useTempPath: boolean;
}

/** An entry that was read. */
export interface Entry {
  header: FileHeader;
  /** Open for reading; -1: `body` is all of it, and nothing is open. */
  fd: number;
  /** Where the body begins in the file. */
  bodyStart: number;
  body: Buffer | null;
  path: string;
  /** What tells it from another file of the same name. */
  inode: number;
}

/** Read at once: what is not larger stands in memory after one read. */
const FIRST_READ = 64 * 1024;
/** Bodies up to this size are kept in memory. */
export const SMALL_BODY = 32 * 1024;
/** A header part that is being changed may be read half old, half new: it is read again. */
const READS = 3;

/** Where the first part of a file is read: nothing else happens meanwhile. */
const area = Buffer.allocUnsafeSlow(FIRST_READ);

/** Size of the blocks of a directory's file system, in bytes. */
export function blockSizeOf(dir: string): number {
  try {
    return statfsSync(dir).bsize || 4096;
  } catch {
    return 4096;
  }
}

export class CacheStore {
  readonly keys: KeysZone;
  readonly #config: StoreConfig;
  readonly #log: StoreLog;
  /** Of the file system, in bytes. */
  readonly blockSize: number;

  constructor(zone: SharedArrayBuffer, workerId: number, config: StoreConfig, log: StoreLog) {
    this.#config = config;
    this.#log = log;
    this.blockSize = blockSizeOf(config.dir);
    this.keys = new KeysZone(zone, workerId, (key) => this.unlink(key));
  }

  pathOf(key: Buffer): string {
    return cacheFile(this.#config, key);
  }

  blocksOf(size: number): number {
    return Math.ceil(size / this.blockSize);
  }

  /**
   * Opens and checks the file of a key.
   *
   * @param text the key in words: another one with the same sum is not answered with this file
   * @returns null: there is none that can be used
   */
  read(key: Buffer, text: string): Entry | null {
    const path = this.pathOf(key);
    let fd: number;
    try {
      fd = openSync(path, 'r');
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOENT' && code !== 'ENOTDIR') this.#log('crit', failedText(`open() "${path}"`, error));
      return null;
    }
    let entry: Entry | string;
    try {
      entry = this.#readOpen(fd, path);
    } catch (error) {
      closeQuietly(fd);
      this.#log('crit', failedText(`read() "${path}"`, error));
      return null;
    }
    if (typeof entry !== 'string' && entry.header.key !== text) {
      closeQuietly(fd);
      this.#log('crit', `cache file "${path}" has md5 collision`);
      return null;
    }
    if (typeof entry === 'string') {
      closeQuietly(fd);
      this.#log('crit', `cache file "${path}" ${entry}, it is removed`);
      this.unlink(key);
      return null;
    }
    if (entry.body !== null) {
      closeQuietly(fd);
      entry.fd = -1;
    }
    return entry;
  }

  #readOpen(fd: number, path: string): Entry | string {
    let wrong = '';
    for (let attempt = 0; attempt < READS; attempt++) {
      const stats = fstatSync(fd);
      if (!stats.isFile()) return 'is not a regular file';
      const { size } = stats;
      let n = readSync(fd, area, 0, FIRST_READ, 0);
      let buf = area;
      const length = announcedLength(area.subarray(0, n));
      if (length < 0) return n < PREFIX_BYTES ? 'is too small' : 'is not a file of this cache';
      if (length > n && n === FIRST_READ) {
        buf = Buffer.allocUnsafe(length);
        n = readSync(fd, buf, 0, length, 0);
      }
      const header = decodeHeader(buf.subarray(0, n), size);
      if (typeof header === 'string') {
        wrong = header;
        continue;
      }
      const { bodyLength } = header;
      const small = bodyLength <= SMALL_BODY && length + bodyLength <= n;
      const body = small ? Buffer.from(buf.subarray(length, length + bodyLength)) : null;
      return { header, fd, bodyStart: length, body, path, inode: stats.ino };
    }
    return wrong;
  }

  /** A file on its way into the cache. @param temporary where the location puts such. @throws the system's error */
  create(key: Buffer, temporary: TreePath): OpenFile {
    return createTemporary(temporary, this.#config.useTempPath ? null : this.pathOf(key));
  }

  /**
   * A complete entry takes its place: from now on it is the key's.
   *
   * @param size of the file
   * @returns its version
   * @throws the system's error; the file is gone then
   */
  commit(key: Buffer, ticket: number, file: OpenFile, size: number, nowSec: number): number {
    closeQuietly(file.fd);
    return this.commitOpen(key, ticket, file.path, size, nowSec);
  }

  /** As `commit`, for a file that somebody else closes. */
  commitOpen(key: Buffer, ticket: number, path: string, size: number, nowSec: number): number {
    moveInto(path, this.pathOf(key));
    return this.keys.publish(key, ticket, this.blocksOf(size), nowSec);
  }

  /** Writes an entry whose body is at hand. @throws the system's error */
  writeWhole(
    key: Buffer,
    ticket: number,
    header: FileHeader,
    body: { buf: Buffer; start: number; end: number },
    temporary: TreePath,
    nowSec: number,
  ): number {
    header.bodyLength = body.end - body.start;
    const head = encodeHeader(header);
    const file = this.create(key, temporary);
    try {
      // One write for what is small.
      const whole =
        header.bodyLength <= SMALL_BODY ? Buffer.concat([head, body.buf.subarray(body.start, body.end)]) : head;
      writeAll(file.fd, whole, 0, whole.length, 0);
      if (whole === head) writeAll(file.fd, body.buf, body.start, body.end, head.length);
    } catch (error) {
      discard(file);
      throw error;
    }
    return this.commit(key, ticket, file, head.length + header.bodyLength, nowSec);
  }

  /**
   * An entry stays as it is, but for its times: it was found unchanged (304).
   *
   * @param inode of the file that was read; another one has taken its place otherwise
   * @returns its new version; 0: it is not there any more
   */
  refresh(key: Buffer, ticket: number, header: FileHeader, inode: number): number {
    const path = this.pathOf(key);
    let fd = -1;
    try {
      fd = openSync(path, 'r+');
      const stats = fstatSync(fd);
      const head = encodeHeader(header);
      if (stats.ino !== inode || stats.size !== head.length + header.bodyLength) return 0;
      writeAll(fd, head, 0, head.length, 0);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
        this.#log('crit', failedText(`write() "${path}"`, error));
      }
      return 0;
    } finally {
      if (fd >= 0) closeQuietly(fd);
    }
    return this.keys.renew(key, ticket);
  }

  /** Removes the file of a key. */
  unlink(key: Buffer): void {
    const path = this.pathOf(key);
    const error = removeFile(path);
    if (error !== null) this.#log('crit', failedText(`unlink() "${path}"`, error));
  }

  /** Forgets a key, and removes its file. @returns whether it had one */
  remove(key: Buffer): boolean {
    const had = this.keys.remove(key);
    // What the zone does not know may stand on disk while the loader is on its way.
    if (had || this.keys.cold) this.unlink(key);
    return had;
  }
}
