/** An upgraded connection (WebSocket): bytes pass both ways until both sides have ended or nothing moves for too long. */
import { Timer } from '../../net/timers.ts';
import type { ClientTunnel, HttpRequest } from '../request.ts';
import { HELD } from '../request.ts';
import { logRequest } from '../request-log.ts';
import type { UpstreamChannel } from './upstream-channel.ts';

/** What a tunnel needs of the client's connection. */
interface TunnelChannel {
  tunnelWrite(buf: Buffer, start: number, end: number): number;
  tunnelEnd(): void;
  tunnelClosed(): void;
}

export class Tunnel implements ClientTunnel {
  readonly #r: HttpRequest;
  readonly #channel: UpstreamChannel;
  readonly #timeoutMs: number;
  readonly #over: () => void;
  readonly #client: TunnelChannel;
  readonly #timer = new Timer(() => this.#timedOut());
  #clientEnded = false;
  #upstreamEnded = false;
  #done = false;

  /** @param timeoutMs how long nothing may pass either way */
  constructor(r: HttpRequest, channel: UpstreamChannel, timeoutMs: number, over: () => void) {
    this.#r = r;
    this.#channel = channel;
    this.#timeoutMs = timeoutMs;
    this.#over = over;
    this.#client = r.channel as unknown as TunnelChannel;
    this.#timer.arm(timeoutMs);
  }

  onClientData(buf: Buffer, start: number, end: number): number {
    this.#touch();
    return this.#channel.tunnelWrite(buf, start, end);
  }

  onUpstreamData(buf: Buffer, start: number, end: number): void {
    this.#touch();
    if (this.#client.tunnelWrite(buf, start, end) === HELD) this.#channel.pause();
  }

  onClientDrain(): void {
    this.#channel.resume();
  }

  onUpstreamDrain(): void {
    this.#r.channel.resumeReading(this.#r);
  }

  onClientEnd(): void {
    this.#clientEnded = true;
    this.#channel.tunnelEnd();
    if (this.#upstreamEnded) this.#finish();
  }

  onUpstreamEnd(): void {
    this.#upstreamEnded = true;
    this.#client.tunnelEnd();
    if (this.#clientEnded || this.#channel.closed) this.#finish();
  }

  onClientClose(): void {
    this.#finish();
  }

  #touch(): void {
    this.#timer.arm(this.#timeoutMs);
  }

  #timedOut(): void {
    logRequest(this.#r, 'error', 'upstream timed out (110: Connection timed out) while proxying upgraded connection');
    this.#finish();
  }

  #finish(): void {
    if (this.#done) return;
    this.#done = true;
    this.#timer.cancel();
    this.#over();
    this.#client.tunnelClosed();
  }
}
