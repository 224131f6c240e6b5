/**
 * Idle connections of one worker to the peers of one group (spec 2.12).
 *
 * A connection is found by peer and variant: everything beyond the address that it depends on (TLS parameters,
 * protocol, the location when `local`). nginx compares the address alone, and hands connections to the wrong TLS name
 * (nginx#1716). The newest comes first; when the pool is full the least recently used is closed. All is O(1), and in
 * steady state nothing is allocated: the links live on an entry that the connection keeps.
 */

/** The links of a connection; made by the pool, kept on the connection. */
export interface IdleEntry<C> {
  readonly connection: C;
  stack: Stack<C> | null;
  /** When it was put, milliseconds. */
  since: number;
  newer: IdleEntry<C> | null;
  older: IdleEntry<C> | null;
  above: IdleEntry<C> | null;
  below: IdleEntry<C> | null;
}

/** What the pool keeps: `idleEntry` is the pool's own. */
export interface Poolable<C> {
  destroy(): void;
  idleEntry?: IdleEntry<C> | null;
}

/** Idle connections of one peer and variant. */
interface Stack<C> {
  top: IdleEntry<C> | null;
}

export interface PoolLimits {
  /** Most idle connections; 0 keeps none. */
  connections: number;
  /** Most of them until `trim`; twice as many unless said. */
  most?: number;
  /** Milliseconds that a connection may be idle. */
  timeoutMs: number;
  /** Where others read how many are idle: in this place of these numbers. */
  gauge?: { cells: Int32Array; at: number };
}

export class IdlePool<C extends Poolable<C>> {
  private readonly limits: PoolLimits;
  private readonly stacks = new Map<string | number, Map<string, Stack<C>>>();
  private newest: IdleEntry<C> | null = null;
  private oldest: IdleEntry<C> | null = null;
  private count = 0;
  /** Fewest idle connections since the last `trim`. */
  private low = 0;

  /** Idle connections that are kept until `trim`. */
  private readonly most: number;
  private readonly gauge: NonNullable<PoolLimits['gauge']> | null;

  constructor(limits: PoolLimits) {
    this.limits = limits;
    this.most = limits.most ?? 2 * limits.connections;
    this.gauge = limits.gauge ?? null;
  }

  /** Idle connections. */
  get size(): number {
    return this.count;
  }

  /** Takes out the newest connection of a peer and variant, or returns null. */
  take(peer: string | number, variant: string): C | null {
    const entry = this.stacks.get(peer)?.get(variant)?.top ?? null;
    if (entry === null) return null;
    this.unlink(entry);
    if (this.count < this.low) this.low = this.count;
    return entry.connection;
  }

  /**
   * Puts an idle connection in. More than the limit are kept until `trim`, up to twice as many: when answers arrive in
   * bursts all connections are idle for a moment, and closing some of them would open them again in the next.
   */
  put(connection: C, peer: string | number, variant: string, nowMs: number): void {
    if (this.limits.connections <= 0) {
      connection.destroy();
      return;
    }
    while (this.count >= this.most && this.oldest !== null) this.close(this.oldest);
    const entry = entryOf(connection);
    if (entry.stack !== null) this.unlink(entry);
    const stack = this.stackOf(peer, variant);
    entry.stack = stack;
    entry.since = nowMs;
    entry.below = stack.top;
    if (stack.top !== null) stack.top.above = entry;
    stack.top = entry;
    entry.older = this.newest;
    if (this.newest !== null) this.newest.newer = entry;
    else this.oldest = entry;
    this.newest = entry;
    this.count++;
    if (this.gauge !== null) this.gauge.cells[this.gauge.at]!++;
  }

  /**
   * Takes a connection out because something happened on it while idle (end, error, unexpected bytes); the caller
   * closes it. @returns false when it was not idle here.
   */
  remove(connection: C): boolean {
    const entry = connection.idleEntry;
    if (entry === undefined || entry === null || entry.stack === null) return false;
    this.unlink(entry);
    return true;
  }

  /** More are idle than the limit: `trim` is due in a moment. */
  get overfull(): boolean {
    return this.count > this.limits.connections;
  }

  /** Closes, least recently used first, what was over the limit all the time since the last call. */
  trim(): void {
    for (let n = this.low - this.limits.connections; n > 0 && this.oldest !== null; n--) this.close(this.oldest);
    this.low = this.count;
  }

  /** Closes what has been idle for too long. Call it now and then: a coarse timer does. */
  sweep(nowMs: number): void {
    while (this.oldest !== null && this.oldest.since + this.limits.timeoutMs <= nowMs) this.close(this.oldest);
    // an empty stack is kept for the next connection of a busy peer; a peer that is gone must not stay for ever
    for (const [peer, variants] of this.stacks) {
      for (const [variant, stack] of variants) if (stack.top === null) variants.delete(variant);
      if (variants.size === 0) this.stacks.delete(peer);
    }
  }

  /** When `sweep` has something to close, milliseconds; Infinity: never. */
  get nextSweep(): number {
    return this.oldest === null ? Infinity : this.oldest.since + this.limits.timeoutMs;
  }

  /** Closes all: the worker ends, or the configuration has been replaced. */
  closeAll(): void {
    while (this.oldest !== null) this.close(this.oldest);
    this.stacks.clear();
  }

  private close(entry: IdleEntry<C>): void {
    // out of the lists first: destroying may call `remove`
    this.unlink(entry);
    entry.connection.destroy();
  }

  private unlink(entry: IdleEntry<C>): void {
    const { stack, above, below, newer, older } = entry;
    if (above !== null) above.below = below;
    else if (stack !== null) stack.top = below;
    if (below !== null) below.above = above;
    if (newer !== null) newer.older = older;
    else this.newest = older;
    if (older !== null) older.newer = newer;
    else this.oldest = newer;
    entry.stack = entry.above = entry.below = entry.newer = entry.older = null;
    this.count--;
    if (this.gauge !== null) this.gauge.cells[this.gauge.at]!--;
  }

  private stackOf(peer: string | number, variant: string): Stack<C> {
    let variants = this.stacks.get(peer);
    if (variants === undefined) {
      variants = new Map();
      this.stacks.set(peer, variants);
    }
    let stack = variants.get(variant);
    if (stack === undefined) {
      stack = { top: null };
      variants.set(variant, stack);
    }
    return stack;
  }
}

function entryOf<C extends Poolable<C>>(connection: C): IdleEntry<C> {
  return (connection.idleEntry ??= {
    connection,
    stack: null,
    since: 0,
    newer: null,
    older: null,
    above: null,
    below: null,
  });
}
