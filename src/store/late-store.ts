/**
 * A store that cannot be opened yet: what is asked of it fails as it does while a database is away, and it is tried again
 * until it is there.
 */
import type { KongMark } from '../config/kong/model.ts';
import type { EntityKind } from '../config/kong/schema.ts';
import { openStore } from './open.ts';
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
import { StoreUnavailable } from './store.ts';

const RETRY_MS = 1000;

interface Watcher {
  wake: () => void;
  /** Null: there is nothing to watch yet. */
  stop: Stop | null;
}

export class LateStore implements Store {
  readonly driver = 'postgres';
  readonly place: string;
  readonly #address: string;
  #store: Store | null = null;
  #error: StoreUnavailable;
  readonly #watchers = new Set<Watcher>();
  #retry: NodeJS.Timeout | null = null;
  #closed = false;

  /**
   * @param place as messages name it
   * @param error why it could not be opened just now
   */
  constructor(address: string, place: string, error: StoreUnavailable) {
    this.#address = address;
    this.place = place;
    this.#error = error;
    this.#later();
  }

  #later(): void {
    if (!this.#closed) this.#retry = setTimeout(() => void this.#open(), RETRY_MS).unref();
  }

  async #open(): Promise<void> {
    try {
      const store = await openStore(this.#address);
      if (this.#closed) {
        await store.close();
        return;
      }
      this.#store = store;
      for (const watcher of this.#watchers) {
        watcher.stop = store.watch(watcher.wake);
        watcher.wake();
      }
    } catch (error) {
      this.#error = error instanceof StoreUnavailable ? error : new StoreUnavailable(String(error), { cause: error });
      this.#later();
    }
  }

  async #there(): Promise<Store> {
    if (this.#store === null) throw this.#error;
    return this.#store;
  }

  async get(kind: EntityKind, id: string): Promise<Row | null> {
    return (await this.#there()).get(kind, id);
  }
  async find(kind: EntityKind, key: string, value: string): Promise<Row | null> {
    return (await this.#there()).find(kind, key, value);
  }
  async page(kind: EntityKind, query: PageQuery): Promise<Page<Row>> {
    return (await this.#there()).page(kind, query);
  }
  async children(kind: EntityKind, ref: Referring): Promise<Row[]> {
    return (await this.#there()).children(kind, ref);
  }
  async tags(query: { size: number; after: string | null; tag?: string }): Promise<Page<TagRow>> {
    return (await this.#there()).tags(query);
  }
  async write(writes: readonly Write[]): Promise<number> {
    return (await this.#there()).write(writes);
  }
  async replace(entities: Entities): Promise<number> {
    return (await this.#there()).replace(entities);
  }
  async publish(mark: KongMark): Promise<void> {
    return (await this.#there()).publish(mark);
  }
  async snapshot(): Promise<Snapshot> {
    return (await this.#there()).snapshot();
  }
  async changes(since: number): Promise<Changes> {
    return (await this.#there()).changes(since);
  }

  watch(wake: () => void): Stop {
    const watcher: Watcher = { wake, stop: this.#store?.watch(wake) ?? null };
    this.#watchers.add(watcher);
    return () => {
      this.#watchers.delete(watcher);
      watcher.stop?.();
    };
  }

  async ping(): Promise<boolean> {
    return this.#store?.ping() ?? false;
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#retry !== null) clearTimeout(this.#retry);
    await this.#store?.close();
  }
}
