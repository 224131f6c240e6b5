/**
 * Access logs: lines are collected and written by one system call per turn of the event loop, or, with `buffer=`,
 * when the buffer is full or its `flush=` time has come; with `gzip=` each buffer becomes one gzip member.
 *
 * Memory is bounded: what a slow pipe, a full disk or the compressor cannot take beyond a limit is dropped, counted
 * and reported, and traffic goes on.
 */
import { AppendFile, shareFile } from './append-file.ts';
import { type GzipQueue, openGzip } from './gzip-queue.ts';
import { LogFileCache, type LogFileCacheOptions } from './log-file-cache.ts';

export interface AccessLogOptions {
  /** Bytes to collect before writing (`buffer=`); 0: write at the end of each turn of the event loop. */
  bufferSize: number;
  /** Longest time lines stay in the buffer (`flush=`), milliseconds; 0: no limit. */
  flushMs: number;
  /** 1 to 9; 0: no compression. */
  gzipLevel: number;
}

export interface AccessLogHooks {
  /** Called at most once a minute and file when lines are lost. `message` is in nginx's words, fit for level alert. */
  onFailure?: (message: string) => void;
  /** A file named by variables cannot be opened (only with a cache of open files). Fit for level crit. */
  onOpenFailure?: (message: string) => void;
}

/** Bytes that wait for a slow pipe or the compressor, per file. */
const MAX_WAITING = 1024 * 1024;
/** Lines of one turn are written early when they have grown to this: it bounds memory and keeps writes cheap. */
const TURN_SIZE = 64 * 1024;
const RETRY_MS = 10;
const REPORT_MS = 60_000;

/** Files with lines of this turn, and what ends it. */
const turn: AccessLogFile[] = [];
let turnEnd: NodeJS.Immediate | null = null;

/**
 * Writes the lines of this turn now: before a connection is closed, so that whoever sees its end finds its request in the
 * log. Costs nothing when there are none.
 */
export function flushTurn(): void {
  if (turn.length === 0) return;
  if (turnEnd !== null) clearImmediate(turnEnd);
  endTurn();
}

function endTurn(): void {
  turnEnd = null;
  for (const file of turn.splice(0)) file.flush();
}

/** One log file of one thread. Lines are byte strings (each char one byte, latin1), as requests are held. */
export class AccessLogFile {
  readonly path: string;
  readonly #file: AppendFile;
  readonly #options: AccessLogOptions;
  readonly #hooks: AccessLogHooks;
  readonly #gzip: GzipQueue | null;
  #lines = '';
  #timer: NodeJS.Timeout | null = null;
  /** Bytes that a slow pipe did not take yet. */
  #waiting: Uint8Array | null = null;
  #reportedMs = -Infinity;
  #lost = 0;
  #users = 0;
  onUnused: (() => void) | null = null;

  constructor(file: AppendFile, options: AccessLogOptions, hooks: AccessLogHooks) {
    this.path = file.path;
    this.#file = file;
    this.#options = options;
    this.#hooks = hooks;
    this.#gzip = options.gzipLevel > 0 ? openGzip(options.gzipLevel, (member) => this.#put(member)) : null;
    if (file.failure !== null) this.#report(file.failure);
  }

  retain(): this {
    this.#users++;
    return this;
  }

