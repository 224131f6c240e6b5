/** Asks a server over TCP, by the way that sessions go: its TLS, its PROXY protocol header, its local address. */
import type { Buffer } from 'node:buffer';
import type { Probe, ProbeKind, ProbeOutcome, ProbeTarget } from '../../health/probe.ts';
import { clock } from '../../net/clock.ts';
import { Timer } from '../../net/timers.ts';
import type { Transport, TransportOwner } from '../../net/transport.ts';
import type { Via, Vias } from '../../net/via.ts';
import { failedText } from '../../observe/errno.ts';
import type { PeerInfo } from '../../upstream/group.ts';
import { openServer, type Opening } from '../proxy/open.ts';
import type { ProxyPlan } from '../proxy/plan.ts';
import type { Session } from '../session.ts';
import { closeSoon } from '../tcp-session.ts';
import type { StreamMatcher } from './match.ts';

export interface StreamProbeSettings {
  plan: ProxyPlan;
  /** A session of nobody; each probe changes its own. */
  session: (address: string) => Session;
  matcher: StreamMatcher;
  /** What TLS asks for and checks, unless proxy_ssl_name says otherwise. */
  host: string;
  /** PROXY protocol; null: none. */
  header: Buffer | null;
  timeoutMs: number;
  /** Null: all servers are reached by plain TCP. */
  vias: Vias | null;
}

export class TcpProbeKind implements ProbeKind {
  readonly #settings: StreamProbeSettings;

  constructor(settings: StreamProbeSettings) {
    this.#settings = settings;
  }

  open(target: ProbeTarget): Probe {
    return new TcpProbe(this.#settings, target);
  }
}

class TcpProbe implements Probe, TransportOwner {
  readonly #settings: StreamProbeSettings;
  readonly #peer: PeerInfo;
  readonly #session: Session;
  readonly #via: Via | null;
  readonly #timer = new Timer(() => this.#late());
  #opening: Opening | null = null;
  #transport: Transport | null = null;
  #report: ((outcome: ProbeOutcome) => void) | null = null;
  #answer = '';

  constructor(settings: StreamProbeSettings, target: ProbeTarget) {
    this.#settings = settings;
    this.#peer = { ...target, slot: -1, generation: 0, sid: '' };
    this.#session = settings.session(target.address);
    this.#via = settings.vias?.get(target.server) ?? null;
  }

  run(report: (outcome: ProbeOutcome) => void): void {
    const { plan, host, header, timeoutMs } = this.#settings;
    this.#report = report;
    this.#answer = '';
    clock.update();
    this.#timer.arm(timeoutMs);
    this.#session.action = 'connecting to upstream';
    this.#opening = openServer(
      this.#session,
      plan,
      this.#peer,
      this.#via,
      host,
      plan.tls === null ? null : header,
      this,
    );
  }

  /** @internal */
  connected(transport: Transport): void {
    this.#opening = null;
    this.#transport = transport;
    transport.owner = this;
    const { plan, header, matcher } = this.#settings;
    if (header !== null && plan.tls === null) transport.write(header, 0, header.length);
    const { send, expects } = matcher;
    if (send !== null) transport.write(send, 0, send.length);
    if (expects === null) {
      // what is written goes out before the connection is closed
      if (send !== null) this.#session.action = 'sending data to upstream';
      this.#end(true, null);
    } else this.#session.action = 'receiving data from upstream';
  }

  /** @internal */
  failed(message: string): void {
    this.#opening = null;
    this.#fail(message);
  }

  onData(buf: Buffer, start: number, end: number): void {
    const { plan, matcher } = this.#settings;
    const room = plan.config.bufferSize - this.#answer.length;
    this.#answer += buf.latin1Slice(start, Math.min(end, start + room));
    if (matcher.expects!(this.#answer)) this.#judge(true);
    else if (end - start >= room) this.#judge(false);
  }

  onEnd(): void {
    this.#ended();
  }

  onClose(error: Error | null): void {
    this.#transport = null;
    if (error === null) this.#ended();
    else this.#fail(failedText('recv()', error));
  }

  onDrain(): void {}

  #ended(): void {
    if (this.#answer !== '') this.#judge(false);
    else this.#fail('upstream prematurely closed connection');
  }

  #judge(passed: boolean): void {
    this.#session.action = 'checking data';
    this.#end(passed, null);
  }

  #late(): void {
    this.#fail('upstream timed out (110: Connection timed out)');
  }

  #fail(error: string): void {
    this.#end(false, `${error} while ${this.#session.action}`);
  }

  #end(passed: boolean, error: string | null): void {
    const report = this.#report;
    if (report === null) return;
    this.#stop();
    report({ passed, stage: this.#session.action, error });
  }

  #stop(): void {
    this.#report = null;
    this.#timer.cancel();
    this.#opening?.cancel();
    this.#opening = null;
    const transport = this.#transport;
    this.#transport = null;
    if (transport === null) return;
    transport.owner = IDLE;
    closeSoon(transport, this.#settings.plan.tls !== null);
  }

  close(): void {
    this.#stop();
    this.#timer.drop();
  }
}

/** Owns connections that are being closed. */
const IDLE: TransportOwner = { onData() {}, onEnd() {}, onDrain() {}, onClose() {} };
