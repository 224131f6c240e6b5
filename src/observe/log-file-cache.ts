/**
 * `open_log_file_cache`: files whose names are made of variables stay open when they are used often enough, as nginx's
 * cache of open files keeps them. One for each place that configures it.
 */

export interface LogFileCacheOptions {
  /** Names that are remembered; the one that was not used for longest makes room. */
  max: number;
  /** A name that was not used for so long is forgotten, milliseconds. */
  inactiveMs: number;
  /** A file stays open from its so-manieth use on. */
  minUses: number;
  /** A file that is open for so long is opened anew, as it may have been renamed; milliseconds. */
  validMs: number;
}

/** What is kept open. */
export interface CacheableFile {
  write(line: string): void;
  /** Writes what is left, and closes. */
  close(): void;
  flush(): void;
}

interface Entry {
  file: CacheableFile | null;
  uses: number;
  openedMs: number;
  usedMs: number;
}

export class LogFileCache {
  readonly #options: LogFileCacheOptions;
  readonly #open: (path: string) => CacheableFile | null;
  /** In order of use: the oldest first. */
  readonly #entries = new Map<string, Entry>();

  /** @param open null: it cannot be opened, and who opens has told so */
  constructor(options: LogFileCacheOptions, open: (path: string) => CacheableFile | null) {
    this.#options = options;
    this.#open = open;
  }

  /**
   * @param path absolute
   * @param line with its final line feed
   * @param nowMs monotonic clock, milliseconds
   */
  write(path: string, line: string, nowMs: number): void {
    this.#forgetIdle(nowMs);
    const entry = this.#opened(path, nowMs);
    if (entry === null) return;
    entry.uses++;
    entry.usedMs = nowMs;
    entry.file!.write(line);
    if (entry.uses < this.#options.minUses) close(entry);
  }

  /** The entry with its file open, as the one used last; null: it cannot be opened, and is forgotten. */
  #opened(path: string, nowMs: number): Entry | null {
    const known = this.#entries.get(path);
    this.#entries.delete(path);
    const entry = known ?? { file: null, uses: 0, openedMs: nowMs, usedMs: nowMs };
    if (entry.file !== null && nowMs - entry.openedMs >= this.#options.validMs) close(entry);
    if (entry.file === null) {
      entry.file = this.#open(path);
      entry.openedMs = nowMs;
      if (entry.file === null) return null;
    }
    if (this.#entries.size >= this.#options.max) this.#forgetOldest();
    this.#entries.set(path, entry);
    return entry;
  }

  #forgetOldest(): void {
    for (const [path, entry] of this.#entries) {
      this.#entries.delete(path);
      close(entry);
      return;
    }
  }

  #forgetIdle(nowMs: number): void {
    for (const [path, entry] of this.#entries) {
      if (nowMs - entry.usedMs < this.#options.inactiveMs) return;
      this.#entries.delete(path);
      close(entry);
    }
  }

  flush(): void {
    for (const { file } of this.#entries.values()) file?.flush();
  }

  /** Closes all files; names are remembered. */
  reopen(): void {
    for (const entry of this.#entries.values()) close(entry);
  }

  close(): void {
    this.reopen();
    this.#entries.clear();
  }
}

function close(entry: Entry): void {
  entry.file?.close();
  entry.file = null;
}
