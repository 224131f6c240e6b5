/** One connection of a tunnel over a transport: its handshake, its frames, and whether it lives. */
import { Buffer } from 'node:buffer';
import { TLSSocket } from 'node:tls';
import { clock } from '../clock.ts';
import { Timer } from '../timers.ts';
import { HELD } from '../transport.ts';
import type { Transport, TransportOwner } from '../transport.ts';
import { FrameReader } from './frame-reader.ts';
import type { FrameHandler } from './frame-reader.ts';
import { ClientHandshake, ServerHandshake } from './handshake.ts';
import type { TunnelKey } from './handshake.ts';
import type { SessionLink } from './session-events.ts';
import type { TunnelSession } from './session.ts';
import { DATA, frame, OPEN, PING, PONG, REASONS, reasonText, TUNNEL_MAGIC } from './wire.ts';

/** Who keeps the connection while no logical stream has it, and is told of what streams are not. */
export interface LinkHost {
  /** The handshake is over. */
  ready(link: TunnelLink): void;
  /** A frame that no session has. @returns false: it has no place here */
  control(link: TunnelLink, type: number, payload: Buffer): boolean;
  /** The connection is gone. `why`: for the log; null after an orderly end. Its session, if it has one, knows already. */
  gone(link: TunnelLink, why: string | null): void;
}

/** A logical stream, as its connections know it. */
export interface LinkUser {
  readonly session: TunnelSession;
  /** What the session waits for may have changed. */
  schedule(): void;
}

export interface LinkOptions {
  keys: readonly TunnelKey[];
  pingMs: number;
  handshakeMs: number;
}

const EMPTY = Buffer.alloc(0);
/** How long the last frames of a connection may take. */
const DROP_MS = 3000;
const EXPORTER = 'EXPORTER-headrace-tunnel';

/** What only the two ends of this TLS connection know; null: it is none. */
function bindingOf({ socket }: Transport): Buffer | null {
  return socket instanceof TLSSocket ? socket.exportKeyingMaterial(32, EXPORTER, EMPTY) : null;
}

export class TunnelLink implements TransportOwner, FrameHandler, SessionLink {
  readonly transport: Transport;
  readonly createdAt: number = clock.now;
  /** The logical stream that has it; null: none. */
  user: LinkUser | null = null;
  /** What was sent for a stream that was refused is still coming. */
  deaf = false;
  /** The handshake is over. */
  ready = false;
  closed = false;
  writable = true;
  frames = 0;
  bytes = 0;
  doneSent = false;
  doneSeen = false;
  /** When it became idle last. */
  idleSince = 0;
  /** Logical streams that it has carried. */
  uses = 0;

  readonly #host: LinkHost;
  readonly #options: LinkOptions;
  readonly #reader: FrameReader = new FrameReader(this);
  readonly #handshake: ClientHandshake | ServerHandshake;
  readonly #timer = new Timer(() => this.#onTimer());
  #heardAt = clock.now;
  #pinged = false;
  /** Frames may still go out; what comes is not looked at. */
  #dropped = false;
  #told = false;
  /** Bytes of the magic that have not come; clients send it, and get none. */
  #magicLeft: number;

  constructor(transport: Transport, isClient: boolean, options: LinkOptions, host: LinkHost) {
    this.transport = transport;
    this.#host = host;
    this.#options = options;
    this.#magicLeft = isClient ? 0 : TUNNEL_MAGIC.length;
    transport.owner = this;
    const binding = options.keys.length > 0 ? bindingOf(transport) : null;
    if (isClient) this.#handshake = new ClientHandshake(options.keys[0] ?? null, binding);
    else this.#handshake = new ServerHandshake(options.keys, binding);
    this.#timer.arm(options.handshakeMs);
  }

  /** The key that the client has proved to have; empty: none was asked for. */
  get keyId(): string {
    return this.#handshake instanceof ServerHandshake ? this.#handshake.keyId : '';
  }

  /** Clients begin. */
  begin(): void {
    const { send, ready } = (this.#handshake as ClientHandshake).begin();
    this.send(send!, 0, send!.length);
    if (ready) this.#setReady();
  }

  #setReady(): void {
    this.ready = true;
    this.#timer.arm(this.#options.pingMs);
    this.#host.ready(this);
  }

  // ------------------------------------------------------------------------------------------------ sending

  send(buf: Buffer, start: number, end: number): void {
    if (this.closed) return;
    if (this.transport.write(buf, start, end) === HELD) this.writable = false;
  }

  /** A logical stream takes it. */
  take(user: LinkUser): void {
    this.user = user;
    this.deaf = false;
    this.uses++;
    this.frames = 0;
    this.bytes = 0;
    this.doneSent = false;
    this.doneSeen = false;
  }

