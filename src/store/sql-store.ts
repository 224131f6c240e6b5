/** The store over a database that speaks SQL. */
import type { KongMark } from '../config/kong/model.ts';
import { KINDS } from '../config/kong/schema.ts';
import type { Entity, EntityKind } from '../config/kong/schema.ts';
import { query } from './driver.ts';
import type { Driver, Program, SqlRow, SqlValue } from './driver.ts';
import { migrate } from './migrations.ts';
import type {
  Changes,
  Entities,
  Page,
  PageQuery,
  Referring,
  Row,
  Snapshot,
  Stop,
  Store,
  TagRow,
  Write,
} from './store.ts';
import { publishMark, replaceAll, writeAll } from './write.ts';

const PARTS = '\n';

const parse = (row: SqlRow): Entity => JSON.parse(row.data as string) as Entity;
const toRow = (row: SqlRow): Row => ({ entity: parse(row), revision: Number(row.revision) });
const places = (list: readonly string[]): string => list.map(() => '?').join(', ');

/** Cuts what was read beyond the size, and says where to go on. */
function pageOf<T>(rows: SqlRow[], size: number, read: (row: SqlRow) => T, key: (row: SqlRow) => string): Page<T> {
  const more = rows.length > size;
  const shown = more ? rows.slice(0, size) : rows;
  const last = shown.at(-1);
  return { rows: shown.map(read), next: more && last !== undefined ? key(last) : null };
}

export class SqlStore implements Store {
  readonly driver: Store['driver'];
  readonly place: string;
  readonly #driver: Driver;

  private constructor(driver: Driver) {
    this.#driver = driver;
    this.driver = driver.name;
    this.place = driver.place;
  }

  /**
   * Makes or updates its tables.
   *
   * @throws {StoreUnavailable}
   */
  static async open(driver: Driver): Promise<SqlStore> {
    try {
      await migrate(driver);
    } catch (error) {
      await driver.close();
      throw error;
    }
    return new SqlStore(driver);
  }

  async get(kind: EntityKind, id: string): Promise<Row | null> {
    const sql = 'SELECT data, revision FROM headrace_entities WHERE kind = ? AND id = ?';
    const [row] = await this.#ask(sql, kind, id);
    return row === undefined ? null : toRow(row);
  }

  async find(kind: EntityKind, key: string, value: string): Promise<Row | null> {
    const sql = `SELECT e.data, e.revision FROM headrace_keys k
      JOIN headrace_entities e ON e.kind = k.kind AND e.id = k.id WHERE k.kind = ? AND k.name = ? AND k.value = ?`;
    const [row] = await this.#ask(sql, kind, key, value);
    return row === undefined ? null : toRow(row);
  }