  /** One less logs here. */
  release(): void {
    if (--this.#users === 0) this.onUnused?.();
  }

  /** Writes that were lost because the disk, a pipe or the compressor did not take them. */
  get lost(): number {
    return this.#lost;
  }

  /** @param line with its final line feed */
  write(line: string): void {
    const { bufferSize, flushMs } = this.#options;
    if (bufferSize === 0) {
      if (this.#lines === '') {
        turn.push(this);
        turnEnd ??= setImmediate(endTurn);
      }
      this.#lines += line;
      if (this.#lines.length >= TURN_SIZE) this.flush();
      return;
    }
    // nginx: a line that does not fit any more first sends the buffer off.
    if (this.#lines.length + line.length > bufferSize) this.flush();
    this.#lines += line;
    if (this.#lines.length >= bufferSize) this.flush();
    else if (flushMs > 0 && this.#timer === null) {
      this.#timer = setTimeout(this.#onTimer, flushMs);
      this.#timer.unref();
    }
  }

  readonly #onTimer = (): void => {
    this.#timer = null;
    this.flush();
  };

  /** Hands over what was collected; a plain file has it when this returns, a compressed one soon after. */
  flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#lines === '') return;
    const bytes = Buffer.from(this.#lines, 'latin1');
    this.#lines = '';
    if (this.#gzip === null) this.#put(bytes);
    else if (!this.#gzip.add(bytes)) this.#lose(`compressing of "${this.path}" is too slow`);
  }

  #put(bytes: Uint8Array): void {
    if (this.#waiting !== null) {
      if (this.#waiting.length + bytes.length > MAX_WAITING) this.#lose(`write() to "${this.path}" is too slow`);
      else this.#waiting = Buffer.concat([this.#waiting, bytes]);
      return;
    }
    const taken = this.#file.write(bytes);
    if (taken < 0) this.#lose(this.#file.failure);
    else if (taken < bytes.length) this.#wait(bytes.subarray(taken));
  }

  #wait(bytes: Uint8Array): void {
    this.#waiting = bytes;
    setTimeout(() => {
      const rest = this.#waiting;
      this.#waiting = null;
      if (rest !== null) this.#put(rest);
    }, RETRY_MS).unref();
  }

  #lose(reason: string | null): void {
    this.#lost++;
    if (reason !== null) this.#report(reason);
  }

  /** nginx: at most one message a minute and file, so that a full disk does not fill the error log too. */
  #report(message: string): void {
    const now = performance.now();
    if (now - this.#reportedMs < REPORT_MS) return;
    this.#reportedMs = now;
    this.#hooks.onFailure?.(message);
  }

  /** Writes all that is left, compressed lines too, before returning. */
  close(): void {
    this.flush();
    this.#gzip?.finish();
    if (this.#waiting !== null) this.#file.write(this.#waiting);
    this.#waiting = null;
    this.#file.release();
  }
}

const UNBUFFERED: AccessLogOptions = { bufferSize: 0, flushMs: 0, gzipLevel: 0 };

/** Paths with variables: this many files stay open … */
const MAX_VARIABLE_FILES = 64;
/** … and none longer than this, so that one renamed or removed without USR1 is created anew, as nginx does. */
const VARIABLE_FILE_MS = 1000;

interface CachedFile {
  file: AccessLogFile;
  openedMs: number;
}

/** All access logs of one thread. */
export class AccessLogs {
  readonly #hooks: AccessLogHooks;
  readonly #files = new Map<string, AccessLogFile>();
  /** In order of use: the oldest first. */
  readonly #variable = new Map<string, CachedFile>();
  readonly #caches = new Set<LogFileCache>();
  #timer: NodeJS.Timeout | null = null;

  constructor(hooks: AccessLogHooks = {}) {
    this.#hooks = hooks;
  }

  /**
   * The log of a constant path; asked for once when a configuration is loaded. The same path with the same options
   * is the same log: lines keep their order. Pair with `release()`: the last one that lets go closes it.
   */
  open(path: string, options: AccessLogOptions): AccessLogFile {
    const key = `${options.bufferSize} ${options.flushMs} ${options.gzipLevel} ${path}`;
    let file = this.#files.get(key);
    if (file === undefined) {
      const made = new AccessLogFile(shareFile(path), options, this.#hooks);
      made.onUnused = () => this.#files.delete(key) && made.close();
      this.#files.set(key, (file = made));
    }
    return file.retain();
  }

  /**
   * Writes to a path that was made of variables.
   *
   * @param path absolute, already checked by the caller
   * @param line with its final line feed
   * @param nowMs monotonic clock, milliseconds
   */
  writeTo(path: string, line: string, nowMs: number = performance.now()): void {
    let cached = this.#variable.get(path);
    if (cached !== undefined) {
      this.#variable.delete(path);
      if (nowMs - cached.openedMs >= VARIABLE_FILE_MS) {
        cached.file.close();
        cached = undefined;
      }
    }
    if (cached === undefined) {
      cached = { file: this.#openOwn(path), openedMs: nowMs };
      if (this.#variable.size >= MAX_VARIABLE_FILES) this.#closeOldest();
    }
    this.#variable.set(path, cached);
    cached.file.write(line);
    if (this.#timer === null) {
      this.#timer = setInterval(() => this.#closeIdle(performance.now()), VARIABLE_FILE_MS);
      this.#timer.unref();
    }
  }

  /** Not shared: a shared descriptor would stay open on a file that is gone. */
  #openOwn(path: string): AccessLogFile {
    return new AccessLogFile(new AppendFile(path).retain(), UNBUFFERED, this.#hooks);
  }

  /** Paths that are made of variables, kept open as `open_log_file_cache` says. `release()` closes them. */
  cached(options: LogFileCacheOptions): { writeTo(path: string, line: string): void; release(): void } {
    const cache = new LogFileCache(options, (path) => {
      const file = new AppendFile(path).retain();
      if (file.failure === null) return new AccessLogFile(file, UNBUFFERED, this.#hooks);
      this.#hooks.onOpenFailure?.(file.failure);
      file.release();
      return null;
    });
    this.#caches.add(cache);
    return {
      writeTo: (path, line) => cache.write(path, line, performance.now()),
      release: () => {
        this.#caches.delete(cache);
        cache.close();
      },
    };
  }

  #closeOldest(): void {
    for (const [path, { file }] of this.#variable) {
      this.#variable.delete(path);
      file.close();
      return;
    }
  }

  #closeIdle(nowMs: number): void {
    for (const [path, { file, openedMs }] of this.#variable) {
      if (nowMs - openedMs < VARIABLE_FILE_MS) continue;
      this.#variable.delete(path);
      file.close();
    }
    if (this.#variable.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }

  /** Hands over all that was collected: before a reopen, and when a worker ends. */
  flush(): void {
    for (const file of this.#files.values()) file.flush();
    for (const { file } of this.#variable.values()) file.flush();
    for (const cache of this.#caches) cache.flush();
  }

  /** Before log files are reopened (USR1): what was collected belongs into the old ones. Then `reopenFiles()`. */
  prepareReopen(): void {
    this.flush();
    for (const { file } of this.#variable.values()) file.close();
    this.#variable.clear();
    for (const cache of this.#caches) cache.reopen();
  }

  /** Writes what is left and closes every file. A closed log may be opened again. */
  close(): void {
    for (const file of this.#files.values()) file.close();
    this.#files.clear();
    for (const { file } of this.#variable.values()) file.close();
    this.#variable.clear();
    for (const cache of this.#caches) cache.close();
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }
}
