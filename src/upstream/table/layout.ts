/**
 * A group's shared memory: every number that balancing reads or writes, as typed arrays over one SharedArrayBuffer,
 * so that a pick is exact over all worker threads. `Table` is a thread's view of it and holds no state of its own.
 *
 * A slot is the stable identity of a peer: it keeps its number while the ordered lists around it change, and is handed
 * out again only after the peer was removed and its last request has ended. `generation` tells two owners apart.
 */
import { BUCKETS } from '../../observe/histogram.ts';
import { CODE_COUNT } from '../../observe/status-codes.ts';
import { Carver, MEASURE } from '../../shared/carver.ts';
import { LOCK } from '../../shared/lock.ts';

const MAGIC = 0x48645231; // 'HdR1'

/** Words of the header (`Table.head`). */
export const H = {
  magic: 0,
  capacity: 1,
  rows: 2,
  /** 0: free, else the owner's row + 1. */
  lock: LOCK.lock,
  waiters: LOCK.waiters,
  /** Changes with every change of membership, order, weight or sid. */
  version: 6,
  /** Live peers per list: primary, backup. */
  count: 7,
  /** Peers per list that are not down: what a request may try at most. */
  tries: 9,
  /** What the selection index is built for: see `select/index.ts`. */
  indexKind: 11,
  /** The index cannot be trusted: rebuild it before use. */
  indexStale: LOCK.indexStale,
  /** Ring of free slots: oldest first, so that a number is not reused soon. */
  freeHead: 13,
  freeCount: 14,
  wakeCount: 15,
  bucketFree: 16,
  /** Weight classes per list. */
  classes: 17,
  /** Heads of the lists of peers whose weight is in recovery. */
  loose: 19,
  /** Generation last given to a slot. */
  generation: 21,
  /** The queue (`queue.ts`): its size, ends, free places, who waits, who was granted a turn, and what has happened. */
  queueSize: 22,
  queueFirst: 23,
  queueLast: 24,
  queueFree: 25,
  queued: 26,
  queueGranted: 27,
  queueEvents: 28,
  /** New peers are born "checking": a health check is mandatory. */
  mandatory: 29,
  /** Changes with every heartbeat that was answered (`heartbeat.ts`). */
  heartbeats: 30,
  /** 1: answers are counted by status, not by class alone. */
  coded: 31,
  words: 32,
} as const;

/** Words of the floating-point header (`Table.headF`). */
export const F = {
  totalWeight: 0,
  now: 2,
  /** Current weight that peers left behind when their slow start began, per list: the next who is chosen settles it. */
  owed: 3,
  /** Tickets drawn in the queue, and requests that found it full. */
  queueTickets: 5,
  queueOverflows: 6,
  words: 8,
} as const;

export const PRIMARY = 0;
export const BACKUP = 1;

/** `Table.state` of a slot. A zombie was removed while requests were still running on it. */
export const FREE = 0;
export const LIVE = 1;
export const ZOMBIE = 2;

/** `Table.down` bits. nginx uses 1 and 8; 2 and 4 are for health checks, 256 keeps zombies out of every choice. */
export const DOWN = 1;
export const UNHEALTHY = 2;
export const CHECKING = 4;
export const DRAINING = 8;
export const REMOVED = 256;

/** `Table.family` of unix sockets; 4 and 6 stand for themselves. */
export const FAMILY_UNIX = 1;

/** Bytes of the string area of a slot: four lengths, then address, host, server and sid. */
export const TEXT_STRIDE = 576;

/** A thread's typed arrays over a group's shared memory. Everything but `head[H.lock]` is guarded by the lock. */
export class Table {
  readonly buffer: SharedArrayBuffer;
  readonly capacity: number;
  /** Rows of the per-worker planes: row 0 is the main thread, row n + 1 is worker n. */
  readonly rows: number;
  readonly size: number;

  readonly head: Int32Array;
  readonly headF: Float64Array;

  // identity
  readonly state: Int32Array;
  readonly generation: Int32Array;
  /** `version` at which the slot got its present owner. */
  readonly born: Int32Array;
  readonly list: Int32Array;
  /** Place in the ordered list: what ties are broken by. */
  readonly pos: Int32Array;
  /** Index of the server line; -1: added at run time. */
  readonly server: Int32Array;
  readonly family: Int32Array;
  readonly port: Int32Array;
  /** 1: came out of name resolution. */
  readonly resolved: Int32Array;
  readonly priority: Int32Array;
  /** Hash of the name that it was resolved from. */
  readonly origin: Int32Array;

