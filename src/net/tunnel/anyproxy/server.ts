/** The accepting side of any-proxy's tunnel. All connections of a stream have to come to the thread of its first one. */
import type { Buffer } from 'node:buffer';
import { sniffMagic } from '../../magic.ts';
import type { Transport } from '../../transport.ts';
import { EndedStreams } from '../ended.ts';
import type { TunnelLog, TunnelServerOptions } from '../options.ts';
import { ANYPROXY_TUNNEL_MAGIC, anyproxyAddConnect, anyproxyHelloAck } from './frames.ts';
import type { AnyproxyHello } from './frames.ts';
import { AnyproxyLink } from './link.ts';
import type { AnyproxyLinkHost } from './link.ts';
import { AnyproxySocket } from './stream.ts';
import type { AnyproxyStreamHost } from './stream.ts';

/** How long streams are remembered after their end. */
const REMEMBER_MS = 120_000;

export class AnyproxyTunnelServer implements AnyproxyLinkHost, AnyproxyStreamHost {
  readonly options: TunnelServerOptions;
  readonly #onStream: (socket: AnyproxySocket, first: Transport) => void;
  readonly #log: TunnelLog;
  readonly #links = new Set<AnyproxyLink>();
  readonly #streams = new Map<string, AnyproxySocket>();
  /** Streams whose client has no more connections. */
  readonly #enough = new WeakSet<AnyproxySocket>();
  readonly #ended = new EndedStreams<true>(() => REMEMBER_MS);
  #closed = false;

  /**
   * @param options without keys, which these frames do not know
   * @param onStream gets each logical stream, and its first connection, whose addresses it has
   */
  constructor(
    options: TunnelServerOptions,
    onStream: (socket: AnyproxySocket, first: Transport) => void,
    log: TunnelLog,
  ) {
    this.options = options;
    this.#onStream = onStream;
    this.#log = log;
  }

  get links(): number {
    return this.#links.size;
  }

  get streams(): number {
    return this.#streams.size;
  }

  /** Whether bytes begin a connection of a tunnel, as `sniffMagic`. */
  sniff(buf: Buffer, start: number, end: number): number {
    return sniffMagic(ANYPROXY_TUNNEL_MAGIC, buf, start, end);
  }

  /** Takes a connection. @param first what was read of it, the magic included */
  accept(transport: Transport, first: Buffer): void {
    if (this.#closed || this.#links.size >= this.options.maxLinks) {
      this.#log('warn', `tunnel: ${this.options.maxLinks} connections are not enough`);
      transport.destroy();
      return;
    }
    const link = new AnyproxyLink(transport, this, this.options.handshakeMs);
    this.#links.add(link);
    if (first.length > 0) link.onData(first, 0, first.length);
  }

  hello(link: AnyproxyLink, hello: AnyproxyHello): boolean {
    const stream = this.#streams.get(hello.sessionId);
    if (stream !== undefined) {
      if (stream.joined >= this.options.maxStreamSize) return false;
      if (hello.wantsAck) link.send(anyproxyHelloAck());
      stream.attach(link);
      return true;
    }
    const { maxSessions } = this.options;
    if (this.#closed || this.#ended.get(hello.sessionId) !== undefined || this.#streams.size >= maxSessions)
      return false;
    const { remoteAddress, remotePort, localAddress, localPort } = link.transport;
    const made = new AnyproxySocket(
      hello.sessionId,
      { remoteAddress, remotePort, localAddress, localPort },
      false,
      this,
    );
    this.#streams.set(hello.sessionId, made);
    if (hello.wantsAck) link.send(anyproxyHelloAck());
    made.attach(link);
    this.#onStream(made, link.transport);
    return true;
  }

  helloAck(): boolean {
    return false;
  }

  addConnect(): boolean {
    return false;
  }

  maxConnect(link: AnyproxyLink): boolean {
    if (link.stream !== null) this.#enough.add(link.stream);
    return link.stream !== null;
  }

  gone(link: AnyproxyLink, why: string | null): void {
    this.#links.delete(link);
    if (why !== null) this.#log('info', `a connection of the tunnel is lost: ${why}`);
  }

  full(stream: AnyproxySocket): void {
    if (this.#enough.has(stream) || stream.joined >= this.options.maxStreamSize) return;
    stream.links[0]?.send(anyproxyAddConnect());
  }

  release(link: AnyproxyLink): void {
    link.free();
  }

  over(stream: AnyproxySocket): void {
    this.#streams.delete(stream.id);
    this.#ended.add(stream.id, true);
  }

  /** No new streams, and idle connections are closed; streams under way go on. */
  close(): void {
    this.#closed = true;
    for (const link of this.#links) if (link.stream === null) link.destroy();
  }
}
