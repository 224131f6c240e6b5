/**
 * The accepting side of a tunnel: takes connections, finds the logical stream that each one is for, and hands new streams
 * on. A stream belongs to the thread that its first connection came to, so all of its connections have to come there.
 */
import type { Buffer } from 'node:buffer';
import { clock } from '../clock.ts';
import { sniffMagic } from '../magic.ts';
import type { Transport } from '../transport.ts';
import { EndedStreams } from './ended.ts';
import { TunnelLink } from './link.ts';
import type { LinkHost } from './link.ts';
import type { TunnelLog, TunnelServerOptions } from './options.ts';
import { TunnelSocket } from './stream.ts';
import type { StreamHost } from './stream.ts';
import { acceptFrame, byteFrame, OPEN, readOpen, REASONS, REJECT, TUNNEL_MAGIC } from './wire.ts';
import type { StreamTerms } from './wire.ts';

interface ServerStream {
  key: string;
  socket: TunnelSocket;
  /** Only who has proved to have the same key may join. */
  keyId: string;
}

export class TunnelServer implements LinkHost, StreamHost {
  readonly options: TunnelServerOptions;
  readonly #onStream: (socket: TunnelSocket, first: Transport) => void;
  readonly #log: TunnelLog;
  readonly #links = new Set<TunnelLink>();
  readonly #streams = new Map<string, ServerStream>();
  readonly #bySocket = new Map<TunnelSocket, ServerStream>();
  readonly #ended = new EndedStreams<{ clean: boolean }>(() => 2 * this.options.resumeMs + 1000);
  #closed = false;

  /**
   * @param options read when connections begin: keys may be changed while it runs
   * @param onStream gets each logical stream, and its first connection, whose addresses it has
   */
  constructor(
    options: TunnelServerOptions,
    onStream: (socket: TunnelSocket, first: Transport) => void,
    log: TunnelLog,
  ) {
    this.options = options;
    this.#onStream = onStream;
    this.#log = log;
  }

  /** Connections, idle ones too. */
  get links(): number {
    return this.#links.size;
  }

  /** Logical streams under way. */
  get streams(): number {
    return this.#streams.size;
  }

  /** Whether bytes begin a connection of a tunnel, as `sniffMagic`. */
  sniff(buf: Buffer, start: number, end: number): number {
    return sniffMagic(TUNNEL_MAGIC, buf, start, end);
  }

  /**
   * Takes a connection.
   * @param first what was read of it, the magic included; empty: nothing was, and the magic is still to come
   */
  accept(transport: Transport, first: Buffer): void {
    if (this.#closed || this.#links.size >= this.options.maxLinks) {
      this.#log(
        'warn',
        this.#closed ? 'tunnel: shutting down' : `tunnel: ${this.options.maxLinks} connections are not enough`,
      );
      transport.destroy();
      return;
    }
    const link = new TunnelLink(transport, false, this.options, this);
    this.#links.add(link);
    if (first.length > 0) link.onData(first, 0, first.length);
  }

  ready(link: TunnelLink): void {
    link.free();
  }

  gone(link: TunnelLink, why: string | null): void {
    this.#links.delete(link);
    if (why !== null) this.#log('info', `a connection of the tunnel is lost: ${why}`);
  }

  // ------------------------------------------------------------------------------------------------ streams

  control(link: TunnelLink, type: number, payload: Buffer): boolean {
    if (type !== OPEN || link.user !== null) return false;
    const open = readOpen(payload);
    if (open === null) return false;
    const key = open.id.toString('latin1');
    const stream = this.#streams.get(key);
    if (stream === undefined) return this.#create(link, key, open.id, open.join, open.terms);
    const { session } = stream.socket;
    if (stream.keyId !== link.keyId) return this.#reject(link, REASONS.unauthorized);
    if (session.links.length >= session.maxLinks) return this.#reject(link, REASONS.full);
    return this.#join(stream, link, open.terms);
  }

  #create(link: TunnelLink, key: string, id: Buffer, join: boolean, terms: StreamTerms): boolean {
    const ended = this.#ended.get(key);
    if (ended !== undefined) return this.#reject(link, ended.clean ? REASONS.finished : REASONS.unknown);
    if (join) return this.#reject(link, REASONS.unknown);
    const { maxSessions, maxStreamSize, channelSize, resumeMs } = this.options;
    if (this.#closed) return this.#reject(link, REASONS.shutdown);
    if (this.#streams.size >= maxSessions) return this.#reject(link, REASONS.full);
    const { remoteAddress, remotePort, localAddress, localPort } = link.transport;
    const limits = {
      maxLinks: Math.min(maxStreamSize, terms.maxLinks),
      channelSize: Math.min(channelSize, terms.channelSize),
      startLinks: 1,
      resumeMs,
    };
    const socket = new TunnelSocket(id, { remoteAddress, remotePort, localAddress, localPort }, false, limits, this);
    const stream = { key, socket, keyId: link.keyId };
    this.#streams.set(key, stream);
    this.#bySocket.set(socket, stream);
    if (!this.#join(stream, link, terms)) return false;
    this.#onStream(socket, link.transport);
    return true;
  }

  #join({ socket }: ServerStream, link: TunnelLink, terms: StreamTerms): boolean {
    // The answer goes first: what follows on the connection belongs to the stream.
    const frame = acceptFrame(socket.session.terms());
    link.send(frame, 0, frame.length);
    socket.attach(link);
    const good = socket.session.learn(terms, clock.now);
    socket.schedule();
    return good;
  }

  #reject(link: TunnelLink, code: number): boolean {
    // A client may have sent data already.
    link.deaf = true;
    const frame = byteFrame(REJECT, code);
    link.send(frame, 0, frame.length);
    return true;
  }

  // ------------------------------------------------------------------------------------------------ their ends

  /** Connections come from clients only. */
  wantLink(): void {}

  release(): void {}

  over(socket: TunnelSocket, clean: boolean): void {
    const stream = this.#bySocket.get(socket);
    if (stream === undefined) return;
    this.#bySocket.delete(socket);
    this.#streams.delete(stream.key);
    this.#ended.add(stream.key, { clean });
  }

  /** No new streams, and idle connections are closed; streams under way go on. */
  close(): void {
    this.#closed = true;
    for (const link of this.#links) if (link.user === null) link.drop();
  }
}
