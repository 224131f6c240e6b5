/**
 * A logical stream of any-proxy's tunnel as a socket. Frames are numbered, and nothing of them is acknowledged or sent
 * again: a connection that is lost after it has carried something ends the stream, with an error. An end of one direction
 * is the end of both, as any-proxy has it.
 */
import { Buffer } from 'node:buffer';
import { PipeSocket } from '../../pipe.ts';
import type { PipeAddresses } from '../../pipe.ts';
import { clock } from '../../clock.ts';
import { Timer } from '../../timers.ts';
import { anyproxyClose, anyproxyDataHead } from './frames.ts';
import type { AnyproxyLink } from './link.ts';
import { PackOrder } from './reorder.ts';
import type { PackSink } from './reorder.ts';

export interface AnyproxyStreamHost {
  /** The connections that there are take no more, for a while. */
  full(stream: AnyproxySocket): void;
  /** A connection is free for others. */
  release(link: AnyproxyLink): void;
  /** Nothing follows. */
  over(stream: AnyproxySocket): void;
}

/** Most bytes, and frames, that wait for those before them. */
const AHEAD_MAX = 4 * 1024 * 1024;
const AHEAD_HARD = 32 * 1024 * 1024;
const AHEAD_FRAMES = 4096;
/** Most bytes of a frame that we send. */
const PACK = 64 * 1024;
const GROW_MS = 300;
/** How long the other side may take to say that it has seen the end. */
const END_MS = 30_000;

export class AnyproxySocket extends PipeSocket implements PackSink {
  readonly id: string;
  readonly isClient: boolean;
  readonly links: AnyproxyLink[] = [];
  /** Connections so far. */
  joined = 0;
  readonly #host: AnyproxyStreamHost;
  readonly #order = new PackOrder(this);
  #pack = 1;
  #turn = 0;
  /** What waits for a connection that takes more. */
  #pending: { chunk: Buffer; at: number; done: (error?: Error | null) => void } | null = null;
  #ended = false;
  #peerEnded = false;
  #over = false;
  #full = 0;
  readonly #timer = new Timer(() => this.#onTimer());
  #endAt = Infinity;

  constructor(id: string, addresses: PipeAddresses, isClient: boolean, host: AnyproxyStreamHost) {
    super(addresses);
    this.id = id;
    this.isClient = isClient;
    this.#host = host;
  }

  attach(link: AnyproxyLink): void {
    this.joined++;
    link.take(this);
    this.links.push(link);
    // One that comes too late is ended as those before it were.
    if (this.#ended) this.#sendEnd(link);
    else this.#pump();
  }

  // ------------------------------------------------------------------------------------------------ sending

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    if (this.#ended || this.#over) {
      done();
      return;
    }
    this.#pending = { chunk, at: 0, done };
    this.#pump();
  }

  #pump(): void {
    const pending = this.#pending;
    if (pending === null) return;
    const { chunk } = pending;
    while (pending.at < chunk.length) {
      const link = this.#nextLink();
      if (link === null) {
        if (!this.#timer.armed) this.#timer.arm(GROW_MS);
        return;
      }
      const end = Math.min(chunk.length, pending.at + PACK);
      const head = anyproxyDataHead(this.#pack++, end - pending.at);
      link.carried = true;
      link.send(Buffer.concat([head, chunk.subarray(pending.at, end)]));
      pending.at = end;
    }
    this.#pending = null;
    pending.done();
  }

  /** In turns, those that take more. */
  #nextLink(): AnyproxyLink | null {
    for (let i = 0; i < this.links.length; i++) {
      const link = this.links[this.#turn++ % this.links.length]!;
      if (link.writable && !link.endSent) return link;
    }
    return null;
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#end();
    done();
  }

  #end(): void {
    if (this.#ended || this.#over) return;
    this.#ended = true;
    this.#endAt = clock.now + END_MS;
    this.#timer.arm(END_MS);
    for (const link of this.links) this.#sendEnd(link);
  }

  #sendEnd(link: AnyproxyLink): void {
    link.endSent = true;
    link.send(anyproxyClose(this.isClient));
  }

  onLinkDrain(): void {
    this.#pump();
  }

  // ------------------------------------------------------------------------------------------------ receiving

