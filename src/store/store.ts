/**
 * Where entities live: one interface, whatever database is behind it.
 *
 * - A write is a list of changes that happens as a whole or not at all, in one order over all nodes; each has a revision,
 *   a number that grows. What it promises when it returns is on disk.
 * - Readers that change what they have read say which revision that was (`expect`); if somebody else was faster they get
 *   `StaleWrite`, read again, and lose nothing.
 * - `changes` tells what happened after a revision; `watch` tells when it is time to ask.
 *
 * Keys, references and tags are indexed as the schemas say (`config/kong/keys.ts`).
 */
import type { KongMark } from '../config/kong/model.ts';
import type { Entity, EntityKind } from '../config/kong/schema.ts';

export interface Row {
  entity: Entity;
  /** Of its last change. */
  revision: number;
}

export type Write =
  /** `expect`: the revision it was read with; null: it must be new; absent: whatever is there is replaced. */
  | { op: 'put'; kind: EntityKind; entity: Entity; expect?: number | null }
  /** What is not there is gone already. With what refers to it, where that is to go too. */
  | { op: 'delete'; kind: EntityKind; id: string };

export interface PageQuery {
  size: number;
  /** Key of the last one before; null: from the beginning. */
  after: string | null;
  /** Only those with all, or with any, of these tags. */
  tags?: { match: 'all' | 'any'; names: readonly string[] };
  ref?: Referring;
}

/** Entities whose field refers to this one. */
export interface Referring {
  field: string;
  to: EntityKind;
  id: string;
}

export interface Page<T> {
  rows: T[];
  /** Key of the last one here, when there are more. */
  next: string | null;
}

export interface TagRow {
  tag: string;
  kind: EntityKind;
  id: string;
}

export type Entities = Record<EntityKind, Entity[]>;

export interface Snapshot {
  revision: number;
  entities: Entities;
}

/** Null: it was deleted. */
export interface Change {
  kind: EntityKind;
  id: string;
  entity: Entity | null;
}

export interface Changes {
  revision: number;
  /** `null`: too long ago to tell, take a snapshot. What changed twice is there once, as it is now. */
  changes: Change[] | null;
  marks: KongMark[];
}

export interface Store {
  readonly driver: 'sqlite' | 'postgres';
  /** For messages: without password. */
  readonly place: string;

  get(kind: EntityKind, id: string): Promise<Row | null>;
  /** By a unique key (`keysOf` has their names). */
  find(kind: EntityKind, key: string, value: string): Promise<Row | null>;
  /** In order of their ids. */
  page(kind: EntityKind, query: PageQuery): Promise<Page<Row>>;
  /** In order of their ids. */
  children(kind: EntityKind, ref: Referring): Promise<Row[]>;
  /** In order of tag, kind and id. */
  tags(query: { size: number; after: string | null; tag?: string }): Promise<Page<TagRow>>;

  /**
   * @returns its revision
   * @throws {KongError} a key that is taken, a reference to nothing, an entity that others refer to
   * @throws {StaleWrite}
   */
  write(writes: readonly Write[]): Promise<number>;
  /** Everything is replaced by this, which is checked already (`declarative.ts`). */
  replace(entities: Entities): Promise<number>;
  /** Tells all nodes; kept for an hour for those that are away. */
  publish(mark: KongMark): Promise<void>;

  snapshot(): Promise<Snapshot>;
  changes(since: number): Promise<Changes>;
  /** Calls back when there may be changes, also those of other nodes, within a second. */
  watch(wake: () => void): Stop;

  /** Can it be reached? Never throws. */
  ping(): Promise<boolean>;
  close(): Promise<void>;
}

export type Stop = () => void;

/** Somebody else changed it since it was read. */
export class StaleWrite extends Error {}

/** The database is away, full, or broken. The message is for logs. */
export class StoreUnavailable extends Error {}