  // parameters
  readonly weight: Int32Array;
  readonly maxConns: Int32Array;
  readonly maxFails: Int32Array;
  /** Whole seconds. */
  readonly failTimeout: Float64Array;
  readonly down: Int32Array;
  /** Milliseconds; 0: full weight at once. */
  readonly slowStart: Int32Array;
  /** When its slow start began, epoch milliseconds; negative: when it shall begin; 0: there is none (`slow-start.ts`). */
  readonly slowStartAt: Float64Array;

  // state
  readonly effective: Int32Array;
  /** Current weight; less the class clock while the peer is in a bucket (see `select/index.ts`). */
  readonly current: Float64Array;
  readonly conns: Int32Array;
  readonly fails: Int32Array;
  /** Whole seconds. */
  readonly checked: Float64Array;
  readonly accessed: Float64Array;

  // times, milliseconds; averages are 0 when there is no sample
  readonly connectTime: Float64Array;
  readonly headerTime: Float64Array;
  readonly responseTime: Float64Array;
  readonly inflightTime: Float64Array;
  readonly inflightLast: Float64Array;
  readonly inflightChanged: Float64Array;
  readonly inflightReqs: Int32Array;
  /** Average of a balancer of its own, and when it was last changed (`peak_ewma`); 0: never. */
  readonly average: Float64Array;
  readonly averageAt: Float64Array;

  // counters
  readonly requests: Float64Array;
  readonly failsTotal: Float64Array;
  readonly unavail: Float64Array;
  readonly sent: Float64Array;
  readonly received: Float64Array;
  readonly selected: Float64Array;
  /** Since when it is unavailable, unhealthy or checked, epoch milliseconds, 0: it is not; and how long it was before. */
  readonly downStart: Float64Array;
  readonly downtime: Float64Array;
  /** Answers by class, five to a slot: 1xx to 5xx. */
  readonly responses: Float64Array;
  /** And by status, `CODE_COUNT` to a slot; empty unless `H.coded`. */
  readonly codes: Float64Array;
  /** Response times: `BUCKETS` counts to a slot, each of its own bucket; and their sum. */
  readonly hist: Float64Array;
  readonly histSum: Float64Array;

  // lists
  /** Slots in order: primaries from 0, backups from `capacity`. */
  readonly order: Int32Array;
  readonly free: Int32Array;

  // selection index
  readonly where: Int32Array;
  readonly child: Int32Array;
  readonly next: Int32Array;
  readonly prev: Int32Array;
  readonly classOf: Int32Array;
  readonly classWeight: Int32Array;
  readonly classFirst: Int32Array;
  readonly bucketRoot: Int32Array;
  readonly bucketCount: Int32Array;
  readonly bucketLoad: Int32Array;
  readonly bucketClass: Int32Array;
  readonly bucketNext: Int32Array;
  readonly bucketPrev: Int32Array;
  readonly bucketClock: Float64Array;
  readonly wakeHeap: Int32Array;
  readonly wakeAt: Int32Array;
  readonly wakeTime: Float64Array;

  // per worker
  readonly alive: Int32Array;
  /** Requests in flight by worker: `[row * capacity + slot]`. `conns` is their sum. */
  readonly connsBy: Int32Array;
  /** Idle connections by worker. */
  readonly idleBy: Int32Array;
  readonly inflightBy: Int32Array;

  // queue: by place; no places without the directive
  readonly queueNext: Int32Array;
  readonly queuePrev: Int32Array;
  /** Row of the worker whose request waits there. */
  readonly queueRow: Int32Array;
  readonly queueState: Int32Array;
  /** `queueEvents` when it had its turn and could use none of the peers. */
  readonly queueSeen: Int32Array;
  readonly queueTicket: Float64Array;

  readonly text: Buffer;

