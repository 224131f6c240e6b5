/**
 * SQLite, in the process: a file in the data directory, or memory alone. Needs nothing installed.
 *
 * A write-ahead log with `synchronous = FULL`: what a write has returned for is on disk, after kill -9 and after the power
 * went off. All nodes that share the file must be on one machine.
 */
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { StatementSync } from 'node:sqlite';
import type { Driver, Mode, Program, SqlRow } from './driver.ts';
import { type Stop, StoreUnavailable } from './store.ts';

/** How often it is looked whether another process has written. */
const POLL_MS = 500;
/** How long to wait for another process's write. */
const BUSY_MS = 5000;

const BEGIN: Record<Mode, string | null> = { statement: null, snapshot: 'BEGIN', write: 'BEGIN IMMEDIATE' };

export const IN_MEMORY = ':memory:';

export class SqliteDriver implements Driver {
  readonly name = 'sqlite';
  readonly place: string;
  readonly types = { text: 'TEXT', bigint: 'BIGINT' } as const;
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  readonly #watchers = new Set<() => void>();
  #poll: NodeJS.Timeout | null = null;
  #version = 0;

  /**
   * @param file is made, with its directory, for this user alone: there are private keys in it
   * @throws {StoreUnavailable}
   */
  constructor(file: string) {
    this.place = file === IN_MEMORY ? 'memory' : file;
    try {
      if (file !== IN_MEMORY) {
        mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
        closeSync(openSync(file, 'a', 0o600));
      }
      this.#db = new DatabaseSync(file);
      this.#db.exec(`PRAGMA busy_timeout = ${BUSY_MS}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;`);
    } catch (error) {
      throw this.#unavailable(error);
    }
  }

  /** Runs to its end without a pause, so that nothing comes in between; `async` only for the interface. */
  async run<T>(program: Program<T>, mode: Mode): Promise<T> {
    const begin = BEGIN[mode];
    let result: T;
    try {
      if (begin !== null) this.#db.exec(begin);
      try {
        result = this.#steps(program);
        if (begin !== null) this.#db.exec('COMMIT');
      } catch (error) {
        if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
        throw error;
      }
    } catch (error) {
      throw isSqlite(error) ? this.#unavailable(error) : error;
    }
    if (mode === 'write') this.#wake();
    return result;
  }

  #steps<T>(program: Program<T>): T {
    let step = program.next();
    while (step.done !== true) {
      const { sql, values } = step.value;
      let statement = this.#statements.get(sql);
      if (statement === undefined) {
        statement = this.#db.prepare(sql);
        this.#statements.set(sql, statement);
      }
      step = program.next(statement.all(...values) as SqlRow[]);
    }
    return step.value;
  }

  /** A write transaction is exclusive already. */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    return work();
  }

  /** There is nobody to tell: others look. */
  *notify(): Program<void> {}

  watch(wake: () => void): Stop {
    this.#watchers.add(wake);
    if (this.#poll === null) {
      this.#version = this.#dataVersion();
      this.#poll = setInterval(() => this.#look(), POLL_MS).unref();
    }
    return () => {
      this.#watchers.delete(wake);
      if (this.#watchers.size === 0) this.#stopPolling();
    };
  }

  /** SQLite counts the writes of other connections. */
  #look(): void {
    const version = this.#dataVersion();
    if (version === this.#version) return;
    this.#version = version;
    this.#wake();
  }

  #dataVersion(): number {
    try {
      return Number(this.#db.prepare('PRAGMA data_version').get()?.data_version);
    } catch {
      // Whoever reads next will say what is wrong.
      return -1;
    }
  }

  #wake(): void {
    for (const wake of this.#watchers) wake();
  }

  #stopPolling(): void {
    if (this.#poll !== null) clearInterval(this.#poll);
    this.#poll = null;
  }

  async close(): Promise<void> {
    this.#stopPolling();
    this.#watchers.clear();
    this.#statements.clear();
    if (this.#db.isOpen) this.#db.close();
  }

  #unavailable(error: unknown): StoreUnavailable {
    return new StoreUnavailable(`${this.place}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

/** Of SQLite or of its binding, and not of a program. */
function isSqlite(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException | null)?.code;
  return code === 'ERR_SQLITE_ERROR' || code === 'ERR_INVALID_STATE';
}
