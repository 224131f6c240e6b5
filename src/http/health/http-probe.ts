/** Asks a server as the location's requests would go, whatever protocol and TLS: over the same channels. */
import type { PeerInfo } from '../../upstream/group.ts';
import type { Matcher } from '../../health/match.ts';
import type { Probe, ProbeKind, ProbeOutcome, ProbeTarget } from '../../health/probe.ts';
import { clock } from '../../net/clock.ts';
import { Timer } from '../../net/timers.ts';
import { SENT } from '../request.ts';
import { type Failure, NO_BODY, type UpstreamChannel, type UpstreamEvents } from '../proxy/upstream-channel.ts';
import type { UpstreamPlan } from '../proxy/upstream-plan.ts';
import type { ResponseHead } from '../wire/response-head.ts';
import { HttpAnswer, headIsAll, lastChecked } from './answer.ts';
import type { ProbeRequest } from './probe-request.ts';

/** What a location's settings make of its checks; see `prepare.ts`. */
export interface HttpProbeSettings {
  /** Composes the request, whatever protocol it is, and opens connections. */
  plan: UpstreamPlan;
  /** Stands for the client's. */
  request: ProbeRequest;
  matcher: Matcher;
  /** Value of a variable when this answer has come. */
  variable(name: string, answer: HttpAnswer): string;
  connectTimeoutMs: number;
  sendTimeoutMs: number;
  readTimeoutMs: number;
  headLimit: number;
  /** 0: a connection is used once. */
  keepaliveTimeMs: number;
}

export class HttpProbeKind implements ProbeKind {
  readonly #settings: HttpProbeSettings;

  constructor(settings: HttpProbeSettings) {
    this.#settings = settings;
  }

  open(target: ProbeTarget): Probe {
    return new HttpProbe(this.#settings, target);
  }
}

class HttpProbe implements Probe, UpstreamEvents {
  readonly #settings: HttpProbeSettings;
  readonly #peer: PeerInfo;
  readonly #timer = new Timer(() => this.#late());
  #conn: UpstreamChannel | null = null;
  #createdAt = 0;
  #dialing: { cancel(): void } | null = null;
  #report: ((outcome: ProbeOutcome) => void) | null = null;
  #answer: HttpAnswer | null = null;
  #stage = '';
  #beganAt = 0;
  #connectMs = 0;
  #reused = false;
  #heard = false;

  constructor(settings: HttpProbeSettings, target: ProbeTarget) {
    this.#settings = settings;
    this.#peer = { ...target, slot: -1, generation: 0, sid: '' };
  }

  run(report: (outcome: ProbeOutcome) => void): void {
    this.#report = report;
    this.#answer = null;
    this.#heard = false;
    this.#beganAt = clock.update();
    this.#settings.request.begin();
    const kept = this.#conn;
    if (kept !== null && !kept.closed && clock.now - this.#createdAt < this.#settings.keepaliveTimeMs) {
      this.#reused = true;
      this.#send(kept);
      return;
    }
    kept?.destroy();
    this.#conn = null;
    this.#reused = false;
    this.#dial();
  }

  #dial(): void {
    this.#stage = 'connecting to upstream';
    this.#timer.arm(this.#settings.connectTimeoutMs);
    const { plan } = this.#settings;
    const request = this.#settings.request.r;
    const refusal = plan.refuse(request);
    if (refusal !== null) {
      this.#fail(refusal);
      return;
    }
    this.#dialing = plan.open(request, plan, this.#peer, this.#opened, this.#refused);
  }