  /** The stream has given it back. */
  free(): void {
    this.user = null;
    this.idleSince = clock.now;
  }

  /** Closes when what was sent is taken: the other side sees all of it. */
  drop(): void {
    if (this.closed || this.#dropped) return;
    this.#dropped = true;
    this.user = null;
    this.#reader.stop();
    this.transport.end();
    this.#timer.arm(DROP_MS);
  }

  /** Closes at once; nobody is told. */
  destroy(): void {
    this.#dropped = true;
    this.user = null;
    this.#reader.stop();
    this.transport.destroy();
  }

  // ------------------------------------------------------------------------------------------------ events

  onData(buf: Buffer, start: number, end: number): void {
    this.#heardAt = clock.now;
    this.#pinged = false;
    if (this.#dropped) return;
    let at = start;
    for (; this.#magicLeft > 0 && at < end; at++, this.#magicLeft--) {
      if (buf[at] === TUNNEL_MAGIC[TUNNEL_MAGIC.length - this.#magicLeft]) continue;
      this.#over('tunnel: the other side speaks something else', false);
      return;
    }
    if (!this.#reader.feed(buf, at, end)) this.#broken();
    this.user?.schedule();
  }

  onPayload(offset: number, buf: Buffer, start: number, end: number): void {
    const { user } = this;
    if (user === null ? this.deaf : user.session.onPayload(this, offset, buf, start, end, clock.now)) return;
    this.#broken();
  }

  onDataFrame(): void {
    this.user?.session.onDataFrame();
  }

  onControl(type: number, payload: Buffer): void {
    if (type === PING || type === PONG) {
      // Whoever takes no answers gets none, and is held to be dead one day.
      if (type === PING && this.writable) this.send(frame(PONG, EMPTY), 0, 4);
      return;
    }
    if (type < OPEN) {
      if (!this.#onHandshake(type, payload)) this.#broken();
      return;
    }
    const { user } = this;
    if (type < DATA ? !this.ready || !this.#host.control(this, type, payload) : !this.#forUser(user, type, payload)) {
      this.#broken();
    }
  }

  #forUser(user: LinkUser | null, type: number, payload: Buffer): boolean {
    return user === null ? this.deaf : user.session.onControl(this, type, payload, clock.now);
  }

  #onHandshake(type: number, payload: Buffer): boolean {
    const done = this.#handshake.on(type, payload);
    if (done === null) return false;
    if (done.send !== null) this.send(done.send, 0, done.send.length);
    if (done.refused !== 0) this.#over(`tunnel: ${reasonText(done.refused)}`, true);
    else if (done.ready) this.#setReady();
    return true;
  }

  #broken(): void {
    if (this.#dropped || this.closed) return;
    // A peer that breaks the rules on one connection is not trusted with what it sends on others.
    this.user?.session.fail(REASONS.protocol);
    this.#over('tunnel: the other side broke the protocol', false);
  }

  onDrain(): void {
    this.writable = true;
    const { user } = this;
    user?.session.writable(this, clock.now);
    user?.schedule();
  }

  onEnd(): void {
    if (this.#dropped) this.transport.destroy();
    else this.#over(this.ready ? null : 'tunnel: connection closed in the handshake', false);
  }

  onClose(error: Error | null): void {
    this.closed = true;
    this.#timer.drop();
    const why = error === null ? null : `tunnel: ${error.message}`;
    this.#over(this.ready ? why : (why ?? 'tunnel: connection closed in the handshake'), false);
    this.#tell(null);
  }

  #tell(why: string | null): void {
    if (this.#told) return;
    this.#told = true;
    this.#host.gone(this, why);
  }

  /** @param gently what was sent still goes out */
  #over(why: string | null, gently: boolean): void {
    if (this.#dropped) return;
    const { user } = this;
    if (gently) this.drop();
    else this.destroy();
    this.#tell(why);
    user?.session.lose(this, clock.now);
    user?.schedule();
  }

  // ------------------------------------------------------------------------------------------------ time

  #onTimer(): void {
    if (this.#dropped) {
      this.transport.destroy();
      return;
    }
    if (!this.ready) {
      this.#over('tunnel: handshake timed out', false);
      return;
    }
    const silent = clock.now - this.#heardAt;
    const { pingMs } = this.#options;
    if (silent < pingMs) {
      this.#timer.arm(pingMs - silent);
      return;
    }
    if (this.#pinged) {
      this.#over('tunnel: connection timed out', false);
      return;
    }
    this.#pinged = true;
    this.send(frame(PING, EMPTY), 0, 4);
    this.#timer.arm(pingMs);
  }
}
