/**
 * The names of a group: servers that stand for what DNS says (`resolve`, `service`), those of the configuration and those that
 * were added at run time. Each is an entry of `UpstreamConfig.servers`, whose place in it is what its peers are known by:
 * entries come, and lose their meaning, but do not move. Main thread only; workers know peers alone.
 */
import { parseUrl } from '../config/address.ts';
import { DEFAULT_SERVER } from '../config/server-defaults.ts';
import type { UpstreamConfig, UpstreamServerConfig } from '../config/model.ts';
import { Table } from '../upstream/table/layout.ts';
import { members } from '../upstream/table/members.ts';
import { removeServer, updateServer } from '../upstream/table/servers.ts';
import { GroupError } from './group-error.ts';
import type { Door, ServerAddition, ServerChange } from './groups.ts';

/** Who asks DNS, and writes the answers into the table. */
export interface NameWatcher {
  /** From now on the peers of `upstream.servers[index]` follow its name. */
  watch(door: Door, upstream: UpstreamConfig, table: SharedArrayBuffer, index: number): void;
  unwatch(door: Door, upstream: UpstreamConfig, index: number): void;
}

/** A name, as administrators see it. */
export interface NameView {
  id: number;
  /** Place in the configuration: its peers have it as `serverIndex`. */
  index: number;
  server: Readonly<UpstreamServerConfig>;
}

/** Ids of names, apart from those of peers, which are slots. */
const FIRST_ID = 1 << 20;

/** Whether a server of a group is written as a name. */
export function isName(text: string): boolean {
  const parsed = parseUrl(text, { defaultPort: 80 });
  return parsed.ok && parsed.url.kind !== 'unix' && parsed.url.address === null;
}

export class GroupNames {
  readonly #config: UpstreamConfig;
  readonly #door: Door;
  readonly #buffer: SharedArrayBuffer;
  readonly #watcher: NameWatcher | null;

  constructor(config: UpstreamConfig, door: Door, table: SharedArrayBuffer, watcher: NameWatcher | null) {
    this.#config = config;
    this.#door = door;
    this.#buffer = table;
    this.#watcher = watcher;
  }

  list(): NameView[] {
    return this.#config.servers.flatMap((server, index) =>
      server.resolve ? [{ id: FIRST_ID + index, index, server }] : [],
    );
  }

  /** Null: the id is not a name's. */
  get(id: number): NameView | null {
    return this.list().find((name) => name.id === id) ?? null;
  }

  /** The id of the name that a peer comes from. */
  idOf(serverIndex: number): number {
    return FIRST_ID + serverIndex;
  }

  /** @throws {GroupError} */
  add(addition: ServerAddition): NameView {
    const { server, service = null, backup = false, route = null, ...change } = addition;
    const { host, port } = this.#parse(server, service);
    const { servers, resolver, name, place } = this.#config;
    if (resolver === null || resolver.addresses.length === 0 || this.#watcher === null) {
      throw new GroupError('UpstreamConfNoResolver', `no resolver defined to resolve "${host}" in upstream "${name}"`);
    }
    const entry: UpstreamServerConfig = {
      place,
      server,
      host,
      port,
      addresses: [],
      ...DEFAULT_SERVER,
      ...change,
      backup,
      route,
      resolve: true,
      service,
    };
    const index = servers.push(entry) - 1;
    this.#watcher.watch(this.#door, this.#config, this.#buffer, index);
    return { id: FIRST_ID + index, index, server: entry };
  }

  #parse(server: string, service: string | null): { host: string; port: number } {
    const bad = (text: string): GroupError => new GroupError('UpstreamBadAddress', text);
    const parsed = parseUrl(server, this.#door === 'http' ? { defaultPort: 80 } : {});
    if (!parsed.ok) throw bad(`${parsed.error} in "${server}"`);
    const { url } = parsed;
    if (service === null) {
      if (this.#door === 'stream' && url.noPort) throw bad(`no port in server "${server}"`);
      return { host: url.host, port: url.port };
    }
    if (url.kind === 'unix' || url.address !== null) throw bad(`service upstream "${server}" requires domain name`);
    if (!url.noPort) throw bad(`service upstream "${server}" may not have port`);
    return { host: url.host, port: 0 };
  }

  /** Changes a name, and all peers that it stands for. */
  update({ index }: NameView, change: ServerChange, now: number): NameView {
    const { servers } = this.#config;
    const server = Object.assign(servers[index]!, change);
    for (const { slot, generation } of this.#peers(index)) updateServer(this.#buffer, slot, generation, change, now);
    return { id: FIRST_ID + index, index, server };
  }

  /** Its peers go with it. */
  remove({ index, server }: NameView): void {
    this.#watcher?.unwatch(this.#door, this.#config, index);
    this.#config.servers[index] = { ...server, resolve: false, addresses: [] };
    for (const { slot, generation } of this.#peers(index)) removeServer(this.#buffer, slot, generation);
  }

  #peers(index: number): { slot: number; generation: number }[] {
    const t = new Table(this.#buffer);
    return members(this.#buffer).filter(({ slot }) => t.resolved[slot] === 1 && t.server[slot] === index);
  }
}
