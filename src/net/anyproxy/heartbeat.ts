/** Heartbeats: answered where they come in, and sent to servers that answer them (any-proxy, Headrace). */
import type { Buffer } from 'node:buffer';
import type { DialLink, Opening } from '../link.ts';
import { Timer } from '../timers.ts';
import { HELD } from '../transport.ts';
import type { Transport, TransportOwner } from '../transport.ts';
import { PACKET_MORE, PacketReader, writeHeartbeat } from './packet.ts';
import type { PacketMagic } from './packet.ts';

/**
 * Takes a connection whose first packet was a heartbeat: answers it and all that follow, until the other side ends or is
 * silent for too long.
 */
export class HeartbeatAnswerer implements TransportOwner {
  readonly #transport: Transport;
  readonly #timer: Timer;
  readonly #idleMs: number;
  #reader = new PacketReader();

  constructor(transport: Transport, magic: PacketMagic, idleMs: number) {
    this.#transport = transport;
    this.#idleMs = idleMs;
    this.#timer = new Timer(() => transport.destroy());
    transport.owner = this;
    this.#answer(magic);
  }

  #answer(magic: PacketMagic): void {
    this.#timer.arm(this.#idleMs);
    const bytes = writeHeartbeat(true, magic);
    // Who asks and does not listen is not asked again.
    if (this.#transport.write(bytes, 0, bytes.length) === HELD) this.#transport.pause();
  }

  onData(buf: Buffer, start: number, end: number): void {
    for (let at = start; at < end;) {
      const next = this.#reader.feed(buf, at, end);
      if (next === PACKET_MORE) return;
      const { packet } = this.#reader;
      if (next < 0 || packet?.kind !== 'heartbeat') {
        this.#transport.destroy();
        return;
      }
      this.#reader = new PacketReader();
      this.#answer(packet.magic);
      at = next;
    }
  }

  onEnd(): void {
    this.#transport.close();
  }

  onDrain(): void {
    this.#transport.resume();
  }

  onClose(): void {
    this.#timer.drop();
  }
}

/** Asks one server again and again, over one connection as long as that lasts. */
export class HeartbeatProbe {
  readonly #dial: DialLink;
  readonly #magic: PacketMagic;
  #transport: Transport | null = null;
  #opening: Opening | null = null;
  #sentAt = 0;
  /** How long the last answer took; connecting is no part of it. */
  roundTripMs = 0;
  #reader = new PacketReader();
  #done: ((error: string | null) => void) | null = null;
  readonly #timer = new Timer(() => this.#fail('heartbeat timed out'));

  /** @param dial opens a connection of the server's own kind */
  constructor(dial: DialLink, magic: PacketMagic = '2024-08') {
    this.#dial = dial;
    this.#magic = magic;
  }

  /**
   * Sends one heartbeat. The one before has to be over.
   * @param timeoutMs for all of it, connecting included
   * @param done called once: null, or why there was no answer
   */
  probe(timeoutMs: number, done: (error: string | null) => void): void {
    this.#done = done;
    this.#timer.arm(timeoutMs);
    if (this.#transport !== null) {
      this.#send();
      return;
    }
    this.#opening = this.#dial({
      connected: (transport) => {
        this.#opening = null;
        this.#transport = transport;
        this.#reader = new PacketReader();
        transport.owner = this.#owner;
        this.#send();
      },
      failed: (message) => {
        this.#opening = null;
        this.#fail(message);
      },
    });
  }

  #send(): void {
    const bytes = writeHeartbeat(false, this.#magic);
    this.#sentAt = performance.now();
    this.#transport!.write(bytes, 0, bytes.length);
  }

  readonly #owner: TransportOwner = {
    onData: (buf, start, end) => {
      const next = this.#reader.feed(buf, start, end);
      if (next === PACKET_MORE) return;
      const answered = next === end && this.#reader.packet?.kind === 'heartbeat_answer' && this.#done !== null;
      this.#reader = new PacketReader();
      if (answered) {
        this.roundTripMs = performance.now() - this.#sentAt;
        this.#settle(null);
      } else this.#fail('the server answered a heartbeat with something else');
    },
    onEnd: () => this.#fail('the server closed the connection'),
    onDrain() {},
    onClose: (error) => this.#fail(error === null ? 'the server closed the connection' : error.message),
  };

  #fail(why: string): void {
    this.#drop();
    this.#settle(why);
  }

  #settle(error: string | null): void {
    this.#timer.cancel();
    const done = this.#done;
    this.#done = null;
    done?.(error);
  }

  #drop(): void {
    this.#opening?.cancel();
    this.#opening = null;
    const transport = this.#transport;
    this.#transport = null;
    if (transport === null) return;
    transport.owner = { onData() {}, onEnd() {}, onDrain() {}, onClose() {} };
    transport.destroy();
  }

  /** Nothing more is asked, and nobody called. */
  close(): void {
    this.#done = null;
    this.#timer.drop();
    this.#drop();
  }
}
