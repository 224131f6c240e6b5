/**
 * PostgreSQL (15 and newer), for several nodes. Each write notifies the others (LISTEN/NOTIFY); behind that everybody
 * looks once a second, so that a lost notification costs a second and no more. While the database is away, reads and
 * writes fail, and connections are tried again with growing pauses.
 */
import pg from 'pg';
import type { Driver, Mode, Program, SqlRow } from './driver.ts';
import { type Stop, StoreUnavailable } from './store.ts';

const CHANNEL = 'headrace';
/** Any number that nobody else takes: `headrace` in ASCII, without its last letter's high bits. */
const LOCK = '7521983763894330213';
const POLL_MS = 1000;
const CONNECT_MS = 5000;
const STATEMENT_MS = 15_000;
const CONNECTIONS = 6;
/** Pauses between tries of the connection that listens. */
const RETRY_MS = { first: 100, most: 2000 };

const BEGIN: Record<Mode, string | null> = {
  statement: null,
  snapshot: 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY',
  write: 'BEGIN',
};

const INT8 = 20;
/** Revisions and times fit a number; pg gives 64-bit integers as texts. */
const types = {
  getTypeParser: (oid: number, format?: 'text' | 'binary'): unknown =>
    oid === INT8 ? Number : pg.types.getTypeParser(oid, format as 'text'),
};

const numbered = new Map<string, string>();

/** `?` to `$1`, `$2`, … There is no question mark in our statements that is none. */
function withNumbers(sql: string): string {
  let text = numbered.get(sql);
  if (text === undefined) {
    let n = 0;
    text = sql.replace(/\?/g, () => `$${++n}`);
    numbered.set(sql, text);
  }
  return text;
}

export class PostgresDriver implements Driver {
  readonly name = 'postgres';
  readonly place: string;
  // Order by bytes, whatever the database's language is.
  readonly types = { text: 'text COLLATE "C"', bigint: 'bigint' } as const;
  readonly #options: pg.ClientConfig;
  readonly #pool: pg.Pool;
  readonly #watchers = new Set<() => void>();
  #listening: Listening | null = null;

  /** Connects when it is first used. @param place the address without its password */
  constructor(url: string, place: string) {
    this.place = place;
    this.#options = {
      connectionString: url,
      application_name: 'headrace',
      connectionTimeoutMillis: CONNECT_MS,
      statement_timeout: STATEMENT_MS,
      query_timeout: STATEMENT_MS + 1000,
      keepAlive: true,
    };
    this.#pool = new pg.Pool({ ...this.#options, types: types as pg.CustomTypesConfig, max: CONNECTIONS });
    // Idle connections that break; the next one who asks opens another.
    this.#pool.on('error', () => {});
  }

  async run<T>(program: Program<T>, mode: Mode): Promise<T> {
    const client = await this.#guard(() => this.#pool.connect());
    const begin = BEGIN[mode];
    let broken = false;
    try {
      if (begin !== null) await this.#guard(() => client.query(begin));
      const result = await this.#steps(client, program);
      if (begin !== null) await this.#guard(() => client.query('COMMIT'));
      if (mode === 'write') this.#wake();
      return result;
    } catch (error) {
      // A connection in an unknown state is not used again.
      broken = error instanceof StoreUnavailable;
      if (!broken && begin !== null) broken = await client.query('ROLLBACK').then(...always(false, true));
      throw error;
    } finally {
      client.release(broken);
    }
  }

  async #steps<T>(client: pg.PoolClient, program: Program<T>): Promise<T> {
    let step = program.next();
    while (step.done !== true) {
      const { sql, values } = step.value;
      const { rows } = await this.#guard(() => client.query<SqlRow>(withNumbers(sql), [...values]));
      step = program.next(rows);
    }
    return step.value;
  }

  /** Nodes that start at once wait for the first one to make the tables. */
  async exclusively<T>(work: () => Promise<T>): Promise<T> {
    const client = await this.#guard(() => this.#pool.connect());
    let broken = true;
    try {
      await this.#guard(() => client.query('SELECT pg_advisory_lock($1)', [LOCK]));
      const result = await work();
      broken = false;
      return result;
    } finally {
      // A connection that is closed gives its lock back.
      if (!broken) broken = await client.query('SELECT pg_advisory_unlock($1)', [LOCK]).then(...always(false, true));
      client.release(broken);
    }
  }

  /** Goes out when the transaction has ended. */
  *notify(): Program<void> {
    yield { sql: `SELECT pg_notify('${CHANNEL}', '')`, values: [] };
  }

  watch(wake: () => void): Stop {
    this.#watchers.add(wake);
    this.#listening ??= new Listening(this.#options, () => this.#wake());
    return () => {
      this.#watchers.delete(wake);
      if (this.#watchers.size > 0) return;
      void this.#listening?.close();
      this.#listening = null;
    };
  }

  #wake(): void {
    for (const wake of this.#watchers) wake();
  }

  async close(): Promise<void> {
    this.#watchers.clear();
    await this.#listening?.close();
    this.#listening = null;
    if (!this.#pool.ended) await this.#pool.end();
  }

  async #guard<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const text = error instanceof Error ? error.message || error.name : String(error);
      throw new StoreUnavailable(`${this.place}: ${text}`, { cause: error });
    }
  }
}

/** Answers of `then` for a promise that nobody's value matters of. */
function always<T>(good: T, bad: T): [() => T, () => T] {
  return [() => good, () => bad];
}

/** A connection of its own that hears of writes, made anew when it breaks; and a clock behind it. */
class Listening {
  readonly #options: pg.ClientConfig;
  readonly #wake: () => void;
  readonly #poll: NodeJS.Timeout;
  #client: pg.Client | null = null;
  #retry: NodeJS.Timeout | null = null;
  #pauseMs = RETRY_MS.first;
  #closed = false;

  constructor(options: pg.ClientConfig, wake: () => void) {
    this.#options = options;
    this.#wake = wake;
    this.#poll = setInterval(wake, POLL_MS).unref();
    void this.#connect();
  }

  async #connect(): Promise<void> {
    const client = new pg.Client(this.#options);
    this.#client = client;
    client.on('notification', () => this.#wake());
    client.on('error', () => this.#again(client));
    client.on('end', () => this.#again(client));
    try {
      await client.connect();
      await client.query(`LISTEN ${CHANNEL}`);
      this.#pauseMs = RETRY_MS.first;
      // Of what was written before, nobody was told.
      if (!this.#closed) this.#wake();
    } catch {
      this.#again(client);
    }
  }

  #again(client: pg.Client): void {
    if (this.#client !== client) return;
    this.#client = null;
    void client.end().catch(() => {});
    if (this.#closed) return;
    this.#retry = setTimeout(() => void this.#connect(), this.#pauseMs).unref();
    this.#pauseMs = Math.min(this.#pauseMs * 2, RETRY_MS.most);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#poll);
    if (this.#retry !== null) clearTimeout(this.#retry);
    const client = this.#client;
    this.#client = null;
    await client?.end().catch(() => {});
  }
}
