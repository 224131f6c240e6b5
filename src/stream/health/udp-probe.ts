/**
 * Asks a server over UDP. Silence is no failure unless something is expected: whoever has nothing listening there is told by
 * ICMP "destination unreachable", and that is waited for.
 */
import { Buffer } from 'node:buffer';
import { createSocket, type Socket } from 'node:dgram';
import type { Probe, ProbeKind, ProbeOutcome, ProbeTarget } from '../../health/probe.ts';
import { clock } from '../../net/clock.ts';
import { Timer } from '../../net/timers.ts';
import { lookupLiteral } from '../../net/udp.ts';
import { failedText } from '../../observe/errno.ts';
import type { StreamProbeSettings } from './tcp-probe.ts';

/** What NGINX Plus sends when a check says nothing else. */
const USUAL = Buffer.from('nginx health check', 'latin1');
/** An ICMP message needs one way there and back: silence of this length is taken for a pass. */
const QUIET_MS = 1000;

export class UdpProbeKind implements ProbeKind {
  readonly #settings: StreamProbeSettings;
  readonly #quietMs: number;

  constructor(settings: StreamProbeSettings, intervalMs: number) {
    this.#settings = settings;
    // probes of one server do not overlap: silence must not stretch the interval
    this.#quietMs = Math.min(QUIET_MS, settings.timeoutMs, intervalMs / 2);
  }

  open(target: ProbeTarget): Probe {
    return new UdpProbe(this.#settings, target, this.#quietMs);
  }
}

class UdpProbe implements Probe {
  readonly #settings: StreamProbeSettings;
  readonly #target: ProbeTarget;
  readonly #quietMs: number;
  readonly #timer = new Timer(() => this.#silence());
  #socket: Socket | null = null;
  #report: ((outcome: ProbeOutcome) => void) | null = null;
  #stage = '';

  constructor(settings: StreamProbeSettings, target: ProbeTarget, quietMs: number) {
    this.#settings = settings;
    this.#target = target;
    this.#quietMs = quietMs;
  }

  run(report: (outcome: ProbeOutcome) => void): void {
    this.#report = report;
    this.#stage = 'connecting to upstream';
    const { family, host, port, address } = this.#target;
    if (family === 'unix') {
      this.#fail('datagrams over unix sockets are not supported');
      return;
    }
    const { plan, matcher, session, timeoutMs } = this.#settings;
    clock.update();
    this.#timer.arm(matcher.expects === null ? this.#quietMs : timeoutMs);
    const socket = createSocket({ type: family === 6 ? 'udp6' : 'udp4', lookup: lookupLiteral });
    this.#socket = socket;
    socket.on('error', (error) => {
      if (socket !== this.#socket) return;
      this.#fail(failedText(this.#stage === 'connecting to upstream' ? 'connect()' : 'recv()', error));
    });
    socket.on('message', (datagram) => {
      if (socket === this.#socket) this.#answered(datagram);
    });
    socket.once('connect', () => {
      if (socket === this.#socket) this.#ask(socket);
    });
    const local = plan.localAddress(session(address));
    if (local !== null) socket.bind({ address: local.text, port: local.port, exclusive: true });
    socket.connect(port, host);
  }

  #ask(socket: Socket): void {
    const { header, matcher } = this.#settings;
    this.#stage = 'receiving data from upstream';
    if (header !== null) socket.send(header);
    socket.send(matcher.send ?? USUAL);
  }

  #answered(datagram: Buffer): void {
    const { plan, matcher } = this.#settings;
    this.#stage = 'checking data';
    const { expects } = matcher;
    this.#end(
      expects === null || expects(datagram.latin1Slice(0, Math.min(datagram.length, plan.config.bufferSize))),
      null,
    );
  }

  /** Nothing has come, neither an answer nor an error. */
  #silence(): void {
    if (this.#settings.matcher.expects === null) this.#end(true, null);
    else this.#fail('upstream timed out (110: Connection timed out)');
  }

  #fail(error: string): void {
    this.#end(false, `${error} while ${this.#stage}`);
  }

  #end(passed: boolean, error: string | null): void {
    const report = this.#report;
    if (report === null) return;
    this.#stop();
    report({ passed, stage: this.#stage, error });
  }

  #stop(): void {
    this.#report = null;
    this.#timer.cancel();
    const socket = this.#socket;
    this.#socket = null;
    try {
      socket?.close();
    } catch {
      // It was never bound.
    }
  }

  close(): void {
    this.#stop();
    this.#timer.drop();
  }
}
