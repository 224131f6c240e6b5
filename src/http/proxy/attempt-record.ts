/** What is remembered of an exchange's attempts: for `$upstream_…`, the balancers' samples and the log. */
import { clock } from '../../net/clock.ts';
import type { UpstreamAttempt } from '../request.ts';

export class AttemptRecord {
  /** Address of the present attempt, or the group's name; empty: there is none. */
  address = '';
  status = 0;
  /** Milliseconds since the peer was selected; -1: not reached. */
  connectMs = -1;
  headerMs = -1;
  responseMs = -1;
  bytesSent = 0;
  bytesReceived = 0;
  /** Bytes of the answer's body. */
  responseLength = 0;
  /** Bytes of interim answers (103). */
  hintsLength = 0;

  #selectedAt = 0;
  #past: UpstreamAttempt[] = NONE;
  #redirected = false;

  /** A peer is about to be selected. */
  begin(): void {
    this.#selectedAt = clock.now;
    this.connectMs = this.headerMs = this.responseMs = -1;
    this.status = 0;
    this.bytesSent = this.bytesReceived = this.responseLength = this.hintsLength = 0;
  }

  /** Milliseconds since the peer was selected. */
  elapsed(): number {
    return Math.round(clock.now - this.#selectedAt);
  }

  /** All attempts, the present one last. */
  get attempts(): UpstreamAttempt[] {
    return this.address === '' ? this.#past : [...this.#past, this.#present()];
  }

  #present(): UpstreamAttempt {
    return {
      address: this.address,
      status: this.status,
      connectMs: this.connectMs,
      headerMs: this.headerMs,
      responseMs: this.responseMs,
      responseLength: this.responseLength,
      bytesReceived: this.bytesReceived,
      bytesSent: this.bytesSent,
      redirected: this.#redirected,
    };
  }

  /** The present attempt is over and another one follows. */
  push(): void {
    this.#past = this.attempts;
    this.#redirected = false;
    this.address = '';
  }

  /** After an internal redirect: the attempts of the exchange before stay visible. */
  inherit(before: UpstreamAttempt[]): void {
    this.#past = before;
    this.#redirected = true;
  }

  release(): void {
    this.#past = NONE;
    this.address = '';
    this.#redirected = false;
  }
}

const NONE: UpstreamAttempt[] = [];