  async page(kind: EntityKind, { size, after, tags, ref }: PageQuery): Promise<Page<Row>> {
    const where = ['e.kind = ?'];
    const values: SqlValue[] = [kind];
    if (after !== null) {
      where.push('e.id > ?');
      values.push(after);
    }
    if (ref !== undefined) {
      where.push(`e.id IN (SELECT r.id FROM headrace_refs r
        WHERE r.to_kind = ? AND r.to_id = ? AND r.kind = ? AND r.field = ?)`);
      values.push(ref.to, ref.id, kind, ref.field);
    }
    if (tags !== undefined) {
      const names = [...new Set(tags.names)];
      where.push(`e.id IN (SELECT t.id FROM headrace_tags t WHERE t.kind = ? AND t.tag IN (${places(names)})
        GROUP BY t.id HAVING count(*) >= ?)`);
      values.push(kind, ...names, tags.match === 'all' ? names.length : 1);
    }
    const sql = `SELECT e.id, e.data, e.revision FROM headrace_entities e
      WHERE ${where.join(' AND ')} ORDER BY e.id LIMIT ?`;
    return pageOf(await this.#ask(sql, ...values, size + 1), size, toRow, (row) => row.id as string);
  }

  async children(kind: EntityKind, { field, to, id }: Referring): Promise<Row[]> {
    const sql = `SELECT e.data, e.revision FROM headrace_refs r
      JOIN headrace_entities e ON e.kind = r.kind AND e.id = r.id
      WHERE r.to_kind = ? AND r.to_id = ? AND r.kind = ? AND r.field = ? ORDER BY e.id`;
    return (await this.#ask(sql, to, id, kind, field)).map(toRow);
  }

  async tags({ size, after, tag }: { size: number; after: string | null; tag?: string }): Promise<Page<TagRow>> {
    const where: string[] = [];
    const values: SqlValue[] = [];
    if (tag !== undefined) {
      where.push('tag = ?');
      values.push(tag);
    }
    if (after !== null) {
      const [afterTag = '', afterKind = '', afterId = ''] = after.split(PARTS);
      where.push('(tag, kind, id) > (?, ?, ?)');
      values.push(afterTag, afterKind, afterId);
    }
    const sql = `SELECT tag, kind, id FROM headrace_tags
      ${where.length === 0 ? '' : `WHERE ${where.join(' AND ')}`} ORDER BY tag, kind, id LIMIT ?`;
    return pageOf(
      await this.#ask(sql, ...values, size + 1),
      size,
      ({ tag: name, kind, id }) => ({ tag: name as string, kind: kind as EntityKind, id: id as string }),
      (row) => [row.tag, row.kind, row.id].join(PARTS),
    );
  }

  write(writes: readonly Write[]): Promise<number> {
    return this.#driver.run(writeAll(this.#driver, writes), 'write');
  }

  replace(entities: Entities): Promise<number> {
    return this.#driver.run(replaceAll(this.#driver, entities), 'write');
  }

  publish(mark: KongMark): Promise<void> {
    return this.#driver.run(publishMark(this.#driver, mark, Date.now()), 'write');
  }

  snapshot(): Promise<Snapshot> {
    return this.#driver.run(readSnapshot(), 'snapshot');
  }

  changes(since: number): Promise<Changes> {
    return this.#driver.run(readChanges(since), 'snapshot');
  }

  watch(wake: () => void): Stop {
    return this.#driver.watch(wake);
  }

  async ping(): Promise<boolean> {
    try {
      await this.#ask('SELECT 1 AS one');
      return true;
    } catch {
      return false;
    }
  }

  close(): Promise<void> {
    return this.#driver.close();
  }

  #ask(sql: string, ...values: SqlValue[]): Promise<SqlRow[]> {
    return this.#driver.run(query(sql, ...values), 'statement');
  }
}

function* readMeta(): Program<{ revision: number; forgotten: number }> {
  const rows = yield* query('SELECT name, value FROM headrace_meta');
  const value = (name: string): number => Number(rows.find((row) => row.name === name)?.value ?? 0);
  return { revision: value('revision'), forgotten: value('forgotten') };
}

function* readSnapshot(): Program<Snapshot> {
  const { revision } = yield* readMeta();
  const rows = yield* query('SELECT kind, data FROM headrace_entities ORDER BY kind, id');
  const entities = Object.fromEntries(KINDS.map((kind) => [kind, [] as Entity[]])) as Entities;
  for (const row of rows) {
    // A kind of a newer Headrace that shares the database.
    (entities[row.kind as EntityKind] as Entity[] | undefined)?.push(parse(row));
  }
  return { revision, entities };
}

function* readChanges(since: number): Program<Changes> {
  const { revision, forgotten } = yield* readMeta();
  if (revision === since) return { revision, changes: [], marks: [] };
  // Lower than what was seen: it was restored from a copy.
  if (revision < since || since < forgotten) return { revision, changes: null, marks: [] };
  const there = yield* query(
    'SELECT kind, id, data FROM headrace_entities WHERE revision > ? ORDER BY revision, kind, id',
    since,
  );
  const gone = yield* query('SELECT kind, id FROM headrace_gone WHERE revision > ? ORDER BY kind, id', since);
  const marked = yield* query('SELECT data FROM headrace_marks WHERE revision > ? ORDER BY revision', since);
  return {
    revision,
    changes: [
      ...there.map((row) => ({ kind: row.kind as EntityKind, id: row.id as string, entity: parse(row) })),
      ...gone.map((row) => ({ kind: row.kind as EntityKind, id: row.id as string, entity: null })),
    ],
    marks: marked.map((row) => JSON.parse(row.data as string) as KongMark),
  };
}