  constructor(buffer: SharedArrayBuffer, capacity?: number, rows?: number, queueSize = 0, coded = false) {
    if (capacity === undefined || rows === undefined) {
      const words = new Int32Array(buffer);
      if (words[H.magic] !== MAGIC) throw new TypeError('not a peer table');
      capacity = words[H.capacity]!;
      rows = words[H.rows]!;
      queueSize = words[H.queueSize]!;
      coded = words[H.coded] === 1;
    }
    this.buffer = buffer;
    this.capacity = capacity;
    this.rows = rows;
    const n = capacity;
    const c = new Carver(buffer);
    this.head = c.int32(H.words);
    this.headF = c.float64(F.words);
    this.state = c.int32(n);
    this.generation = c.int32(n);
    this.born = c.int32(n);
    this.list = c.int32(n);
    this.pos = c.int32(n);
    this.server = c.int32(n);
    this.family = c.int32(n);
    this.port = c.int32(n);
    this.resolved = c.int32(n);
    this.priority = c.int32(n);
    this.origin = c.int32(n);
    this.weight = c.int32(n);
    this.maxConns = c.int32(n);
    this.maxFails = c.int32(n);
    this.failTimeout = c.float64(n);
    this.down = c.int32(n);
    this.slowStart = c.int32(n);
    this.slowStartAt = c.float64(n);
    this.effective = c.int32(n);
    this.current = c.float64(n);
    this.conns = c.int32(n);
    this.fails = c.int32(n);
    this.checked = c.float64(n);
    this.accessed = c.float64(n);
    this.connectTime = c.float64(n);
    this.headerTime = c.float64(n);
    this.responseTime = c.float64(n);
    this.inflightTime = c.float64(n);
    this.inflightLast = c.float64(n);
    this.inflightChanged = c.float64(n);
    this.inflightReqs = c.int32(n);
    this.average = c.float64(n);
    this.averageAt = c.float64(n);
    this.requests = c.float64(n);
    this.failsTotal = c.float64(n);
    this.unavail = c.float64(n);
    this.sent = c.float64(n);
    this.received = c.float64(n);
    this.selected = c.float64(n);
    this.downStart = c.float64(n);
    this.downtime = c.float64(n);
    this.responses = c.float64(n * 5);
    this.codes = c.float64(coded ? n * CODE_COUNT : 0);
    this.hist = c.float64(n * BUCKETS);
    this.histSum = c.float64(n);
    this.order = c.int32(n * 2);
    this.free = c.int32(n);
    this.where = c.int32(n);
    this.child = c.int32(n);
    this.next = c.int32(n);
    this.prev = c.int32(n);
    this.classOf = c.int32(n);
    this.classWeight = c.int32(n * 2);
    this.classFirst = c.int32(n * 2);
    this.bucketRoot = c.int32(n + 1);
    this.bucketCount = c.int32(n + 1);
    this.bucketLoad = c.int32(n + 1);
    this.bucketClass = c.int32(n + 1);
    this.bucketNext = c.int32(n + 1);
    this.bucketPrev = c.int32(n + 1);
    this.bucketClock = c.float64(n + 1);
    this.wakeHeap = c.int32(n);
    this.wakeAt = c.int32(n);
    this.wakeTime = c.float64(n);
    this.alive = c.int32(rows);
    this.connsBy = c.int32(rows * n);
    this.inflightBy = c.int32(rows * n);
    this.idleBy = c.int32(rows);
    this.queueNext = c.int32(queueSize);
    this.queuePrev = c.int32(queueSize);
    this.queueRow = c.int32(queueSize);
    this.queueState = c.int32(queueSize);
    this.queueSeen = c.int32(queueSize);
    this.queueTicket = c.float64(queueSize);
    this.text = c.bytes(n * TEXT_STRIDE);
    this.size = c.size;
  }
}

/**
 * Makes an empty table.
 * @param capacity most peers it will ever hold, zombies included.
 * @param workers most worker threads that will use it.
 * @param queueSize most requests that may wait in it.
 * @param coded count answers by status, too.
 */
export function allocate(capacity: number, workers: number, queueSize = 0, coded = false): Table {
  const rows = workers + 1;
  const size = new Table(MEASURE, capacity, rows, queueSize, coded).size;
  const t = new Table(new SharedArrayBuffer(size), capacity, rows, queueSize, coded);
  t.head[H.magic] = MAGIC;
  t.head[H.capacity] = capacity;
  t.head[H.rows] = rows;
  t.head[H.queueSize] = queueSize;
  t.head[H.coded] = coded ? 1 : 0;
  clearQueue(t);
  t.head[H.version] = 1;
  t.head[H.indexStale] = 1;
  t.head[H.freeCount] = capacity;
  for (let i = 0; i < capacity; i++) t.free[i] = i;
  t.where.fill(-1);
  t.wakeAt.fill(-1);
  return t;
}

/** All places of the queue are free. */
export function clearQueue(t: Table): void {
  const size = t.head[H.queueSize]!;
  for (let at = 0; at < size; at++) t.queueNext[at] = at + 1 < size ? at + 1 : -1;
  t.queueState.fill(0);
  t.head[H.queueFree] = size === 0 ? -1 : 0;
  t.head[H.queueFirst] = t.head[H.queueLast] = -1;
  t.head[H.queued] = t.head[H.queueGranted] = 0;
}
