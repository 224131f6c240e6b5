/**
 * What may stand before a connection's own bytes when other proxies connect here: a tunnel, a heartbeat, a hello. Only
 * listeners that are configured for it look, and only at those who may say such things.
 */
import { Buffer } from 'node:buffer';
import { believes } from './anyproxy/address.ts';
import { HeartbeatAnswerer } from './anyproxy/heartbeat.ts';
import { PACKET_BROKEN, PACKET_MORE, PACKET_NONE, PacketReader } from './anyproxy/packet.ts';
import type { Hello } from './anyproxy/packet.ts';
import type { ClientAddress } from './client-address.ts';
import { MAGIC_MORE, MAGIC_NONE } from './magic.ts';
import type { NetworkList } from './networks.ts';
import { Timer } from './timers.ts';
import type { Transport, TransportOwner } from './transport.ts';

/** Who takes the connections of tunnels (`TunnelServer`, which is loaded only where it is needed). */
export interface TunnelGate {
  readonly options: { readonly keys: readonly unknown[] };
  /** Whether bytes begin a connection of a tunnel, as `sniffMagic`. */
  sniff(buf: Buffer, start: number, end: number): number;
  /** @param first what was read of it */
  accept(transport: Transport, first: Buffer): void;
}

export interface OpeningOptions {
  /** A hello is read. */
  hello: boolean;
  /** Heartbeats are answered. */
  heartbeat: boolean;
  /** Who may send these, and open tunnels that ask for no key; null: everybody. */
  trusted: NetworkList | null;
  /** Where tunnels go; null: none are accepted. */
  tunnel: TunnelGate | null;
  /** Nothing but tunnels is served. */
  tunnelOnly?: boolean;
  /** A client that says nothing for so long has none of these to say. */
  timeoutMs: number;
  /** How long a heartbeat's connection may be silent. */
  heartbeatIdleMs: number;
}

/** One of them is called, once; it may be during the call of `readOpening`. */
export interface OpeningOutcome {
  /**
   * `hello` null: there was none. The caller gives the transport its owner, which then gets what has arrived of the
   * connection's own bytes.
   */
  ready(hello: Hello | null): void;
  /** The connection is a tunnel's, or a heartbeat's: it is looked after. */
  taken(): void;
  /** The connection is closed. `why` null: the client left. */
  failed(why: string | null): void;
}

/** @param client who has connected, as far as it is believed already (PROXY protocol) */
export function readOpening(
  transport: Transport,
  client: ClientAddress,
  options: OpeningOptions,
  outcome: OpeningOutcome,
): void {
  const trusted = believes(options.trusted, client);
  const packets = trusted && (options.hello || options.heartbeat);
  const tunnel = options.tunnel !== null && (trusted || options.tunnel.options.keys.length > 0);
  if (packets || tunnel) transport.owner = new OpeningReader(transport, options, packets, tunnel, outcome);
  else if (options.tunnelOnly === true) refuse(transport, outcome);
  else outcome.ready(null);
}

const MAGIC_BYTES = 12;
const NO_TUNNEL = 'no tunnel begins here';

function refuse(transport: Transport, outcome: OpeningOutcome): void {
  transport.destroy();
  outcome.failed(NO_TUNNEL);
}

class OpeningReader implements TransportOwner {
  readonly #transport: Transport;
  readonly #options: OpeningOptions;
  readonly #outcome: OpeningOutcome;
  readonly #timer = new Timer(() => this.#late());
  /** What it may still be. */
  #packet: PacketReader | null;
  #tunnel: boolean;
  /** All that has come, at most PACKET_MAX. */
  #held: Buffer = Buffer.alloc(0);
  #settled = false;

  constructor(
    transport: Transport,
    options: OpeningOptions,
    packets: boolean,
    tunnel: boolean,
    outcome: OpeningOutcome,
  ) {
    this.#transport = transport;
    this.#options = options;
    this.#outcome = outcome;
    this.#packet = packets ? new PacketReader() : null;
    this.#tunnel = tunnel;
    this.#timer.arm(options.timeoutMs);
  }

  onData(buf: Buffer, start: number, end: number): void {
    if (this.#settled) return;
    const before = this.#held.length;
    // Beyond what a packet may have nothing is kept: by then it is known.
    const all = before === 0 ? buf.subarray(start, end) : Buffer.concat([this.#held, buf.subarray(start, end)]);
    if (this.#tunnel && this.#isTunnel(all)) return;
    if (this.#packet !== null) {
      const next = this.#packet.feed(buf, start, end);
      if (next === PACKET_BROKEN) this.#fail(this.#packet.error);
      else if (next >= 0) this.#onPacket(all, before + next - start);
      else if (next === PACKET_NONE) this.#packet = null;
      else if (next !== PACKET_MORE) throw new RangeError('outcome of a packet reader');
    }
    if (this.#settled) return;
    this.#held = before === 0 ? Buffer.from(all) : all;
    if (this.#packet === null && !this.#tunnel) this.#own();
  }

  #isTunnel(all: Buffer): boolean {
    const sniffed = this.#options.tunnel!.sniff(all, 0, all.length);
    if (sniffed === MAGIC_MORE) return false;
    this.#tunnel = sniffed !== MAGIC_NONE;
    if (!this.#tunnel) return false;
    this.#settle();
    // The tunnel is the transport's owner first, so that nobody is called who has nothing to do with it any more.
    this.#options.tunnel!.accept(this.#transport, all);
    this.#outcome.taken();
    return true;
  }

  #onPacket(all: Buffer, end: number): void {
    const { packet } = this.#packet!;
    const { hello, heartbeat, heartbeatIdleMs } = this.#options;
    if (packet?.kind === 'hello' && hello) {
      this.#settle();
      this.#outcome.ready(packet.hello);
      if (end < all.length) this.#transport.owner.onData(all, end, all.length);
    } else if (packet?.kind === 'heartbeat' && heartbeat) {
      this.#settle();
      const answerer = new HeartbeatAnswerer(this.#transport, packet.magic, heartbeatIdleMs);
      answerer.onData(all, end, all.length);
      this.#outcome.taken();
    } else this.#fail(`unexpected ${packet?.kind} packet`);
  }

  /** None of these: all that has come is the connection's own. */
  #own(): void {
    if (this.#settled) return;
    if (this.#options.tunnelOnly === true) {
      this.#fail(NO_TUNNEL);
      return;
    }
    this.#settle();
    const held = this.#held;
    this.#outcome.ready(null);
    if (held.length > 0) this.#transport.owner.onData(held, 0, held.length);
  }

  /** A whole magic was there: what follows is no client's. */
  get #began(): boolean {
    return this.#packet !== null && this.#held.length > MAGIC_BYTES;
  }

  #late(): void {
    if (this.#began) this.#fail('client timed out');
    else this.#own();
  }

  onEnd(): void {
    if (this.#settled) return;
    if (this.#began || this.#options.tunnelOnly === true) {
      this.#fail(null);
      return;
    }
    this.#own();
    this.#transport.owner.onEnd();
  }

  onDrain(): void {}

  onClose(): void {
    this.#fail(null);
  }

  #settle(): void {
    this.#settled = true;
    this.#timer.drop();
  }

  #fail(why: string | null): void {
    if (this.#settled) return;
    this.#settle();
    this.#transport.destroy();
    this.#outcome.failed(why);
  }
}
