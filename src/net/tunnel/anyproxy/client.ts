/** The dialling side of any-proxy's tunnel. */
import type { Buffer } from 'node:buffer';
import { clock } from '../../clock.ts';
import type { DialLink, Opening } from '../../link.ts';
import { transportOf } from '../../pipe.ts';
import type { TunnelClientOptions, TunnelLog } from '../options.ts';
import { newRequestId } from '../../anyproxy/request-id.ts';
import { anyproxyHello, anyproxyMaxConnect } from './frames.ts';
import { AnyproxyLink } from './link.ts';
import type { AnyproxyLinkHost } from './link.ts';
import { AnyproxySocket } from './stream.ts';
import type { AnyproxyStreamHost } from './stream.ts';

export class AnyproxyTunnelClient implements AnyproxyLinkHost, AnyproxyStreamHost {
  readonly options: TunnelClientOptions;
  readonly #dial: DialLink;
  readonly #log: TunnelLog;
  /** In the order in which they became idle. */
  readonly #idle: AnyproxyLink[] = [];
  /** Connections that wait for the server to take them into a stream. */
  readonly #joining = new Map<AnyproxyLink, AnyproxySocket>();
  readonly #opening = new Map<AnyproxySocket, Opening>();
  #closed = false;

  /** Keys do not exist here: whoever may connect may open streams. */
  constructor(options: TunnelClientOptions, dial: DialLink, log: TunnelLog) {
    this.options = options;
    this.#dial = dial;
    this.#log = log;
  }

  get idle(): number {
    return this.#idle.length;
  }

  /** Opens a logical stream; with an idle connection it is there at once. */
  readonly open: DialLink = (outcome) => {
    let cancelled = false;
    let opening: Opening | null = null;
    const begin = (link: AnyproxyLink): void => {
      const { remoteAddress, remotePort, localAddress, localPort } = link.transport;
      const id = newRequestId(`${localAddress}:${localPort}`, `${remoteAddress}:${remotePort}`);
      const stream = new AnyproxySocket(id, { remoteAddress, remotePort, localAddress, localPort }, true, this);
      link.send(this.#hello(stream, false));
      stream.attach(link);
      outcome.connected(transportOf(stream));
    };
    const connect = (): void => {
      opening = this.#dial({
        connected: (transport) => begin(new AnyproxyLink(transport, this)),
        failed: (message) => outcome.failed(message),
      });
    };
    const idle = this.#takeIdle();
    if (idle === null) connect();
    else {
      // The caller has no handle to cancel yet.
      queueMicrotask(() => {
        if (cancelled) this.#keep(idle);
        else if (idle.closed) connect();
        else begin(idle);
      });
    }
    return {
      cancel() {
        cancelled = true;
        opening?.cancel();
      },
    };
  };

  #hello(stream: AnyproxySocket, wantsAck: boolean): Buffer {
    const { minStreamCacheSize, channelSize } = this.options;
    return anyproxyHello({ sessionId: stream.id, minStreamCacheSize, channelSize, index: stream.joined, wantsAck });
  }

  // ------------------------------------------------------------------------------------------------ of connections

  hello(): boolean {
    return false;
  }

  helloAck(link: AnyproxyLink): boolean {
    const stream = this.#joining.get(link);
    if (stream === undefined) return false;
    this.#joining.delete(link);
    if (stream.destroyed) link.destroy();
    else stream.attach(link);
    return true;
  }

  addConnect(link: AnyproxyLink): boolean {
    if (link.stream === null) return false;
    if (this.#wants(link.stream)) this.#grow(link.stream);
    else link.send(anyproxyMaxConnect(link.stream.links.length));
    return true;
  }

  maxConnect(): boolean {
    return false;
  }

  gone(link: AnyproxyLink, why: string | null): void {
    this.#joining.delete(link);
    const at = this.#idle.indexOf(link);
    if (at >= 0) this.#idle.splice(at, 1);
    else if (why !== null) this.#log('info', `a tunnel's connection is lost: ${why}`);
  }

  // ------------------------------------------------------------------------------------------------ of streams

  full(stream: AnyproxySocket): void {
    if (this.#wants(stream)) this.#grow(stream);
  }

  #wants(stream: AnyproxySocket): boolean {
    return stream.joined < this.options.maxStreamSize && !this.#opening.has(stream);
  }

  /** One connection more: data goes on it when the server has taken it into the stream. */
  #grow(stream: AnyproxySocket): void {
    const join = (link: AnyproxyLink): void => {
      if (stream.destroyed) {
        link.destroy();
        return;
      }
      this.#joining.set(link, stream);
      link.send(this.#hello(stream, true));
    };
    const idle = this.#takeIdle();
    if (idle !== null) {
      join(idle);
      return;
    }
    const opening = this.#dial({
      connected: (transport) => {
        this.#opening.delete(stream);
        join(new AnyproxyLink(transport, this));
      },
      failed: (message) => {
        this.#opening.delete(stream);
        this.#log('info', `tunnel: ${message}`);
      },
    });
    this.#opening.set(stream, opening);
  }

  over(stream: AnyproxySocket): void {
    this.#opening.get(stream)?.cancel();
    this.#opening.delete(stream);
    for (const [link, joins] of this.#joining) {
      if (joins !== stream) continue;
      this.#joining.delete(link);
      link.destroy();
    }
  }

  // ------------------------------------------------------------------------------------------------ the pool

  release(link: AnyproxyLink): void {
    this.#keep(link);
  }

  #keep(link: AnyproxyLink): void {
    const { minStreamCacheSize, maxAgeMs, idleMs } = this.options;
    if (this.#closed || minStreamCacheSize === 0 || link.closed || clock.now - link.createdAt > maxAgeMs) {
      link.destroy();
      return;
    }
    link.free();
    this.#idle.push(link);
    while (this.#idle.length > minStreamCacheSize && clock.now - this.#idle[0]!.idleSince > idleMs) {
      this.#idle.shift()!.destroy();
    }
  }

  #takeIdle(): AnyproxyLink | null {
    for (let link = this.#idle.pop(); link !== undefined; link = this.#idle.pop()) {
      if (!link.closed && link.writable) return link;
      link.destroy();
    }
    return null;
  }

  /** Closes idle connections; streams under way go on. */
  close(): void {
    this.#closed = true;
    for (const link of this.#idle.splice(0)) link.destroy();
  }
}
