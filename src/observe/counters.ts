/**
 * Named sets of counters over all threads: what limits decided, what name servers answered, how handshakes ended. Each
 * thread has a row of its own in shared memory that only it writes, so counting is an add; what nobody reads is counted
 * into a row that nobody has.
 */

/** The main thread's row, and those of workers; workers beyond share theirs. */
const ROWS = 64;
const STRIDE = 16;

/** What zones of `limit_req` and `limit_conn` count; the latter delay nothing. */
export const LIMIT = { passed: 0, delayed: 1, rejected: 2, delayedDryRun: 3, rejectedDryRun: 4 } as const;

/** What resolvers with a `status_zone` count: names, services and addresses asked for, and how that ended. */
export const DNS = {
  name: 0,
  srv: 1,
  addr: 2,
  noerror: 3,
  formerr: 4,
  servfail: 5,
  nxdomain: 6,
  notimp: 7,
  refused: 8,
  timedout: 9,
  unknown: 10,
} as const;

/** How TLS handshakes ended. */
export const TLS = {
  handshakes: 0,
  reused: 1,
  failed: 2,
  noProtocol: 3,
  noCipher: 4,
  timeout: 5,
  rejectedCertificate: 6,
  noCertificate: 7,
  expired: 8,
  revoked: 9,
  hostname: 10,
  otherVerify: 11,
} as const;

/** The one set that every configuration has. */
export const TLS_KEY = 'ssl';

export type CounterMemory = Readonly<Record<string, SharedArrayBuffer>>;

/** Main thread: memory for one set. */
export function createCounters(): SharedArrayBuffer {
  return new SharedArrayBuffer(ROWS * STRIDE * 8);
}

/** Sums over all threads. */
export function counterSums(memory: SharedArrayBuffer): Float64Array {
  const all = new Float64Array(memory);
  const sums = new Float64Array(STRIDE);
  for (let i = 0; i < all.length; i++) sums[i % STRIDE]! += all[i]!;
  return sums;
}

class Counters {
  #memory: CounterMemory = {};
  #row = 0;
  /** Of TLS handshakes of this thread. */
  tls: Float64Array = new Float64Array(STRIDE);

  /** Counts in these sets from now on. @param workerId -1: the main thread */
  use(memory: CounterMemory, workerId: number): void {
    this.#memory = memory;
    this.#row = workerId < 0 ? 0 : 1 + (workerId % (ROWS - 1));
    this.tls = this.row(TLS_KEY);
  }

  /** This thread's row of a set. */
  row(key: string): Float64Array {
    const memory = this.#memory[key];
    if (memory === undefined) return new Float64Array(STRIDE);
    return new Float64Array(memory, this.#row * STRIDE * 8, STRIDE);
  }
}

/** One a thread. */
export const counters: Counters = new Counters();
