/** Objects of the API that are named sets of counters: limits, caches, resolvers; and `/ssl`, which is one. */
import { FETCHED, FROM_CACHE, COUNTERS } from '../../cache/counts.ts';
import { CacheStore } from '../../cache/store.ts';
import type { CacheZoneConfig } from '../../config/cache-model.ts';
import type { LimitZoneConfig } from '../../config/model-access.ts';
import type { AdminView } from '../../control/admin-desk.ts';
import type { Generation } from '../../control/generations.ts';
import { counterSums, DNS, LIMIT, TLS, TLS_KEY } from '../../observe/counters.ts';
import { ApiError, pathNotFound } from '../errors.ts';
import { allow, type Outcome } from './upstreams.ts';

/** A named thing and what it has counted since it is there. */
interface Counted {
  name: string;
  sums: Float64Array;
  /** @param n what it has counted since its last reset */
  show(n: Float64Array): object;
}

interface Kind {
  /** First version of the API that has it. */
  since: number;
  /** Code of the error where there is none of a name. */
  missing?: string;
  list(generation: Generation, view: AdminView): Counted[];
}

function limitConn(n: Float64Array): object {
  return { passed: n[LIMIT.passed], rejected: n[LIMIT.rejected], rejected_dry_run: n[LIMIT.rejectedDryRun] };
}

function limitReq(n: Float64Array): object {
  return {
    passed: n[LIMIT.passed],
    delayed: n[LIMIT.delayed],
    rejected: n[LIMIT.rejected],
    delayed_dry_run: n[LIMIT.delayedDryRun],
    rejected_dry_run: n[LIMIT.rejectedDryRun],
  };
}

function limits(door: 'http' | 'stream', kind: 'conn' | 'req'): Kind {
  return {
    since: 6,
    list: ({ config, data }) =>
      (config[door]?.limitZones ?? [])
        .filter((zone: LimitZoneConfig) => zone.kind === kind)
        .map(({ name }) => ({
          name,
          sums: counterSums(data.counters[`limit_${kind} ${name}`]!),
          show: kind === 'conn' ? limitConn : limitReq,
        })),
  };
}

function resolver(n: Float64Array): object {
  const pick = (...names: (keyof typeof DNS)[]): object =>
    Object.fromEntries(names.map((name) => [name, n[DNS[name]]]));
  return {
    requests: pick('name', 'srv', 'addr'),
    responses: pick('noerror', 'formerr', 'servfail', 'nxdomain', 'notimp', 'refused', 'timedout', 'unknown'),
  };
}

const RESOLVER = 'resolver ';

const resolvers: Kind = {
  since: 5,
  list: ({ data }) =>
    Object.entries(data.counters)
      .filter(([key]) => key.startsWith(RESOLVER))
      .map(([key, memory]) => ({ name: key.slice(RESOLVER.length), sums: counterSums(memory), show: resolver })),
};

function cacheObject({ maxSize }: CacheZoneConfig, { keys, blockSize }: CacheStore, n: Float64Array): object {
  const served = Object.entries(FROM_CACHE).map(([name, at]) => [name, { responses: n[at], bytes: n[at + 1] }]);
  const fetched = Object.entries(FETCHED).map(([name, at]) => [
    name,
    { responses: n[at], bytes: n[at + 1], responses_written: n[at + 2], bytes_written: n[at + 3] },
  ]);
  return {
    size: keys.blocks * blockSize,
    ...(maxSize === null ? null : { max_size: maxSize }),
    cold: keys.cold,
    ...Object.fromEntries([...served, ...fetched]),
  };
}

/** Handles on caches, by their memory: making one asks the file system. */
const stores = new WeakMap<SharedArrayBuffer, CacheStore>();

const caches: Kind = {
  since: 1,
  list: ({ config, data }) =>
    (config.http?.caches ?? []).map((cache) => {
      const memory = data.cacheZones[cache.name]!;
      let store = stores.get(memory);
      if (store === undefined) stores.set(memory, (store = new CacheStore(memory, -1, cache, () => {})));
      const { keys } = store;
      const known = store;
      return {
        name: cache.name,
        sums: Float64Array.from({ length: COUNTERS }, (_, i) => keys.counted(i)),
        show: (n) => cacheObject(cache, known, n),
      };
    }),
};

