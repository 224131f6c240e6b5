/**
 * Sockets through io_uring (Linux 6.1 and newer), by Node's `node:ffi`.
 *
 * libuv tells that a socket is readable, reads it, and calls JavaScript through layers that cost as much as the system
 * call. Here the kernel puts received bytes into memory of ours and says so in a ring that JavaScript reads as a typed
 * array; what is to be sent stands in a second ring; one system call for all connections of a turn hands over one and
 * fetches the other. Measured on a bare relay of small messages (64 connections): 6.2 microseconds of CPU per exchange
 * instead of 9.3.
 *
 * Connections are accepted, opened and closed by it, too: Node's sockets would cost more than all the rest of a short
 * connection. Where the ring cannot be had, libuv does everything.
 *
 * Layouts and constants: `linux/io_uring.h`; `io-uring-setup.ts` makes the ring.
 */
import type { Buffer } from 'node:buffer';
import { clock } from './clock.ts';
import { ADDRESS_SIZE, ENTRIES, setUpRing, SLOT_SIZE, SLOTS } from './io-uring-setup.ts';
import type { RingMemory } from './io-uring-setup.ts';
import { onWake } from './io-uring-wake.ts';

/** Somebody who waits for what the ring brings. */
export interface Waiter {
  /** `receive`: bytes arrived; valid during the call. */
  received(buf: Buffer, start: number, end: number): void;
  /** `accept`: a connection. */
  accepted(fd: number): void;
  /**
   * Nothing more comes, for the token is free again. Negative: an errno (`ECANCELED` after `cancel`). Else 0 for a receive:
   * the peer has ended its side; the events of a `poll`; 0 for a connection that is open.
   */
  ended(result: number): void;
}

/** Somebody whose bytes were to be sent by the ring. */
export interface Sender {
  /** The kernel did not take `out[start, end)`; valid during the call. @param errno negative: why; 0: it takes no more at present */
  unsent(start: number, end: number, errno: number): void;
}

/** Somebody who is told something a moment later, when nobody is in the middle of anything. */
export interface Told {
  told(): void;
}

/** Bytes that one `received` gives at most: a receiver that gets as many does better with a larger area. */
export const RING_READ: number = SLOT_SIZE;

export const ECANCELED = -125;
export const ENOBUFS = -105;
export const EAGAIN = -11;
/** What `poll` waits for. */
export const POLL_IN = 1;
export const POLL_OUT = 4;

/** The kernel has completions that it gives out when it is entered. */
const SQ_CQ_OVERFLOW = 1 << 1;
const SQ_TASKRUN = 1 << 2;
const CQ_EVENTFD_DISABLED = 1;
const CQE_BUFFER = 1 << 0;
const CQE_MORE = 1 << 1;

const OP_POLL_ADD = 6;
const OP_ACCEPT = 13;
const OP_ASYNC_CANCEL = 14;
const OP_CONNECT = 16;
const OP_CLOSE = 19;
const OP_SEND = 26;
const OP_RECV = 27;
const SQE_BUFFER_SELECT = 1 << 5;
const SQE_SKIP_SUCCESS = 1 << 6;
const RECV_MULTISHOT = 1 << 1;
const ACCEPT_MULTISHOT = 1 << 0;
const SOCK_NONBLOCK_CLOEXEC = 0o2004000;
/** MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL: done during the call, and a message sent in part counts as failed. */
const SEND_FLAGS = 0x40 | 0x100 | 0x4000;

/**
 * Rounds of work before others on the event loop have their turn: connections that open, timers. With 32 of them a new
 * connection waited for up to 100 ms under load; fewer than 4 cost more and gain nothing.
 */
const ROUNDS = 4;
/** Words of a submission (64 bytes) and a completion (16 bytes). */
const SQE_WORDS = 16;
const CQE_WORDS = 4;

/** What a completion is of: for a waiter, of a send, or of what nobody waits for. */
const WAIT = 1;
const SEND = 2;
const OTHER = 3;

export class IoUring {
  /** What is to be sent stands here. */
  readonly out: Buffer;
  /** Called in each round, after what arrived was given out: calls `send` for all there is to send, then `submitSends`. */
  flush: () => void = () => this.submitSends();

