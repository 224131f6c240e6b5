/**
 * What the page of `dashboard` is told, once a second, by server-sent events: `data:` is a `Frame` as JSON. The page's own
 * sources (`dashboard/`) import this file.
 *
 * The first frame of a stream is full. Later ones have only what has changed: a group, a zone or a worker that is missing
 * is as it was. Counters count from the start of the process and are never reset, so that the page can make rates of them.
 */

/** How often a frame is sent, milliseconds. */
export const FRAME_MS = 1000;

export const STATES = ['up', 'draining', 'down', 'unavail', 'checking', 'unhealthy'] as const;

/** Upper ends of the buckets of all histograms, milliseconds; the last bucket has none. */
export { BUCKET_BOUNDS, quantileOf } from '../../observe/histogram.ts';

/** What changes at every request, by place in `PeerFrame`; a histogram of response times follows. */
export const P = {
  id: 0,
  /** Index into `STATES`. */
  state: 1,
  /** Requests or connections under way. */
  active: 2,
  requests: 3,
  /** Answers by class: five numbers. */
  responses: 4,
  sent: 9,
  received: 10,
  /** Failed attempts. */
  fails: 11,
  /** Times that it became unavailable by its failures. */
  unavail: 12,
  /** Epoch milliseconds since which it cannot be used; 0: it can. */
  downSince: 13,
  /** Averages, milliseconds; 0: no sample. Of stream: until connected, until the first byte. */
  headerMs: 14,
  responseMs: 15,
  /** Health checks made, and failed. */
  checks: 16,
  checkFails: 17,
  /** Times that it became unhealthy. */
  unhealthy: 18,
  /** 1: the last check passed, 0: it failed, -1: none has ended. */
  lastPassed: 19,
  /** Sum of all response times, milliseconds. */
  timeMs: 20,
  hist: 21,
} as const;

export type PeerFrame = number[];

/** What changes when somebody changes it. */
export interface PeerInfo {
  id: number;
  address: string;
  /** As configured. */
  name: string;
  backup: boolean;
  /** It comes from DNS: it cannot be removed. */
  resolved: boolean;
  weight: number;
  /** 0: no limit. */
  maxConns: number;
  maxFails: number;
  failTimeoutSec: number;
  slowStartMs: number;
}

export interface GroupInfo {
  door: 'http' | 'stream';
  name: string;
  /** How a server is chosen: `round robin`, `hash $uri consistent`. */
  method: string;
  /** How clients stay with a server; empty: they do not. */
  sticky: string;
  /** Null: none, and then the API does not change the group. */
  zone: string | null;
  /** 0: no queue. */
  queueSize: number;
  /** Active health checks. */
  checked: boolean;
  /** Changes are kept in a file over reloads. */
  stateFile: boolean;
  peers: PeerInfo[];
  /** What some of its peers come from. */
  names: NameInfo[];
}

/** A server that is followed in DNS. */
export interface NameInfo {
  id: number;
  server: string;
  /** Empty: no SRV records. */
  service: string;
}

export interface GroupFrame {
  /** `http app` */
  key: string;
  /** Absent: as before. */
  info?: GroupInfo;
  /** Absent: as before. */
  data?: GroupData;
}

export interface GroupData {
  /** In the order of `info.peers`. */
  peers: PeerFrame[];
  /** Requests that wait, and those that found the queue full. */
  queue: [size: number, overflows: number];
  /** Removed servers whose last requests are under way. */
  zombies: number;
}

export interface ZoneFrame {
  /** `server front` */
  key: string;
  kind: 'server' | 'location' | 'stream';
  name: string;
  processing: number;
  requests: number;
  /** By class. */
  responses: number[];
  discarded: number;
  received: number;
  sent: number;
  timeMs: number;
  hist: number[];
}

/** A cache, a zone of limits, a resolver: the API's object of it. */
export interface CountedFrame {
  /** `http/caches kept` */
  key: string;
  path: 'http/caches' | 'http/limit_conns' | 'http/limit_reqs' | 'stream/limit_conns' | 'resolvers';
  name: string;
  value: Readonly<Record<string, number | boolean | Readonly<Record<string, number>>>>;
}

export interface WorkerFrame {
  id: number;
  /** What logs call it. */
  number: number;
  busyMs: number;
  idleMs: number;
  connections: number;
  current: number;
  accepted: number;
  requests: number;
}

export interface NodeFrame {
  version: string;
  pid: number;
  host: string;
  /** Epoch milliseconds. */
  startedAt: number;
  loadedAt: number;
  generation: number;
  file: string;
}

export interface ProcessFrame {
  /** Bytes of memory. */
  rss: number;
  /** CPU time of all threads so far, milliseconds. */
  cpuMs: number;
  accepted: number;
  active: number;
  idle: number;
  requests: number;
  current: number;
  /** Workers that took the place of one that died. */
  respawned: number;
}

/** Values of moments; null: there was none. */
export interface PastSeries {
  rps: (number | null)[];
  errors: (number | null)[];
  p50: (number | null)[];
  p95: (number | null)[];
}

/** What was before the page was opened. */
export interface PastFrame {
  /** Epoch seconds, oldest first. */
  moments: number[];
  /** Of all groups of http. */
  all: PastSeries;
  /** Open connections of clients, and cores used. */
  connections: (number | null)[];
  cpu: (number | null)[];
  /** By key. */
  groups: Record<string, PastSeries>;
}

/** Where groups can be changed; null: nowhere. */
export interface Write {
  /** URI of the API; `/9/http/…` follows. */
  api: string;
}

export interface Frame {
  /** Epoch milliseconds. */
  now: number;
  /** Forget everything that was known before. Only in the first frame of a stream. */
  full?: boolean;
  /** Only in full frames. */
  node?: NodeFrame;
  /** Only in full frames; null: the page can only show. */
  write?: Write | null;
  /** Only in full frames. */
  past?: PastFrame | null;
  process: ProcessFrame;
  workers: WorkerFrame[];
  zones: ZoneFrame[];
  counted: CountedFrame[];
  groups: GroupFrame[];
}
