/** The programs that change things. All happens under one revision, in one transaction. */
import { foreignKeyViolation, primaryKeyViolation, stillReferenced, uniqueViolation } from '../config/kong/errors.ts';
import { keysOf, referencesOf, tagsOf } from '../config/kong/keys.ts';
import type { KongMark } from '../config/kong/model.ts';
import { KINDS } from '../config/kong/schema.ts';
import type { Entity, EntityKind } from '../config/kong/schema.ts';
import { query } from './driver.ts';
import type { Driver, Program } from './driver.ts';
import { type Entities, StaleWrite, type Write } from './store.ts';

/** Deletions that nodes can still be told of one by one. */
const REMEMBERED = 100_000;
/** How often it is looked whether there are more. */
const TIDY_EVERY = 1000;
const MARKS_MS = 3_600_000;

/** The first statement of each write: its row is locked, so writes have one order, that of their revisions. */
function* nextRevision(): Program<number> {
  const [row] = yield* query(`UPDATE headrace_meta SET value = value + 1 WHERE name = 'revision' RETURNING value`);
  return Number(row?.value);
}

export function* writeAll(driver: Driver, writes: readonly Write[]): Program<number> {
  const revision = yield* nextRevision();
  for (const write of writes) {
    if (write.op === 'put') yield* put(write, revision);
    else yield* remove(write.kind, write.id, revision);
  }
  if (revision % TIDY_EVERY === 0) yield* tidy(revision);
  yield* driver.notify();
  return revision;
}

function* put({ kind, entity, expect }: Extract<Write, { op: 'put' }>, revision: number): Program<void> {
  const { id } = entity;
  const [row] = yield* query('SELECT revision, data FROM headrace_entities WHERE kind = ? AND id = ?', kind, id);
  if (row !== undefined && expect === null) throw primaryKeyViolation(id);
  if (typeof expect === 'number' && row?.revision !== expect) throw new StaleWrite(`${kind} ${id}`);
  const data = JSON.stringify(entity);
  if (row === undefined) {
    yield* query('DELETE FROM headrace_gone WHERE kind = ? AND id = ?', kind, id);
    yield* query(
      'INSERT INTO headrace_entities (kind, id, revision, data) VALUES (?, ?, ?, ?)',
      kind,
      id,
      revision,
      data,
    );
  } else {
    yield* query(
      'UPDATE headrace_entities SET revision = ?, data = ? WHERE kind = ? AND id = ?',
      revision,
      data,
      kind,
      id,
    );
  }
  yield* reindex(kind, row === undefined ? null : (JSON.parse(row.data as string) as Entity), entity);
}

/** Most changes touch no key, reference or tag: only what differs is written. */
function* reindex(kind: EntityKind, before: Entity | null, entity: Entity): Program<void> {
  const { id } = entity;
  const keys = difference(before === null ? [] : keysOf(kind, before), keysOf(kind, entity));
  for (const { name } of keys.gone) {
    yield* query('DELETE FROM headrace_keys WHERE kind = ? AND id = ? AND name = ?', kind, id, name);
  }
  for (const { name, value, fields } of keys.come) {
    const [mine] = yield* query(
      `INSERT INTO headrace_keys (kind, name, value, id) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING id`,
      kind,
      name,
      value,
      id,
    );
    if (mine === undefined) throw uniqueViolation(fields);
  }
  const refs = difference(before === null ? [] : referencesOf(kind, before), referencesOf(kind, entity));
  for (const { field } of refs.gone) {
    yield* query('DELETE FROM headrace_refs WHERE kind = ? AND id = ? AND field = ?', kind, id, field);
  }
  for (const { field, to, id: toId, cascade } of refs.come) {
    const [mine] = yield* query(
      `INSERT INTO headrace_refs (kind, id, field, to_kind, to_id, cascade_delete)
        SELECT ?, ?, ?, kind, id, ${cascade ? 1 : 0} FROM headrace_entities WHERE kind = ? AND id = ? RETURNING id`,
      kind,
      id,
      field,
      to,
      toId,
    );
    if (mine === undefined) throw foreignKeyViolation(field, toId, to);
  }
  const tags = difference(before === null ? [] : tagsOf(before), tagsOf(entity));
  for (const tag of tags.gone) {
    yield* query('DELETE FROM headrace_tags WHERE tag = ? AND kind = ? AND id = ?', tag, kind, id);
  }
  for (const tag of tags.come) {
    yield* query('INSERT INTO headrace_tags (tag, kind, id) VALUES (?, ?, ?)', tag, kind, id);
  }
}

