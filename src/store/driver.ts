/**
 * What a database has to do for `SqlStore`. What is done with it are programs: generators that yield statements and are
 * given rows. So they are written once, run without a pause in SQLite, and wait at each step in PostgreSQL.
 */
import type { Stop, Store } from './store.ts';

export type SqlValue = string | number | null;
export type SqlRow = Record<string, SqlValue>;

/** `?` for each value. */
export interface Statement {
  sql: string;
  values: readonly SqlValue[];
}

export type Program<T> = Generator<Statement, T, SqlRow[]>;

/**
 * `statement`: a single one; `snapshot`: several, that all see one moment; `write`: a transaction, on disk when it
 * returns. A program that throws undoes what it did.
 */
export type Mode = 'statement' | 'snapshot' | 'write';

export interface Driver {
  readonly name: Store['driver'];
  readonly place: string;
  /** What columns are made of, where databases differ. */
  readonly types: { text: string; bigint: string };
  /** @throws {StoreUnavailable} and what the program throws */
  run<T>(program: Program<T>, mode: Mode): Promise<T>;
  /** Runs while no other node does the same. */
  exclusively<T>(work: () => Promise<T>): Promise<T>;
  /** To be called in a program of mode `write`: others are told when it is done. */
  notify(): Program<void>;
  watch(wake: () => void): Stop;
  close(): Promise<void>;
}

/** One statement as a program of its own. */
export function* query(sql: string, ...values: SqlValue[]): Program<SqlRow[]> {
  return yield { sql, values };
}