  /** @returns false: its bytes are not wanted */
  onPack(packId: number, size: number): boolean {
    if (this.#order.waiting < AHEAD_FRAMES) return this.#order.begin(packId, size);
    this.fail('more frames are ahead of their turn than can be');
    return false;
  }

  onPackBytes(link: AnyproxyLink, packId: number, buf: Buffer, start: number, end: number): void {
    const before = this.#order.held;
    this.#order.bytes(packId, buf, start, end);
    const { held } = this.#order;
    // Whoever is ahead waits for who is behind.
    if (held > AHEAD_HARD) this.fail('more is ahead of its turn than can be');
    else if (held > AHEAD_MAX && held > before) link.transport.pause();
    else if (before > AHEAD_MAX && held <= AHEAD_MAX && this.readableLength < this.readableHighWaterMark)
      this.#resume();
  }

  deliver(buf: Buffer, start: number, end: number): void {
    if (this.#over || this.destroyed || this.#peerEnded) return;
    if (this.push(Buffer.from(buf.subarray(start, end)))) return;
    for (const link of this.links) link.transport.pause();
  }

  override _read(): void {
    if (this.#order.held <= AHEAD_MAX) this.#resume();
  }

  #resume(): void {
    for (const link of this.links) link.transport.resume();
  }

  // ------------------------------------------------------------------------------------------------ the end

  /** The end of the stream has come on a connection: ours, back again, or the other side's. */
  onLinkEnd(link: AnyproxyLink, byClient: boolean): void {
    if (byClient === this.isClient) {
      if (!link.endSent) {
        this.fail('the other side broke the protocol');
        return;
      }
    } else {
      link.endSeen = true;
      // Nothing is sent any more; what was, is: who ends by any-proxy's rules does not read it.
      link.send(anyproxyClose(byClient));
      this.#onPeerEnd();
      if (link.endSent) return;
    }
    const at = this.links.indexOf(link);
    if (at >= 0) this.links.splice(at, 1);
    this.#host.release(link);
    if (this.links.length === 0) this.#finish();
  }

  #onPeerEnd(): void {
    if (this.#peerEnded) return;
    const pending = this.#pending;
    this.#pending = null;
    // Ended: what is still written is for nobody.
    if (!this.#ended) {
      this.#ended = true;
      this.#endAt = clock.now + END_MS;
      this.#timer.arm(END_MS);
    }
    pending?.done();
  }

  /** All connections have had the end. */
  #finish(): void {
    if (this.#over) return;
    if (this.#order.gap) {
      this.fail('a part of the stream is missing');
      return;
    }
    this.#leave();
    this.#peerEnded = true;
    if (!this.readableEnded) this.push(null);
    if (this.readableLength === 0) this.read(0);
    if (this.writable) this.end();
  }

  onLinkGone(link: AnyproxyLink, why: string | null): void {
    const at = this.links.indexOf(link);
    if (at >= 0) this.links.splice(at, 1);
    if (this.#over) return;
    // Nothing was on it, and others are there.
    if (!link.carried && this.links.length > 0) return;
    this.fail(why ?? 'a connection was lost');
  }

  /** Ends it at once; the other side sees its connections go. */
  fail(why: string): void {
    if (this.#over) return;
    this.#leave();
    for (const link of this.links.splice(0)) link.destroy();
    this.destroy(new Error(why.startsWith('tunnel: ') ? why : `tunnel: ${why}`));
  }

  #leave(): void {
    this.#over = true;
    this.#timer.drop();
    this.#host.over(this);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (!this.#over) {
      if (this.cut || error !== null) {
        this.#leave();
        for (const link of this.links.splice(0)) link.destroy();
      } else {
        this.#end();
        // What comes is for nobody.
        this.#resume();
      }
    }
    const pending = this.#pending;
    this.#pending = null;
    pending?.done(error ?? new Error('closed'));
    done(error);
  }

  #onTimer(): void {
    if (clock.now >= this.#endAt) {
      this.fail('the other side does not end the stream');
      return;
    }
    const full = this.#pending !== null;
    this.#full = full ? this.#full + 1 : 0;
    if (full) this.#timer.arm(GROW_MS);
    if (this.#full < 2) return;
    this.#full = 0;
    this.#host.full(this);
  }
}