  readonly #opened = (conn: UpstreamChannel): void => {
    this.#dialing = null;
    if (this.#report === null) {
      conn.destroy();
      return;
    }
    this.#conn = conn;
    this.#createdAt = clock.now;
    this.#send(conn);
  };

  readonly #refused = (message: string): void => {
    this.#dialing = null;
    if (message.includes('SSL')) this.#stage = 'SSL handshaking to upstream';
    this.#fail(message);
  };

  #send(conn: UpstreamChannel): void {
    this.#connectMs = clock.now - this.#beganAt;
    conn.onIdleClose = null;
    conn.begin(this, false, this.#settings.headLimit);
    this.#stage = 'sending request to upstream';
    this.#timer.arm(this.#settings.sendTimeoutMs);
    const { request, plan } = this.#settings;
    const body = { bodyLength: NO_BODY, first: null, firstLength: 0 };
    const outgoing = {
      r: request.r,
      plan,
      uri: null,
      ...body,
      secure: plan.tls !== null,
      cached: false,
      convertsHead: false,
    };
    if (conn.sendRequest(outgoing) === SENT) this.onUpstreamDrain();
  }

  onUpstreamDrain(): void {
    if (this.#report === null || this.#heard) return;
    this.#stage = 'reading response header from upstream';
    this.#timer.arm(this.#settings.readTimeoutMs);
  }

  onHints(): void {}

  onHead(head: ResponseHead): void {
    this.#heard = true;
    const settings = this.#settings;
    this.#answer = new HttpAnswer(settings, head, this.#peer.address, this.#connectMs, clock.now - this.#beganAt);
    this.#stage = 'reading response from upstream';
    this.#timer.arm(settings.readTimeoutMs);
    // an answer that cannot pass need not be read
    const verdict = settings.matcher.head(this.#answer);
    if (verdict !== null) this.#end({ passed: false, stage: verdict, error: null }, false);
    else if (head.status === 101 || headIsAll(settings.matcher, settings.keepaliveTimeMs)) this.#judge(false);
  }

  onBody(buf: Buffer, start: number, end: number, last: boolean): void {
    const answer = this.#answer;
    if (answer === null) return;
    const more = answer.take(buf, start, end);
    if (last) this.#judge(true);
    else if (!more) this.#judge(false);
    else this.#timer.arm(this.#settings.readTimeoutMs);
  }

  #judge(reusable: boolean): void {
    const answer = this.#answer!;
    answer.responseMs = clock.now - this.#beganAt;
    const verdict = this.#settings.matcher.all(answer);
    this.#end(
      { passed: verdict === null, stage: verdict ?? lastChecked(this.#settings.matcher), error: null },
      reusable,
    );
  }

  onFailure({ message }: Failure): void {
    if (this.#report === null) return;
    const idle = this.#reused && !this.#heard;
    this.#conn?.destroy();
    this.#conn = null;
    if (!idle) {
      this.#fail(message);
      return;
    }
    // the server has closed a connection that was kept: that says nothing about it
    this.#reused = false;
    this.#dial();
  }

  onMessage(): void {}
  onTunnelData(): void {}
  onTunnelEnd(): void {}

  #late(): void {
    if (this.#report === null) return;
    this.#fail(`upstream timed out (110: Connection timed out) while ${this.#stage}`);
  }

  #fail(error: string): void {
    this.#end({ passed: false, stage: this.#stage, error }, false);
  }

  #end(outcome: ProbeOutcome, reusable: boolean): void {
    const report = this.#report;
    if (report === null) return;
    this.#report = null;
    this.#answer = null;
    this.#timer.cancel();
    this.#dialing?.cancel();
    this.#dialing = null;
    const conn = this.#conn;
    if (conn !== null) {
      const { keepaliveTimeMs: timeMs } = this.#settings;
      if (!reusable || timeMs === 0) {
        this.#conn = null;
        conn.destroy();
      } else {
        conn.onIdleClose = this.#dropped;
        if (!conn.finish(true, { requests: Infinity, timeMs })) this.#conn = null;
      }
    }
    report(outcome);
  }

  readonly #dropped = (conn: UpstreamChannel): void => {
    if (this.#conn === conn) this.#conn = null;
  };

  close(): void {
    this.#report = null;
    this.#timer.drop();
    this.#dialing?.cancel();
    this.#dialing = null;
    this.#conn?.destroy();
    this.#conn = null;
  }
}
