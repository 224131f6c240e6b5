/**
 * What the main thread and a worker thread say to each other. Plain data over `postMessage`.
 *
 * A reload has two phases: `prepare` (compile the configuration, bind new addresses; nothing visible changes),
 * answered by `prepared` or `refused`; then, once every worker is prepared, `commit` (swap, close addresses that
 * are gone) or `abandon` (forget it, close what was bound for it). The old generation goes on until its last
 * request ends: `drained`.
 */
import type { KongChange, KongState } from '../config/kong/groups.ts';
import type { Config } from '../config/model.ts';
import type { AdminReply, AdminRequest } from '../http/handlers/admin.ts';
import type { TicketSecret } from '../net/tls-tickets.ts';

/** Memory of the groups of http, or of stream. */
export interface GroupMemory {
  /** Shared peer tables, by index into the `upstreams` of `HttpConfig` or `StreamConfig`. */
  tables: SharedArrayBuffer[];
  /** Shared sticky-learn session tables by zone name. */
  learnZones: Record<string, SharedArrayBuffer>;
}

/** One configuration as it is run: the same for all workers, except that each has its own listening sockets. */
export interface GenerationData extends GroupMemory {
  /** 1, 2, 3 …: counts up with each reload. */
  id: number;
  config: Config;
  /** That of the groups of stream; http's stands here itself. */
  stream: GroupMemory;
  /** Shared tables of limit_req and limit_conn by zone name. */
  limitZones: Record<string, SharedArrayBuffer>;
  /** Shared tables of keyval_zone by zone name. */
  keyvalZones: Record<string, SharedArrayBuffer>;
  /** Shared keys zones of caches by name. */
  cacheZones: Record<string, SharedArrayBuffer>;
  /** Counters of connections and requests, by worker (`observe/traffic.ts`); the same in all generations. */
  traffic: SharedArrayBuffer;
  /** Counters of limits, resolvers and TLS, by kind and name (`observe/counters.ts`). */
  counters: Record<string, SharedArrayBuffer>;
  /** Counters of `status_zone`, by name (`observe/zones.ts`). */
  statusZones: StatusZones;
  /** Kong's entities; null: there are none, or they are told later. */
  kong: KongState | null;
  /** What keys of TLS session tickets are made of; the same in all generations. */
  tickets: TicketSecret;
}

export interface StatusZones {
  server: Record<string, SharedArrayBuffer>;
  location: Record<string, SharedArrayBuffer>;
  /** Of servers of stream. */
  stream: Record<string, SharedArrayBuffer>;
}

/** `workerData` of a worker thread. */
export interface WorkerInit {
  workerId: number;
  workerCount: number;
  /** Where early errors go; the configuration's own targets hold once a generation is prepared. */
  errorLogPath: string;
  /** What it holds without Node's knowledge (`net/descriptors.ts`). */
  descriptors: SharedArrayBuffer;
}

export type ToWorker =
  | { type: 'prepare'; generation: GenerationData }
  | { type: 'commit'; id: number }
  | { type: 'abandon'; id: number }
  /** Kong's entities have changed. */
  | { type: 'kong'; change: KongChange }
  /** Reopen log files (USR1). */
  | { type: 'reopen' }
  /** An answer to `admin`, or the next piece of it. */
  | { type: 'adminReply'; id: number; reply: AdminReply }
  /** Stop accepting, finish what is under way, then say `finished`. `timeoutMs` 0: no limit (worker_shutdown_timeout). */
  | { type: 'quit'; timeoutMs: number };

export type FromWorker =
  /** The thread has started and listens for messages. */
  | { type: 'online' }
  | { type: 'prepared'; id: number }
  /** `message` is complete: `bind() to 0.0.0.0:80 failed (98: Address already in use)`. */
  | { type: 'refused'; id: number; message: string }
  | { type: 'committed'; id: number }
  /** Generation `id` was replaced and its last request has ended. */
  | { type: 'drained'; id: number }
  /** A request that the main thread answers (`api` and the like); `id` counts up in each worker. */
  | { type: 'admin'; id: number; request: AdminRequest }
  /** The last piece of an answer was taken: the next one may come (`AdminReply.waits`). */
  | { type: 'adminNext'; id: number }
  /** Whoever asked is gone. */
  | { type: 'adminGone'; id: number }
  /** All connections are closed after `quit`. */
  | { type: 'finished' };

/** What workers say of administrative requests. */
export type AdminMessage = FromWorker & { type: 'admin' | 'adminNext' | 'adminGone' };
