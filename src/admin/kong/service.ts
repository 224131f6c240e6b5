/**
 * The Admin API as a part of the running process: its store, who follows it, and its listeners, which come and go with the
 * configuration.
 */
import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { KongDataPlane, KongMark } from '../../config/kong/model.ts';
import { isUuid } from '../../config/kong/schema.ts';
import type { JsonObject } from '../../config/kong/schema.ts';
import type { AdminAddress, AdminConfig } from '../../config/kong/settings.ts';
import { KongView } from '../../config/kong/to-config.ts';
import type { Environment } from '../../config/kong/validate.ts';
import { describeError } from '../../observe/errno.ts';
import type { ErrorLog } from '../../observe/error-log.ts';
import { Feed, type Follower } from '../../store/feed.ts';
import { LastKnown } from '../../store/last-known.ts';
import { LateStore } from '../../store/late-store.ts';
import { isRemote, openStore, openStorePatiently, placeOf } from '../../store/open.ts';
import { type Entities, type Snapshot, type Store, StoreUnavailable } from '../../store/store.ts';
import { NOTHING_LOADED, configHash } from './config.ts';
import { shownConfiguration } from './configuration.ts';
import type { Api, NodeStatus } from './context.ts';
import { refusal } from './guard.ts';
import { handle } from './handle.ts';
import { type AdminAnswer, type AdminRequest, message } from './http.ts';
import { type Answer, type Listening, listenAdmin } from './server.ts';
import { statusAnswer } from './status.ts';

export interface AdminOptions {
  log: ErrorLog;
  /** Who balances here; null: nobody. */
  dataPlane: KongDataPlane | null;
  status: () => NodeStatus;
  /** Ends what is waited for. */
  ending: AbortSignal;
}

/** How long a first start waits for a database that is away, when nothing is known of what it held. */
const PATIENCE_MS = 30_000;

const env: Environment = { now: () => Date.now() / 1000, uuid: randomUUID };

/** One configuration of it, ready to run or running. */
interface Instance {
  config: AdminConfig;
  api: Api;
  feed: Feed;
  /** Null: the store is on this machine. */
  lastKnown: LastKnown | null;
}

export class KongAdmin {
  readonly #options: AdminOptions;
  #current: Instance | null = null;
  /** Made ready: null stands for none at all. */
  #next: { instance: Instance | null; entities: Entities | null; opened: Map<string, Listening> } | null = null;
  readonly #listening = new Map<string, Listening>();

  constructor(options: AdminOptions) {
    this.#options = options;
  }

  /** Of an address as it was written; where the system chose a port, this says which. */
  port(text: string): number | null {
    return this.#listening.get(text)?.port ?? null;
  }

