/** What a heartbeat asks: a packet on a connection that is kept, a TCP connect, or a HEAD request. */
import { Buffer } from 'node:buffer';
import { HeartbeatProbe } from '../net/anyproxy/heartbeat.ts';
import { clock } from '../net/clock.ts';
import { dialTcp } from '../net/link.ts';
import type { DialLink, Opening } from '../net/link.ts';
import { Timer } from '../net/timers.ts';
import type { ConnectOptions } from '../net/dial.ts';
import type { Transport, TransportOwner } from '../net/transport.ts';
import type { Vias } from '../net/via.ts';
import { failedText } from '../observe/errno.ts';
import type { Probe, ProbeKind, ProbeOutcome, ProbeTarget } from './probe.ts';

/** A head that is longer is no answer to HEAD. */
const MAX_HEAD = 8192;

function addressOf({ family, host, port }: ProbeTarget): ConnectOptions {
  const path = family === 'unix' ? host : null;
  return { host, port, path, localAddress: null, localPort: 0, keepAlive: false };
}

/** One way to ask: connects, and then it is the kind's turn. */
abstract class BeatProbe implements Probe, TransportOwner {
  readonly #dial: DialLink;
  readonly #timeoutMs: number;
  readonly #timer = new Timer(() => this.fail('upstream timed out (110: Connection timed out)'));
  #opening: Opening | null = null;
  #report: ((outcome: ProbeOutcome) => void) | null = null;
  #stage = '';
  #began = 0;
  #transport: Transport | null = null;

  constructor(dial: DialLink, timeoutMs: number) {
    this.#dial = dial;
    this.#timeoutMs = timeoutMs;
  }

  run(report: (outcome: ProbeOutcome) => void): void {
    clock.update();
    this.#report = report;
    this.#timer.arm(this.#timeoutMs);
    this.begin('connecting to upstream');
    this.#opening = this.#dial({
      failed: (message) => {
        this.#opening = null;
        this.fail(message);
      },
      connected: (transport) => {
        this.#opening = null;
        this.#transport = transport;
        transport.owner = this;
        this.ask(transport);
      },
    });
  }

  /** The connection is there. */
  protected abstract ask(transport: Transport): void;

  /** A new step: what it takes counts from now. */
  protected begin(stage: string): void {
    this.#stage = stage;
    this.#began = performance.now();
  }

  protected pass(): void {
    this.#end({ passed: true, stage: this.#stage, error: null, ms: performance.now() - this.#began });
  }

  protected fail(error: string): void {
    this.#end({ passed: false, stage: this.#stage, error: `${error} while ${this.#stage}` });
  }

  #end(outcome: ProbeOutcome): void {
    const report = this.#report;
    this.#report = null;
    this.#timer.cancel();
    this.#opening?.cancel();
    this.#opening = null;
    this.#drop();
    report?.(outcome);
  }

  #drop(): void {
    const transport = this.#transport;
    this.#transport = null;
    if (transport === null) return;
    transport.owner = NOBODY;
    transport.close();
  }

  close(): void {
    this.#report = null;
    this.#opening?.cancel();
    this.#opening = null;
    this.#timer.drop();
    this.#drop();
  }

  onData(_buf: Buffer, _start: number, _end: number): void {}
  onDrain(): void {}

  onEnd(): void {
    this.fail('upstream prematurely closed connection');
  }

  onClose(error: Error | null): void {
    this.fail(error === null ? 'upstream prematurely closed connection' : failedText('recv()', error));
  }
}

const NOBODY: TransportOwner = { onData() {}, onEnd() {}, onDrain() {}, onClose() {} };

export class ConnectProbeKind implements ProbeKind {
  readonly #timeoutMs: number;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  open(target: ProbeTarget): Probe {
    return new ConnectProbe(dialTcp(addressOf(target)), this.#timeoutMs);
  }
}

class ConnectProbe extends BeatProbe {
  protected override ask(): void {
    this.pass();
  }
}

export class HttpProbeKind implements ProbeKind {
  /** Host of each server line. */
  readonly #hosts: ReadonlyMap<string, string>;
  readonly #uri: string;
  readonly #timeoutMs: number;

  constructor(hosts: ReadonlyMap<string, string>, uri: string, timeoutMs: number) {
    this.#hosts = hosts;
    this.#uri = uri;
    this.#timeoutMs = timeoutMs;
  }

  open(target: ProbeTarget): Probe {
    const name = this.#hosts.get(target.server) ?? target.host;
    const host = `${name.includes(':') ? `[${name}]` : name}:${target.port}`;
    return new HttpProbe(dialTcp(addressOf(target)), this.#timeoutMs, request(host, this.#uri));
  }
}

/** As any-proxy asks: servers that do not care for HEAD send two bytes. */
function request(host: string, uri: string): Buffer {
  const text = `HEAD ${uri} HTTP/1.1\r\nHost: ${host}\r\nRange: bytes=0-1\r\nConnection: close\r\n\r\n`;
  return Buffer.from(text, 'latin1');
}

class HttpProbe extends BeatProbe {
  readonly #request: Buffer;
  #head = '';

  constructor(dial: DialLink, timeoutMs: number, bytes: Buffer) {
    super(dial, timeoutMs);
    this.#request = bytes;
  }

  protected override ask(transport: Transport): void {
    this.#head = '';
    this.begin('reading response header from upstream');
    transport.write(this.#request, 0, this.#request.length);
  }

  override onData(buf: Buffer, start: number, end: number): void {
    this.#head += buf.latin1Slice(start, end);
    const line = /^HTTP\/1\.[01] (\d{3})[ \r\n]/.exec(this.#head);
    if (line !== null) {
      if (line[1]!.startsWith('2')) this.pass();
      else this.fail(`upstream answered with status ${line[1]}`);
    } else if (this.#head.length > MAX_HEAD || /^[^\n]*\n/.test(this.#head)) {
      this.fail('upstream sent no valid HTTP/1.0 header');
    }
  }
}

/** Packets that another Headrace or any-proxy answers, on a connection that is kept, the way that sessions go. */
export class HelloProbeKind implements ProbeKind {
  readonly #vias: Vias | null;
  readonly #timeoutMs: number;

  constructor(vias: Vias | null, timeoutMs: number) {
    this.#vias = vias;
    this.#timeoutMs = timeoutMs;
  }

  open(target: ProbeTarget): Probe {
    const address = addressOf(target);
    const via = this.#vias?.get(target.server) ?? null;
    const dial = via === null || via.direct ? dialTcp(address) : via.to(address, target.address);
    return new HelloProbe(new HeartbeatProbe(dial), this.#timeoutMs);
  }
}

class HelloProbe implements Probe {
  readonly #probe: HeartbeatProbe;
  readonly #timeoutMs: number;

  constructor(probe: HeartbeatProbe, timeoutMs: number) {
    this.#probe = probe;
    this.#timeoutMs = timeoutMs;
  }

  run(report: (outcome: ProbeOutcome) => void): void {
    clock.update();
    const stage = 'checking heartbeat';
    this.#probe.probe(this.#timeoutMs, (error) => {
      if (error === null) report({ passed: true, stage, error: null, ms: this.#probe.roundTripMs });
      else report({ passed: false, stage, error: `${error} while ${stage}` });
    });
  }

  close(): void {
    this.#probe.close();
  }
}