function difference<T>(before: readonly T[], now: readonly T[]): { gone: T[]; come: T[] } {
  const [old, fresh] = [before, now].map((list) => new Set(list.map((item) => JSON.stringify(item)))) as [
    Set<string>,
    Set<string>,
  ];
  return {
    gone: before.filter((item) => !fresh.has(JSON.stringify(item))),
    come: now.filter((item) => !old.has(JSON.stringify(item))),
  };
}

function* forget(kind: EntityKind, id: string): Program<void> {
  for (const table of ['headrace_entities', 'headrace_keys', 'headrace_refs', 'headrace_tags']) {
    yield* query(`DELETE FROM ${table} WHERE kind = ? AND id = ?`, kind, id);
  }
}

function* remove(kind: EntityKind, id: string, revision: number): Program<void> {
  const [there] = yield* query('SELECT id FROM headrace_entities WHERE kind = ? AND id = ?', kind, id);
  if (there === undefined) return;
  const refs = yield* query(
    'SELECT kind, id, cascade_delete FROM headrace_refs WHERE to_kind = ? AND to_id = ? ORDER BY cascade_delete, kind, id',
    kind,
    id,
  );
  for (const ref of refs) {
    const child = ref.kind as EntityKind;
    if (Number(ref.cascade_delete) === 0) throw stillReferenced(kind, child);
    yield* remove(child, ref.id as string, revision);
  }
  yield* forget(kind, id);
  yield* query('INSERT INTO headrace_gone (kind, id, revision) VALUES (?, ?, ?)', kind, id, revision);
}

function* tidy(revision: number): Program<void> {
  const limit = revision - REMEMBERED;
  if (limit <= 0) return;
  yield* query('DELETE FROM headrace_gone WHERE revision <= ?', limit);
  yield* query(`UPDATE headrace_meta SET value = ? WHERE name = 'forgotten'`, limit);
}

export function* replaceAll(driver: Driver, entities: Entities): Program<number> {
  const revision = yield* nextRevision();
  for (const table of ['entities', 'keys', 'refs', 'tags', 'gone']) yield* query(`DELETE FROM headrace_${table}`);
  // Nobody can be told what is gone: all have to look at everything.
  yield* query(`UPDATE headrace_meta SET value = ? WHERE name = 'forgotten'`, revision);
  for (const kind of KINDS) for (const entity of entities[kind]) yield* insert(kind, entity, revision);
  yield* driver.notify();
  return revision;
}

export function* publishMark(driver: Driver, mark: KongMark, now: number): Program<void> {
  const revision = yield* nextRevision();
  yield* query('DELETE FROM headrace_marks WHERE at < ?', now - MARKS_MS);
  yield* query('INSERT INTO headrace_marks (revision, at, data) VALUES (?, ?, ?)', revision, now, JSON.stringify(mark));
  yield* driver.notify();
}

/** A row of a table that has just been emptied, and its index entries. What is inserted was checked as a whole. */
function* insert(kind: EntityKind, entity: Entity, revision: number): Program<void> {
  const { id } = entity;
  yield* query(
    'INSERT INTO headrace_entities (kind, id, revision, data) VALUES (?, ?, ?, ?)',
    kind,
    id,
    revision,
    JSON.stringify(entity),
  );
  for (const { name, value } of keysOf(kind, entity)) {
    yield* query('INSERT INTO headrace_keys (kind, name, value, id) VALUES (?, ?, ?, ?)', kind, name, value, id);
  }
  for (const { field, to, id: toId, cascade } of referencesOf(kind, entity)) {
    yield* query(
      'INSERT INTO headrace_refs (kind, id, field, to_kind, to_id, cascade_delete) VALUES (?, ?, ?, ?, ?, ?)',
      kind,
      id,
      field,
      to,
      toId,
      cascade ? 1 : 0,
    );
  }
  for (const tag of tagsOf(entity)) {
    yield* query('INSERT INTO headrace_tags (tag, kind, id) VALUES (?, ?, ?)', tag, kind, id);
  }
}