  readonly #patienceMs: number;
  readonly #memory: RingMemory;
  readonly #ring: Int32Array;
  readonly #sqes: Int32Array;
  readonly #sqHead: number;
  readonly #sqTail: number;
  readonly #sqFlags: number;
  readonly #sqMask: number;
  readonly #cqHead: number;
  readonly #cqTail: number;
  readonly #cqFlags: number;
  readonly #cqMask: number;
  readonly #cqes: number;

  /** Where received bytes stand: `SLOTS` times `RING_READ`. */
  readonly #in: Buffer;
  /** The kernel's list of free slots, as words and as halves. */
  readonly #free: Int32Array;
  readonly #freeHalves: Uint16Array;
  /** Addresses of the slots, low and high word. */
  readonly #slotLow: Int32Array = new Int32Array(SLOTS);
  readonly #slotHigh: Int32Array = new Int32Array(SLOTS);
  readonly #outLow: number;
  readonly #outHigh: number;
  readonly #addressesLow: number;
  readonly #addressesHigh: number;

  #tail = 0;
  #running = false;
  readonly #waiters: (Waiter | null)[] = [];
  readonly #freeTokens: number[] = [];
  readonly #senders: Sender[] = [];
  readonly #sendStart: number[] = [];
  readonly #sendEnd: number[] = [];
  #sends = 0;
  #toTell: Told[] = [];

