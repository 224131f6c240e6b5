/** Two ends of a logical stream and connections between them, all in one thread: bytes move when the test says so. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { FrameReader } from '../../../src/net/tunnel/frame-reader.ts';
import type { FrameHandler } from '../../../src/net/tunnel/frame-reader.ts';
import { TunnelSession } from '../../../src/net/tunnel/session.ts';
import type { SessionEvents, SessionLimits, SessionLink } from '../../../src/net/tunnel/session-events.ts';

/** One end of a connection. */
export class SimLink implements SessionLink, FrameHandler {
  writable = true;
  frames = 0;
  bytes = 0;
  doneSent = false;
  doneSeen = false;
  readonly owner: End;
  readonly reader: FrameReader = new FrameReader(this);
  other!: SimLink;
  /** What was sent and has not arrived. */
  flight: Buffer = Buffer.alloc(0);
  gone = false;
  released = false;
  dropped = false;

  constructor(owner: End) {
    this.owner = owner;
  }

  send(buf: Buffer, start: number, end: number): void {
    if (!this.gone) this.flight = Buffer.concat([this.flight, buf.subarray(start, end)]);
  }

  /** Lets up to `n` bytes arrive at the other end. */
  move(n: number): void {
    const piece = this.flight.subarray(0, n);
    this.flight = this.flight.subarray(piece.length);
    if (piece.length === 0 || this.other.gone || this.other.dropped) return;
    const own = Buffer.from(piece);
    assert.ok(this.other.reader.feed(own, 0, own.length), 'frames are good');
    own.fill(0xee);
  }

  onPayload(offset: number, buf: Buffer, start: number, end: number): void {
    assert.ok(this.owner.session.onPayload(this, offset, buf, start, end, this.owner.sim.now), 'payload is in order');
  }

  onDataFrame(): void {
    this.owner.session.onDataFrame();
  }

  onControl(type: number, payload: Buffer): void {
    assert.ok(this.owner.session.onControl(this, type, payload, this.owner.sim.now), `frame ${type} has its place`);
  }
}

/** One side: what was written to it, and what has come out. */
export class End implements SessionEvents {
  readonly sim: Simulation;
  readonly session: TunnelSession;
  written: Buffer[] = [];
  read: Buffer[] = [];
  /** Came out and not yet taken by whoever reads. */
  unread = 0;
  taken = 0;
  endTold = 0;
  failure = 0;
  result: boolean | null = null;
  hasEnded = false;
  wanted = 0;
  /** Takes all at once. */
  eager = true;

  constructor(sim: Simulation, isClient: boolean, limits: SessionLimits) {
    this.sim = sim;
    this.session = new TunnelSession(isClient, limits, this);
  }

  deliver(buf: Buffer, start: number, end: number): void {
    assert.equal(this.endTold, 0, 'nothing comes after the end');
    this.read.push(Buffer.from(buf.subarray(start, end)));
    this.unread += end - start;
    if (this.eager) this.take(this.unread);
  }

  take(n: number): void {
    const taken = Math.min(n, this.unread);
    this.unread -= taken;
    this.taken += taken;
    this.session.consumed(this.taken, this.sim.now);
  }

  write(buf: Buffer): void {
    if (this.hasEnded) return;
    this.written.push(buf);
    const own = Buffer.from(buf);
    this.session.write(own, 0, own.length, this.sim.now);
    own.fill(0xdd);
  }

  end(): void {
    this.hasEnded = true;
    this.session.end(this.sim.now);
  }

  ended(): void {
    this.endTold++;
  }

  drained(): void {}

  failed(code: number): void {
    this.failure = code;
  }

  wantLink(): void {
    this.wanted++;
  }

  releaseLink(link: SessionLink): void {
    (link as SimLink).released = true;
  }

  dropLink(link: SessionLink): void {
    (link as SimLink).dropped = true;
  }

  over(clean: boolean): void {
    assert.equal(this.result, null, 'over once');
    this.result = clean;
  }
}

export class Simulation {
  now = 0;
  readonly client: End;
  readonly server: End;
  /** The clients' ends. */
  links: SimLink[] = [];

  constructor(limits: SessionLimits) {
    this.client = new End(this, true, limits);
    this.server = new End(this, false, limits);
    this.connect();
  }

  connect(): void {
    const [c, s] = [this.client, this.server];
    if (c.session.closed || s.session.closed || this.links.length >= c.session.maxLinks) return;
    const a = new SimLink(c);
    const b = new SimLink(s);
    a.other = b;
    b.other = a;
    this.links.push(a);
    const wanted = c.session.terms();
    const granted = s.session.terms();
    s.session.attach(b, this.now);
    assert.ok(s.session.learn(wanted, this.now));
    c.session.attach(a, this.now);
    assert.ok(c.session.learn(granted, this.now));
  }

  /** Both ends lose a connection, and what was on its way. */
  cut(at: number): void {
    const [link] = this.links.splice(at, 1);
    if (link === undefined) return;
    for (const end of [link, link.other]) {
      end.gone = true;
      end.flight = Buffer.alloc(0);
      end.owner.session.lose(end, this.now);
    }
  }

  move(at: number, up: boolean, n: number): void {
    const link = this.links[at % Math.max(1, this.links.length)];
    if (link !== undefined) (up ? link : link.other).move(n);
  }

  pass(ms: number): void {
    this.now += ms;
    for (const end of [this.client, this.server]) {
      if (this.now >= end.session.deadline) end.session.tick(this.now);
    }
  }

  /** Everything arrives, time passes, lost connections come back, until nothing happens any more. */
  settle(): void {
    for (let round = 0; round < 10_000; round++) {
      const { client, server } = this;
      if (client.result !== null && server.result !== null) return;
      if (this.links.length === 0) this.connect();
      let moved = false;
      for (const link of this.links.slice()) {
        for (const end of [link, link.other]) {
          if (end.flight.length > 0) moved = true;
          end.move(end.flight.length);
          if (!end.writable) end.owner.session.writable(end, this.now);
        }
      }
      this.links = this.links.filter((link) => !(link.released && link.other.released));
      for (const end of [client, server]) end.take(end.unread);
      if (!moved) this.pass(10);
    }
    assert.fail('the stream does not come to its end');
  }
}
