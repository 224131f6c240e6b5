/** The tables. A change of them is one more entry at the end: those before are never edited. */
import type { Driver, Program, SqlRow } from './driver.ts';
import { StoreUnavailable } from './store.ts';
import { query } from './driver.ts';

type Types = Driver['types'];

const MIGRATIONS: readonly ((types: Types) => string[])[] = [
  ({ text, bigint }) => [
    // `revision`: of the last write. `forgotten`: what happened up to it can no longer be told in detail.
    `CREATE TABLE headrace_meta (name ${text} PRIMARY KEY, value ${bigint} NOT NULL)`,
    `INSERT INTO headrace_meta (name, value) VALUES ('revision', 0), ('forgotten', 0)`,
    `CREATE TABLE headrace_entities (
       kind ${text} NOT NULL, id ${text} NOT NULL, revision ${bigint} NOT NULL, data ${text} NOT NULL,
       PRIMARY KEY (kind, id))`,
    `CREATE INDEX headrace_entities_revision ON headrace_entities (revision)`,
    `CREATE TABLE headrace_keys (
       kind ${text} NOT NULL, name ${text} NOT NULL, value ${text} NOT NULL, id ${text} NOT NULL,
       PRIMARY KEY (kind, name, value))`,
    `CREATE INDEX headrace_keys_id ON headrace_keys (kind, id)`,
    `CREATE TABLE headrace_refs (
       kind ${text} NOT NULL, id ${text} NOT NULL, field ${text} NOT NULL,
       to_kind ${text} NOT NULL, to_id ${text} NOT NULL, cascade_delete ${bigint} NOT NULL,
       PRIMARY KEY (kind, id, field))`,
    `CREATE INDEX headrace_refs_to ON headrace_refs (to_kind, to_id, kind, field, id)`,
    `CREATE TABLE headrace_tags (
       tag ${text} NOT NULL, kind ${text} NOT NULL, id ${text} NOT NULL,
       PRIMARY KEY (tag, kind, id))`,
    `CREATE INDEX headrace_tags_id ON headrace_tags (kind, id)`,
    `CREATE TABLE headrace_gone (
       kind ${text} NOT NULL, id ${text} NOT NULL, revision ${bigint} NOT NULL, PRIMARY KEY (kind, id))`,
    `CREATE INDEX headrace_gone_revision ON headrace_gone (revision)`,
    `CREATE TABLE headrace_marks (revision ${bigint} PRIMARY KEY, at ${bigint} NOT NULL, data ${text} NOT NULL)`,
  ],
];

export const SCHEMA_VERSION = MIGRATIONS.length;

export interface Migrated {
  from: number;
  to: number;
}

/**
 * Brings the tables to this version's state; does nothing when they are.
 *
 * @throws {StoreUnavailable} also when a newer Headrace has been here
 */
export function migrate(driver: Driver): Promise<Migrated> {
  return driver.exclusively(() => driver.run(program(driver), 'write'));
}

function* program({ types, place }: Driver): Program<Migrated> {
  yield* query(`CREATE TABLE IF NOT EXISTS headrace_schema (version ${types.bigint} PRIMARY KEY)`);
  const [row]: SqlRow[] = yield* query('SELECT max(version) AS version FROM headrace_schema');
  const from = Number(row?.version ?? 0);
  if (from > SCHEMA_VERSION) {
    throw new StoreUnavailable(
      `${place} has tables of version ${from}, of a newer Headrace; this one knows up to ${SCHEMA_VERSION}`,
    );
  }
  for (let version = from + 1; version <= SCHEMA_VERSION; version++) {
    for (const sql of MIGRATIONS[version - 1]?.(types) ?? []) yield* query(sql);
    yield* query('INSERT INTO headrace_schema (version) VALUES (?)', version);
  }
  return { from, to: SCHEMA_VERSION };
}
