/** One connection of any-proxy's tunnel over a transport. */
import type { Buffer } from 'node:buffer';
import { clock } from '../../clock.ts';
import { Timer } from '../../timers.ts';
import { HELD } from '../../transport.ts';
import type { Transport, TransportOwner } from '../../transport.ts';
import { AnyproxyFrameReader } from './frames.ts';
import type { AnyproxyFrames, AnyproxyHello } from './frames.ts';
import type { AnyproxySocket } from './stream.ts';

/** How long a server keeps a connection that nobody uses. */
const IDLE_MS = 600_000;

/** Who keeps the connection while no stream has it. */
export interface AnyproxyLinkHost {
  /** A connection begins a stream, or joins one. Servers only. @returns false: it has no place */
  hello(link: AnyproxyLink, hello: AnyproxyHello): boolean;
  /** The server has taken it into the stream. Clients only. */
  helloAck(link: AnyproxyLink): boolean;
  /** The server would like another one. Clients only. */
  addConnect(link: AnyproxyLink): boolean;
  /** The client has no more. Servers only. */
  maxConnect(link: AnyproxyLink): boolean;
  /** The connection is gone; its stream, if it has one, knows already. */
  gone(link: AnyproxyLink, why: string | null): void;
}

export class AnyproxyLink implements TransportOwner, AnyproxyFrames {
  readonly transport: Transport;
  readonly createdAt: number = clock.now;
  stream: AnyproxySocket | null = null;
  writable = true;
  /** It has carried data of its present stream. */
  carried = false;
  /** Ends of the stream that were sent on it and have not come back, and that have come. */
  endSent = false;
  endSeen = false;
  idleSince = 0;
  readonly #host: AnyproxyLinkHost;
  readonly #reader = new AnyproxyFrameReader(this);
  #pack = 0;
  #skips = false;
  #over = false;
  /** Servers: while no stream has the connection. There is nothing in these frames to ask whether it lives. */
  readonly #timer: Timer | null;

  /** @param beginMs how long the other side may take to begin; 0: it is we who begin */
  constructor(transport: Transport, host: AnyproxyLinkHost, beginMs = 0) {
    this.transport = transport;
    this.#host = host;
    this.#timer = beginMs === 0 ? null : new Timer(() => this.#end(null));
    this.#timer?.arm(beginMs);
    transport.owner = this;
  }

  get closed(): boolean {
    return this.#over || this.transport.closed;
  }

  send(buf: Buffer): void {
    if (this.#over) return;
    if (this.transport.write(buf, 0, buf.length) === HELD) this.writable = false;
  }

  take(stream: AnyproxySocket): void {
    this.#timer?.cancel();
    this.stream = stream;
    this.carried = false;
    this.endSent = false;
    this.endSeen = false;
  }

  free(): void {
    this.stream = null;
    this.idleSince = clock.now;
    this.#timer?.arm(IDLE_MS);
    this.transport.resume();
  }

  destroy(): void {
    this.#over = true;
    this.#timer?.drop();
    this.#reader.stop();
    this.stream = null;
    this.transport.close();
  }

  onData(buf: Buffer, start: number, end: number): void {
    if (!this.#over && !this.#reader.feed(buf, start, end)) this.#broken();
  }

  #broken(): void {
    this.#end('tunnel: the other side broke the protocol');
  }

  onHello(hello: AnyproxyHello): void {
    if (this.stream !== null || !this.#host.hello(this, hello)) this.#broken();
  }

  onHelloAck(): void {
    if (!this.#host.helloAck(this)) this.#broken();
  }

  onPack(packId: number, size: number): void {
    const { stream } = this;
    if (stream === null || this.endSeen) {
      this.#broken();
      return;
    }
    this.#pack = packId;
    this.carried = true;
    this.#skips = !stream.onPack(packId, size);
  }

  onAddConnect(): void {
    if (!this.#host.addConnect(this)) this.#broken();
  }

  onMaxConnect(): void {
    if (!this.#host.maxConnect(this)) this.#broken();
  }

  onStreamEnd(byClient: boolean): void {
    if (this.stream === null) this.#broken();
    else this.stream.onLinkEnd(this, byClient);
  }

  onClose(error: Error | null): void {
    this.#end(error === null ? null : `tunnel: ${error.message}`);
  }

  onEnd(): void {
    this.#end(null);
  }

  onDrain(): void {
    this.writable = true;
    this.stream?.onLinkDrain();
  }

  onPackBytes(buf: Buffer, start: number, end: number): void {
    if (!this.#skips) this.stream?.onPackBytes(this, this.#pack, buf, start, end);
  }

  #end(why: string | null): void {
    if (this.#over) return;
    const { stream } = this;
    this.destroy();
    stream?.onLinkGone(this, why);
    this.#host.gone(this, why);
  }
}
