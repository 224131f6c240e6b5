/**
 * The dialling side of a tunnel: opens logical streams over connections to one server, keeps connections that have done
 * their part for the next stream, and dials again what is lost.
 */
import type { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { clock } from '../clock.ts';
import type { DialLink, LinkOutcome, Opening } from '../link.ts';
import { transportOf } from '../pipe.ts';
import { Timer } from '../timers.ts';
import type { Transport } from '../transport.ts';
import { TunnelLink } from './link.ts';
import type { LinkHost } from './link.ts';
import type { TunnelClientOptions, TunnelLog } from './options.ts';
import { TunnelSocket } from './stream.ts';
import type { StreamHost } from './stream.ts';
import { ACCEPT, openFrame, readAccept, reasonText, REASONS, REJECT, SESSION_ID_BYTES } from './wire.ts';

const FIRST_WAIT_MS = 50;
const LONGEST_WAIT_MS = 2000;
/** A kept connection may be dead without our knowing: the server is asked for a new stream once more, on a fresh one. */
const ASKED_MAX = 2;

/** A connection that is being made. */
interface Dialling {
  opening: Opening | null;
  link: TunnelLink | null;
  ready(link: TunnelLink): void;
  failed(message: string): void;
}

/** A logical stream, and the connections that it is to get. */
class ClientStream {
  readonly client: TunnelClient;
  readonly socket: TunnelSocket;
  /** The server has said that it has the stream. */
  accepted = false;
  /** How often the server was asked to make it. */
  asked = 0;
  /** Connections on their way. */
  coming = 0;
  /** The server takes no more connections. */
  enough = false;
  waitMs = FIRST_WAIT_MS;
  over = false;
  readonly timer: Timer;
  readonly openings = new Set<Dialling>();

  constructor(client: TunnelClient, link: TunnelLink, host: StreamHost) {
    this.client = client;
    this.timer = new Timer(() => client.fill(this));
    const { remoteAddress, remotePort, localAddress, localPort } = link.transport;
    const { maxStreamSize, channelSize, startStreams, resumeMs } = client.options;
    this.socket = new TunnelSocket(
      randomBytes(SESSION_ID_BYTES),
      { remoteAddress, remotePort, localAddress, localPort },
      true,
      { maxLinks: maxStreamSize, channelSize, startLinks: startStreams, resumeMs },
      host,
    );
  }
}

export class TunnelClient implements LinkHost, StreamHost {
  readonly options: TunnelClientOptions;
  readonly #dial: DialLink;
  readonly #log: TunnelLog;
  /** The one that was used last is the last. */
  readonly #idle: TunnelLink[] = [];
  readonly #dialling = new Map<TunnelLink, Dialling>();
  /** Connections that ask for a stream, and have no answer yet. */
  readonly #asking = new Map<TunnelLink, ClientStream>();
  readonly #streams = new Map<TunnelSocket, ClientStream>();
  readonly #trim = new Timer(() => this.#trimIdle());
  #closed = false;

  constructor(options: TunnelClientOptions, dial: DialLink, log: TunnelLog) {
    this.options = options;
    this.#dial = dial;
    this.#log = log;
  }

  /** Idle connections. */
  get idle(): number {
    return this.#idle.length;
  }

  /** Logical streams under way. */
  get streams(): number {
    return this.#streams.size;
  }

  /**
   * Opens a logical stream. With an idle connection it is there at once; else with the first connection, after its
   * handshake if there are keys.
   */
  readonly open: DialLink = (outcome: LinkOutcome): Opening => {
    let settled = false;
    let dialling: Dialling | null = null;
    const begin = (link: TunnelLink): void => {
      settled = true;
      outcome.connected(this.#begin(link));
    };
    const connect = (): void => {
      dialling = this.#connect(begin, (message) => {
        if (settled) return;
        settled = true;
        outcome.failed(message);
      });
    };
    const idle = this.#takeIdle();
    if (idle === null) connect();
    else {
      // The caller has no handle to cancel yet.
      queueMicrotask(() => {
        if (settled) this.#keep(idle);
        else if (idle.closed) connect();
        else begin(idle);
      });
    }
    return {
      cancel: () => {
        if (settled) return;
        settled = true;
        if (dialling !== null) this.#cancel(dialling);
      },
    };
  };

  #begin(link: TunnelLink): Transport {
    const stream = new ClientStream(this, link, this);
    this.#streams.set(stream.socket, stream);
    this.#ask(stream, link);
    return transportOf(stream.socket);
  }

  // ------------------------------------------------------------------------------------------------ connections

  #connect(ready: (link: TunnelLink) => void, failed: (message: string) => void): Dialling {
    const dialling: Dialling = { opening: null, link: null, ready, failed };
    dialling.opening = this.#dial({
      connected: (transport) => {
        dialling.opening = null;
        const link = new TunnelLink(transport, true, this.options, this);
        dialling.link = link;
        this.#dialling.set(link, dialling);
        link.begin();
      },
      failed: (message) => {
        dialling.opening = null;
        failed(message);
      },
    });
    return dialling;
  }

  #cancel({ opening, link }: Dialling): void {
    opening?.cancel();
    if (link === null || !this.#dialling.delete(link)) return;
    link.destroy();
  }

  ready(link: TunnelLink): void {
    const dialling = this.#dialling.get(link);
    if (dialling === undefined) return;
    this.#dialling.delete(link);
    dialling.ready(link);
  }

  gone(link: TunnelLink, why: string | null): void {
    const dialling = this.#dialling.get(link);
    if (dialling !== undefined) {
      this.#dialling.delete(link);
      dialling.failed(why ?? 'tunnel: connection closed');
      return;
    }
    const at = this.#idle.indexOf(link);
    if (at >= 0) this.#idle.splice(at, 1);
    else if (why !== null) this.#log('info', `a tunnel's connection is lost: ${why}`);
    const stream = this.#asking.get(link);
    if (stream === undefined) return;
    this.#asking.delete(link);
    // The first one belongs to the session already, which asks for another.
    if (!stream.accepted) return;
    stream.coming--;
    this.#later(stream);
  }

  /** The next try comes after a while, and the one after that later. */
  #later(stream: ClientStream): void {
    if (stream.over) return;
    stream.timer.arm(stream.waitMs);
    stream.waitMs = Math.min(stream.waitMs * 2, LONGEST_WAIT_MS);
  }

  // ------------------------------------------------------------------------------------------------ streams

  /** Asks the server for the stream, or for a place in it. */
  #ask(stream: ClientStream, link: TunnelLink): void {
    const { socket } = stream;
    const frame = openFrame(socket.id, stream.accepted, socket.session.terms());
    link.send(frame, 0, frame.length);
    this.#asking.set(link, stream);
    if (stream.accepted) {
      stream.coming++;
      return;
    }
    // Data may follow at once.
    stream.asked++;
    socket.attach(link);
  }

  control(link: TunnelLink, type: number, payload: Buffer): boolean {
    const stream = this.#asking.get(link);
    if (stream === undefined) return false;
    if (type === REJECT) return payload.length === 1 && this.#rejected(stream, link, payload[0]!);
    if (type !== ACCEPT) return false;
    const terms = readAccept(payload);
    if (terms === null) return false;
    this.#asking.delete(link);
    const { socket } = stream;
    stream.waitMs = FIRST_WAIT_MS;
    if (stream.accepted) {
      stream.coming--;
      if (stream.over) {
        // The stream has ended meanwhile; the server tells so itself on all connections that it knows.
        link.drop();
        return true;
      }
      socket.attach(link);
    }
    stream.accepted = true;
    const good = socket.session.learn(terms, clock.now);
    socket.schedule();
    this.fill(stream);
    return good;
  }

  #rejected(stream: ClientStream, link: TunnelLink, code: number): boolean {
    this.#asking.delete(link);
    const { session } = stream.socket;
    this.#log('info', `tunnel: the server refused a connection: ${reasonText(code)}`);
    if (!stream.accepted) {
      session.fail(code);
      return true;
    }
    stream.coming--;
    this.#keep(link);
    if (stream.over) return true;
    if (code === REASONS.finished) session.finishedElsewhere();
    else if (code === REASONS.full && session.links.length > 0) stream.enough = true;
    else session.fail(code);
    return true;
  }

  wantLink(socket: TunnelSocket): void {
    const stream = this.#streams.get(socket);
    if (stream === undefined) return;
    // The session may be in the midst of something.
    queueMicrotask(() => this.fill(stream));
  }

  /** Gets the connections that the stream is to have. */
  fill(stream: ClientStream): void {
    const { session } = stream.socket;
    while (!stream.over && session.links.length + stream.coming < (stream.enough ? 1 : session.target)) {
      if (stream.timer.armed) return;
      const idle = this.#takeIdle();
      if (idle !== null && stream.accepted) {
        this.#ask(stream, idle);
        continue;
      }
      if (idle !== null) this.#keep(idle);
      // Until the server has the stream one connection at a time asks for it.
      if (!stream.accepted && (session.links.length > 0 || stream.openings.size > 0)) return;
      if (!stream.accepted && stream.asked >= ASKED_MAX) session.fail(REASONS.lost);
      else this.#dialFor(stream);
    }
  }

  #dialFor(stream: ClientStream): void {
    stream.coming++;
    const settle = (): void => {
      stream.coming--;
      stream.openings.delete(dialling);
    };
    const dialling = this.#connect(
      (link) => {
        settle();
        if (stream.over) this.#keep(link);
        else this.#ask(stream, link);
      },
      (message) => {
        settle();
        if (stream.over) return;
        this.#log('info', `tunnel: ${message}`);
        if (!stream.accepted) {
          stream.socket.session.fail(REASONS.lost);
          return;
        }
        this.#later(stream);
      },
    );
    stream.openings.add(dialling);
  }

  over(socket: TunnelSocket, clean: boolean): void {
    const stream = this.#streams.get(socket);
    if (stream === undefined) return;
    this.#streams.delete(socket);
    stream.over = true;
    stream.timer.drop();
    for (const dialling of stream.openings) this.#cancel(dialling);
    stream.openings.clear();
    if (!clean) this.#log('debug', 'a stream of a tunnel has ended before its time');
  }

  // ------------------------------------------------------------------------------------------------ the pool

  release(link: TunnelLink): void {
    this.#keep(link);
  }

  #keep(link: TunnelLink): void {
    const { minStreamCacheSize, maxAgeMs, idleMs } = this.options;
    if (this.#closed || minStreamCacheSize === 0 || clock.now - link.createdAt > maxAgeMs || !link.ready) {
      link.drop();
      return;
    }
    if (link.closed) return;
    link.free();
    this.#idle.push(link);
    if (this.#idle.length > minStreamCacheSize && !this.#trim.armed) this.#trim.arm(idleMs);
  }

  #takeIdle(): TunnelLink | null {
    for (let link = this.#idle.pop(); link !== undefined; link = this.#idle.pop()) {
      if (!link.closed && link.writable && clock.now - link.createdAt <= this.options.maxAgeMs) return link;
      link.drop();
    }
    return null;
  }

  /** Above the number that is kept: those that nobody has wanted for a while, the oldest first. */
  #trimIdle(): void {
    const { minStreamCacheSize, idleMs } = this.options;
    while (this.#idle.length > minStreamCacheSize && clock.now - this.#idle[0]!.idleSince >= idleMs) {
      this.#idle.shift()!.drop();
    }
    if (this.#idle.length > minStreamCacheSize) {
      this.#trim.arm(Math.max(1, this.#idle[0]!.idleSince + idleMs - clock.now));
    }
  }

  /** Closes idle connections; streams under way go on. */
  close(): void {
    this.#closed = true;
    this.#trim.drop();
    for (const link of this.#idle.splice(0)) link.drop();
  }
}