  /**
   * @param config null: there is to be none
   * @throws {Error} the store, an address, or a file that cannot be used
   */
  async prepare(config: AdminConfig | null): Promise<void> {
    const next = { instance: null as Instance | null, entities: null as Entities | null, opened: new Map() };
    this.#next = next;
    try {
      if (config === null) return;
      if (config.declarative !== null) next.entities = await readFile(config.declarative);
      for (const [key, address, answer] of this.#addresses(config)) {
        if (this.#listening.has(key) || next.opened.has(key)) continue;
        next.opened.set(key, await this.#listen(address, config, answer));
      }
      next.instance = await this.#instance(config, next.entities);
    } catch (error) {
      await this.abandon();
      throw error;
    }
  }

  async commit(): Promise<void> {
    const { instance, entities, opened } = this.#next ?? { instance: null, entities: null, opened: new Map() };
    this.#next = null;
    const before = this.#current;
    this.#current = instance;
    for (const [key, listening] of opened) this.#listening.set(key, listening);
    const wanted = new Set(instance === null ? [] : this.#addresses(instance.config).map(([key]) => key));
    for (const [key, listening] of this.#listening) {
      if (wanted.has(key)) continue;
      this.#listening.delete(key);
      await listening.close();
    }
    if (before !== null && before.feed !== instance?.feed) await release(before);
    // A file that was read anew, into a store that goes on.
    else if (instance !== null && entities !== null) await replace(instance, entities);
  }

  async abandon(): Promise<void> {
    const next = this.#next;
    this.#next = null;
    for (const listening of next?.opened.values() ?? []) await listening.close();
    if (next?.instance != null && next.instance.feed !== this.#current?.feed) await release(next.instance);
  }

  async close(): Promise<void> {
    await this.abandon();
    for (const listening of this.#listening.values()) await listening.close();
    this.#listening.clear();
    const current = this.#current;
    this.#current = null;
    if (current !== null) await release(current);
  }

  /** The process ends at once. */
  leave(): void {
    this.#current?.lastKnown?.flush();
  }

  /** All that it listens on, and who answers there. */
  #addresses({ listens, statusListens }: AdminConfig): [key: string, AdminAddress, Answer][] {
    return [
      ...listens.map((address): [string, AdminAddress, Answer] => [
        keyOf(address),
        address,
        (request) => this.#answer(request),
      ]),
      ...statusListens.map((address): [string, AdminAddress, Answer] => [
        `status ${keyOf(address)}`,
        address,
        (request) => statusAnswer(this.#current?.api ?? null, request),
      ]),
    ];
  }

  #listen(address: AdminAddress, config: AdminConfig, answer: Answer): Promise<Listening> {
    return listenAdmin(address, config.tls ?? config.ownTls, answer).catch((error: unknown) => {
      throw new Error(`admin listen ${address.text}: ${describeError(error)}`);
    });
  }

  async #answer(request: AdminRequest): Promise<AdminAnswer> {
    const current = this.#current;
    if (current === null) return message(503, 'starting');
    return refusal(request, current.config) ?? handle(current.api, request);
  }

  /** With the store of the running one, where that is the same. */
  async #instance(config: AdminConfig, entities: Entities | null): Promise<Instance> {
    const running = this.#current;
    const same =
      running !== null && running.config.store === config.store && running.config.databaseless === config.databaseless;
    if (same) {
      const api = { ...running.api, ...this.#settings(config, running.api.store) };
      return { config, api, feed: running.feed, lastKnown: running.lastKnown };
    }
    const lastKnown = isRemote(config.store) ? this.#lastKnown(config) : null;
    const known = running === null ? (lastKnown?.read() ?? null) : null;
    const store = await this.#open(config, known);
    try {
      if (entities !== null) await store.replace(entities);
      const node = { id: nodeId(config.dataDir), hostname: hostname() };
      const declarative = config.databaseless ? { hash: hashOf(entities) } : null;
      const api: Api = {
        store,
        declarative,
        balancers: this.#options.dataPlane,
        env,
        node,
        status: this.#options.status,
        logError: (text) => this.#options.log.error(text),
        ...this.#settings(config, store),
      };
      return { config, api, feed: await this.#follow(store, node.id, lastKnown, known), lastKnown };
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  #lastKnown({ dataDir, store }: AdminConfig): LastKnown {
    return new LastKnown(dataDir, placeOf(store), (error) =>
      this.#options.log.error(`what is known of the store cannot be kept in ${dataDir}: ${describeError(error)}`),
    );
  }

  /**
   * At the first start a database may be away: then what is known of it will do, else it is waited for.
   *
   * @param known what it held last
   */
  async #open({ store }: AdminConfig, known: Snapshot | null): Promise<Store> {
    const { log, ending } = this.#options;
    if (this.#current !== null || !isRemote(store)) return openStore(store);
    if (known === null) {
      const tell = ({ message }: Error): void =>
        log.error(`store is away, trying again for ${PATIENCE_MS / 1000} seconds: ${message}`);
      return openStorePatiently(store, { ms: PATIENCE_MS, signal: ending, tell });
    }
    try {
      return await openStore(store);
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error;
      return new LateStore(store, placeOf(store), error);
    }
  }

  #settings(config: AdminConfig, store: Store): Pick<Api, 'configuration' | 'origins'> {
    return {
      configuration: shownConfiguration(config, store),
      origins: config.origins.filter((origin) => origin !== '*'),
    };
  }

  /** Tells the data plane of everything, and of each change. */
  #follow(store: Store, node: string, lastKnown: LastKnown | null, known: Snapshot | null): Promise<Feed> {
    const { dataPlane, log } = this.#options;
    let view: KongView | null = null;
    const note = (): void => lastKnown?.note(() => view!.entities());
    const others = (marks: KongMark[]): KongMark[] => marks.filter((mark) => mark.node !== node);
    const follower: Follower = {
      snapshot: async ({ entities, revision }) => {
        view = new KongView(entities);
        if (revision >= 0) note();
        await dataPlane?.load(view.config(revision));
      },
      changes: async (changes, marks, revision) => {
        if (view === null) return;
        if (changes.length > 0) note();
        await dataPlane?.apply(view.update(changes, others(marks), revision));
      },
      trouble: (error) => {
        if (error === null) log.notice(`store ${store.place} is back`);
        else log.error(`store is away, going on with what was last known: ${error.message}`);
      },
    };
    return Feed.start(store, follower, known);
  }
}

const keyOf = ({ text, ssl }: AdminAddress): string => (ssl ? `${text} ssl` : text);

async function readFile({ file, text }: NonNullable<AdminConfig['declarative']>): Promise<Entities> {
  const { loadKongYaml } = await import('../../config/kong/yaml.ts');
  return loadKongYaml(file, text, env);
}

const hashOf = (entities: Entities | null): string => {
  if (entities === null) return NOTHING_LOADED;
  // Times are those of loading: they say nothing of what is in there.
  const timeless = Object.values(entities).map((list) =>
    list.map((entity): JsonObject => ({ ...entity, created_at: null, updated_at: null })),
  );
  return configHash(timeless);
};

async function replace({ api }: Instance, entities: Entities): Promise<void> {
  await api.store.replace(entities);
  if (api.declarative !== null) api.declarative.hash = hashOf(entities);
}

async function release({ feed, api, lastKnown }: Instance): Promise<void> {
  feed.stop();
  lastKnown?.flush();
  await api.store.close();
}

/** Kept in the data directory; where that cannot be, another one at each start. */
function nodeId(dataDir: string): string {
  const file = join(dataDir, 'node.id');
  try {
    const id = readFileSync(file, 'utf8').trim();
    if (isUuid(id)) return id;
  } catch {
    // The first start.
  }
  const id = randomUUID();
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    writeFileSync(file, `${id}\n`);
  } catch {
    // Nothing but the id's constancy is lost.
  }
  return id;
}