  private constructor(memory: RingMemory, patienceMs: number) {
    this.#patienceMs = patienceMs;
    this.out = memory.out;
    this.#memory = memory;
    this.#ring = memory.ring;
    this.#sqes = memory.sqes;
    this.#sqHead = memory.sqHead;
    this.#sqTail = memory.sqTail;
    this.#sqMask = memory.sqMask;
    this.#sqFlags = memory.sqFlags;
    this.#cqHead = memory.cqHead;
    this.#cqTail = memory.cqTail;
    this.#cqMask = memory.cqMask;
    this.#cqFlags = memory.cqFlags;
    this.#cqes = memory.cqes;
    this.#in = memory.in;
    this.#free = new Int32Array(memory.free);
    this.#freeHalves = new Uint16Array(memory.free);
    this.#outLow = Number(BigInt.asUintN(32, memory.outAt));
    this.#outHigh = Number(memory.outAt >> 32n);
    this.#addressesLow = Number(BigInt.asUintN(32, memory.addressesAt));
    this.#addressesHigh = Number(memory.addressesAt >> 32n);
    for (let i = 0; i < SLOTS; i++) {
      const at = memory.inAt + BigInt(i * SLOT_SIZE);
      this.#slotLow[i] = Number(BigInt.asIntN(32, at));
      this.#slotHigh[i] = Number(at >> 32n);
      this.#giveBack(i);
    }
    onWake(memory.wake, () => {
      if (this.#patienceMs === 0) this.run();
      else this.#runLater();
    });
  }

  /**
   * A ring, or why there is none. One a thread, and only that thread may use it.
   * @param patienceMs what the kernel says is looked at so much later, and then all there is: fewer turns for who is not
   * in a hurry
   */
  static open(patienceMs = 0): IoUring | string {
    if (process.platform !== 'linux') return 'io_uring is of Linux';
    try {
      const memory = setUpRing();
      process.once('exit', () => memory.close());
      return new IoUring(memory, patienceMs);
    } catch (error) {
      return (error as Error).message;
    }
  }

  /** Not to be woken again until then. */
  #runLater(): void {
    Atomics.store(this.#ring, this.#cqFlags, CQ_EVENTFD_DISABLED);
    setTimeout(this.#runNow, this.#patienceMs);
  }

  readonly #runNow = (): void => this.run();

  /**
   * Receives from a socket until `cancel`, its end, or an error.
   * @returns a token for `cancel`; it is the waiter's until `ended`
   */
  receive(fd: number, waiter: Waiter): number {
    const at = this.#next();
    this.#sqes[at] = OP_RECV | (SQE_BUFFER_SELECT << 8) | (RECV_MULTISHOT << 16);
    return this.#wait(at, fd, waiter);
  }

  /** Waits until a socket can be read or written, once. @returns as `receive` */
  poll(fd: number, events: number, waiter: Waiter): number {
    const at = this.#next();
    this.#sqes[at] = OP_POLL_ADD;
    this.#sqes[at + 7] = events;
    return this.#wait(at, fd, waiter);
  }

  /** Accepts connections of a listening socket. @returns as `receive` */
  accept(fd: number, waiter: Waiter): number {
    const at = this.#next();
    this.#sqes[at] = OP_ACCEPT | (ACCEPT_MULTISHOT << 16);
    this.#sqes[at + 7] = SOCK_NONBLOCK_CLOEXEC;
    return this.#wait(at, fd, waiter);
  }

  /** Opens a connection. @param address `struct sockaddr` @returns as `receive` */
  connect(fd: number, address: Buffer, waiter: Waiter): number {
    const at = this.#next();
    // The kernel reads the address when it is submitted: it stands beside the submission until then.
    const offset = (at / SQE_WORDS) * ADDRESS_SIZE;
    address.copy(this.#memory.addresses, offset);
    const low = this.#addressesLow + offset;
    this.#sqes[at] = OP_CONNECT;
    this.#sqes[at + 2] = address.length;
    this.#sqes[at + 4] = low | 0;
    this.#sqes[at + 5] = low > 0xffff_ffff ? this.#addressesHigh + 1 : this.#addressesHigh;
    return this.#wait(at, fd, waiter);
  }

  #wait(at: number, fd: number, waiter: Waiter): number {
    const token = this.#freeTokens.pop() ?? this.#waiters.length;
    this.#waiters[token] = waiter;
    const sqes = this.#sqes;
    sqes[at + 1] = fd;
    sqes[at + 8] = token;
    sqes[at + 9] = WAIT;
    this.#soon();
    return token;
  }

  /** Ends what was waited for: `ended` follows. */
  cancel(token: number): void {
    const at = this.#next();
    const sqes = this.#sqes;
    sqes[at] = OP_ASYNC_CANCEL | (SQE_SKIP_SUCCESS << 8);
    sqes[at + 1] = -1;
    sqes[at + 4] = token;
    sqes[at + 5] = WAIT;
    sqes[at + 9] = OTHER;
    this.#soon();
  }

  /** Closes a socket, after what was asked for before (`cancel`, above all: who waits for a socket keeps it open). */
  close(fd: number): void {
    const at = this.#next();
    const sqes = this.#sqes;
    sqes[at] = OP_CLOSE | (SQE_SKIP_SUCCESS << 8);
    sqes[at + 1] = fd;
    sqes[at + 9] = OTHER;
    this.#soon();
  }

  /** Calls `told` once the present call is over. */
  tell(whom: Told): void {
    this.#toTell.push(whom);
    this.#soon();
  }

  /** Sends `out[start, end)` by the `submitSends` that must follow. */
  send(fd: number, sender: Sender, start: number, end: number): void {
    const at = this.#next();
    const sqes = this.#sqes;
    const low = this.#outLow + start;
    const index = this.#sends++;
    sqes[at] = OP_SEND | (SQE_SKIP_SUCCESS << 8);
    sqes[at + 1] = fd;
    sqes[at + 4] = low | 0;
    sqes[at + 5] = low > 0xffff_ffff ? this.#outHigh + 1 : this.#outHigh;
    sqes[at + 6] = end - start;
    sqes[at + 7] = SEND_FLAGS;
    sqes[at + 8] = index;
    sqes[at + 9] = SEND;
    this.#senders[index] = sender;
    this.#sendStart[index] = start;
    this.#sendEnd[index] = end;
  }

  /** Sends go out; those that the kernel did not take whole are told to their senders. `out` is free afterwards. */
  submitSends(): void {
    this.#submit();
    if (this.#sends === 0) return;
    const ring = this.#ring;
    const tail = Atomics.load(ring, this.#cqTail);
    for (let head = ring[this.#cqHead]!; head !== tail; head = (head + 1) | 0) {
      const at = this.#cqes + (head & this.#cqMask) * CQE_WORDS;
      if (ring[at + 1] !== SEND) continue;
      ring[at + 1] = OTHER; // it is dealt with
      const index = ring[at]!;
      const result = ring[at + 2]!;
      const errno = result >= 0 || result === EAGAIN ? 0 : result;
      this.#senders[index]!.unsent(this.#sendStart[index]! + Math.max(result, 0), this.#sendEnd[index]!, errno);
    }
    this.#sends = 0;
    this.#soon();
  }

  /** The place for one submission, cleared. */
  #next(): number {
    if (this.#tail - Atomics.load(this.#ring, this.#sqHead) >= ENTRIES) this.#submit();
    const at = (this.#tail & this.#sqMask) * SQE_WORDS;
    this.#tail = (this.#tail + 1) | 0;
    const sqes = this.#sqes;
    for (let i = 2; i < SQE_WORDS; i++) sqes[at + i] = 0;
    return at;
  }

  /** Hands over what waits to be submitted, and lets the kernel complete what it can. */
  #submit(): void {
    const ring = this.#ring;
    Atomics.store(ring, this.#sqTail, this.#tail);
    // A kernel that is short of memory takes less, or nothing: it is asked again.
    for (let tries = 0; tries < 100; tries++) {
      const n = this.#tail - Atomics.load(ring, this.#sqHead);
      this.#memory.enter(n);
      if (Atomics.load(ring, this.#sqHead) === this.#tail) return;
    }
    throw new Error('io_uring_enter() takes nothing');
  }

  /** Outside of `run` the event loop comes to what was asked for at the end of its turn. */
  #soon(): void {
    if (this.#running || this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#runScheduled);
  }

  #scheduled = false;
  readonly #runScheduled = (): void => {
    this.#scheduled = false;
    this.run();
  };

  /** Whether what is sent now goes out at the end of a round. */
  get running(): boolean {
    return this.#running;
  }

  /** Gives out what arrived, and sends what is to be sent, until there is nothing more. */
  run(): void {
    if (this.#running) return;
    const ring = this.#ring;
    this.#running = true;
    // What completes meanwhile is seen here: no need to be woken for it.
    Atomics.store(ring, this.#cqFlags, CQ_EVENTFD_DISABLED);
    try {
      for (let round = 0; round < ROUNDS; round++) {
        clock.update();
        this.#giveOut();
        // Before the flush: who is told may write.
        if (this.#toTell.length > 0) this.#tellAll();
        this.flush();
        if (!this.#more()) break;
      }
    } finally {
      this.#running = false;
      // What was asked for after the last sends.
      if (this.#tail !== Atomics.load(ring, this.#sqHead)) this.#submit();
      Atomics.store(ring, this.#cqFlags, 0);
      if (this.#toTell.length > 0 || this.#more()) this.#soon();
    }
  }

  #tellAll(): void {
    const all = this.#toTell;
    this.#toTell = [];
    for (const one of all) one.told();
  }

  #more(): boolean {
    const ring = this.#ring;
    return (
      Atomics.load(ring, this.#cqTail) !== ring[this.#cqHead] ||
      (Atomics.load(ring, this.#sqFlags) & (SQ_TASKRUN | SQ_CQ_OVERFLOW)) !== 0
    );
  }

  #giveOut(): void {
    const ring = this.#ring;
    for (;;) {
      const head = ring[this.#cqHead]!;
      if (head === Atomics.load(ring, this.#cqTail)) return;
      const at = this.#cqes + (head & this.#cqMask) * CQE_WORDS;
      const token = ring[at]!;
      const kind = ring[at + 1]!;
      const result = ring[at + 2]!;
      const flags = ring[at + 3]!;
      Atomics.store(ring, this.#cqHead, (head + 1) | 0);
      if (kind !== WAIT) continue;
      const waiter = this.#waiters[token]!;
      const received = (flags & CQE_BUFFER) !== 0;
      if (received) {
        const slot = flags >>> 16;
        waiter.received(this.#in, slot * SLOT_SIZE, slot * SLOT_SIZE + result);
        this.#giveBack(slot);
      }
      if ((flags & CQE_MORE) !== 0) {
        if (!received) waiter.accepted(result);
        continue;
      }
      this.#waiters[token] = null;
      this.#freeTokens.push(token);
      // The kernel may end a receive that has nothing wrong: whoever wants more starts another.
      waiter.ended(received ? ENOBUFS : result);
    }
  }

  #freed = 0;

  /** A slot is the kernel's again. */
  #giveBack(slot: number): void {
    const index = this.#freed & (SLOTS - 1);
    const at = index * 4;
    this.#free[at] = this.#slotLow[slot]!;
    this.#free[at + 1] = this.#slotHigh[slot]!;
    this.#free[at + 2] = SLOT_SIZE;
    this.#freeHalves[at * 2 + 6] = slot;
    this.#freed = (this.#freed + 1) & 0xffff;
    // The list's tail lies in the unused end of its first entry.
    Atomics.store(this.#freeHalves, 7, this.#freed);
  }
}