function sslObject(n: Float64Array, version: number): object {
  const old = { handshakes: n[TLS.handshakes], handshakes_failed: n[TLS.failed], session_reuses: n[TLS.reused] };
  if (version < 8) return old;
  return {
    ...old,
    no_common_protocol: n[TLS.noProtocol],
    no_common_cipher: n[TLS.noCipher],
    handshake_timeout: n[TLS.timeout],
    peer_rejected_cert: n[TLS.rejectedCertificate],
    verify_failures: {
      no_cert: n[TLS.noCertificate],
      expired_cert: n[TLS.expired],
      revoked_cert: n[TLS.revoked],
      hostname_mismatch: n[TLS.hostname],
      other: n[TLS.otherVerify],
    },
  };
}

/** Zones whose memory is kept in slabs: those of `keyval_zone`. */
const slabs: Kind = {
  since: 1,
  missing: 'SlabNotFound',
  list: (_generation, view) =>
    DOORS.flatMap((door) => view.keyvals()?.list(door) ?? []).map(({ config, store }) => {
      const { used, free, slots } = store.memory();
      return {
        name: config.name,
        sums: Float64Array.from(slots.flatMap(({ requests, fails }) => [requests, fails])),
        show: (n) => ({
          pages: { used, free },
          slots: Object.fromEntries(
            slots.map((slot, i) => [
              slot.size,
              { used: slot.used, free: slot.free, reqs: n[i * 2], fails: n[i * 2 + 1] },
            ]),
          ),
        }),
      };
    }),
};

const DOORS = ['http', 'stream'] as const;

const KINDS: Readonly<Record<string, Kind>> = {
  'http/caches': caches,
  'http/limit_conns': limits('http', 'conn'),
  'http/limit_reqs': limits('http', 'req'),
  'stream/limit_conns': limits('stream', 'conn'),
  resolvers,
  slabs,
};

export class Collections {
  readonly #view: AdminView;
  /** What was counted at the last reset. */
  readonly #resets = new Map<string, Float64Array>();

  constructor(view: AdminView) {
    this.#view = view;
  }

  /** Names of the collections below a path that a version has: `http`, `stream`, or the top. */
  names(version: number, below: string): string[] {
    return Object.entries(KINDS)
      .filter(
        ([path, { since }]) => since <= version && path.startsWith(below) && !path.slice(below.length).includes('/'),
      )
      .map(([path]) => path.slice(below.length));
  }

  /** All there is, as the newest version shows it, whatever was reset. */
  all(): { path: string; name: string; value: object }[] {
    const generation = this.#view.generation();
    return Object.entries(KINDS).flatMap(([path, kind]) =>
      kind.list(generation, this.#view).map((one) => ({ path, name: one.name, value: one.show(one.sums) })),
    );
  }

  /** Handshakes, whatever was reset. */
  tls(): object {
    return sslObject(counterSums(this.#view.generation().data.counters[TLS_KEY]!), 9);
  }

  /** @returns null: there is no such collection @throws {ApiError} */
  handle(method: string, version: number, path: string, rest: readonly string[]): Outcome | null {
    const kind = KINDS[path];
    if (kind === undefined || kind.since > version) return null;
    const [name] = rest;
    if (rest.length > 1) throw pathNotFound();
    const all = kind.list(this.#view.generation(), this.#view);
    if (name === undefined) {
      allow(method, 'GET');
      return { status: 200, value: Object.fromEntries(all.map((one) => [one.name, this.#show(path, one)])) };
    }
    const one = all.find((other) => other.name === name);
    if (one === undefined) {
      throw kind.missing === undefined ? pathNotFound() : new ApiError(404, kind.missing, `"${name}" not found`);
    }
    allow(method, 'GET', 'DELETE');
    if (method === 'GET') return { status: 200, value: this.#show(path, one) };
    this.#resets.set(`${path} ${name}`, one.sums);
    return { status: 204, value: null };
  }

  ssl(method: string, version: number): Outcome {
    const sums = counterSums(this.#view.generation().data.counters[TLS_KEY]!);
    allow(method, 'GET', 'DELETE');
    if (method === 'GET') return { status: 200, value: sslObject(this.#since('ssl', sums), version) };
    this.#resets.set('ssl', sums);
    return { status: 204, value: null };
  }

  #show(path: string, one: Counted): object {
    return one.show(this.#since(`${path} ${one.name}`, one.sums));
  }

  /** A set whose memory was made anew counts from there. */
  #since(key: string, sums: Float64Array): Float64Array {
    const before = this.#resets.get(key);
    if (before === undefined) return sums;
    if (before.some((n, i) => n > sums[i]!)) {
      this.#resets.delete(key);
      return sums;
    }
    return sums.map((n, i) => n - before[i]!);
  }
}
