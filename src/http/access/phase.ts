/**
 * The access phase: checkers in order (rules, passwords, a subrequest's word), joined by `satisfy`.
 *
 * A checker answers at once, or says `PENDING` and gives its word later by `answerAccess`. With `satisfy all` every one
 * must agree, and the first refusal counts; with `satisfy any` one that allows is enough, and a 401 outweighs a 403.
 */
import { Timer } from '../../net/timers.ts';
import * as engine from '../engine.ts';
import { METHOD_CONNECT } from '../wire/request-head.ts';
import { logRequest } from '../request-log.ts';
import type { BodyProducer, HttpRequest } from '../request.ts';
import { NEXT, TAKEN } from '../runtime.ts';
import type { Phase } from '../runtime.ts';

/** Nothing to say of this request. */
export const DECLINED = 0;
export const ALLOW = 1;
/** `answerAccess` will follow, unless the request ends before (`r.producer` is told of that). */
export const PENDING = 2;

/** @returns `DECLINED`, `ALLOW`, `PENDING`, or the status of a refusal; others than 401 and 403 end the request at once */
export type AccessChecker = (r: HttpRequest) => number;

/** A request whose checker has not answered yet. */
export interface PendingAccess {
  phase: AccessPhase;
  /** Place of the next checker. */
  next: number;
  /** Refusal so far (`satisfy any`). */
  code: number;
}

class AccessPhase {
  readonly #checkers: readonly AccessChecker[];
  readonly #any: boolean;
  readonly #delayMs: number;

  constructor(checkers: readonly AccessChecker[], any: boolean, delayMs: number) {
    this.#checkers = checkers;
    this.#any = any;
    this.#delayMs = delayMs;
  }

  /** Asks the checkers from `next` on. */
  run(r: HttpRequest, next: number, code: number): number {
    const checkers = this.#checkers;
    let refused = code;
    for (let i = next; i < checkers.length; i++) {
      const verdict = checkers[i]!(r);
      if (verdict === PENDING) {
        r.access = { phase: this, next: i + 1, code: refused };
        return TAKEN;
      }
      if (verdict === DECLINED) continue;
      if (!this.#any || verdict === ALLOW || !isRefusal(verdict)) {
        if (verdict === ALLOW && !this.#any) continue;
        return this.#settle(r, verdict);
      }
      if (refused !== 401) refused = verdict;
    }
    if (refused === 0) return NEXT;
    if (refused === 403) logRequest(r, 'error', 'access forbidden by rule');
    return this.#settle(r, refused);
  }

  /** Goes on with the word of a checker that was pending. */
  resume(r: HttpRequest, verdict: number, { next, code }: PendingAccess): number {
    if (verdict === DECLINED || (verdict === ALLOW && !this.#any)) return this.run(r, next, code);
    if (this.#any && isRefusal(verdict)) return this.run(r, next, code === 401 ? 401 : verdict);
    return this.#settle(r, verdict);
  }

  #settle(r: HttpRequest, verdict: number): number {
    if (verdict === ALLOW) {
      // Another checker may have asked for a password meanwhile.
      if (r.fields.count !== 0) {
        r.fields.remove('www-authenticate');
        r.fields.remove('proxy-authenticate');
      }
      return NEXT;
    }
    if (verdict === 401 && this.#delayMs > 0) {
      logRequest(r, 'info', 'delaying unauthorized request');
      r.producer = new Delay(r, this.#delayMs);
    } else engine.finalize(r, verdict === 401 ? unauthorized(r) : verdict);
    return TAKEN;
  }
}

export type { AccessPhase };

/** Who asks for a tunnel asks a proxy (RFC 9110 section 11.7). */
function unauthorized(r: HttpRequest): number {
  return r.method === METHOD_CONNECT ? 407 : 401;
}

function isRefusal(verdict: number): boolean {
  return verdict === 401 || verdict === 403;
}

/** `auth_delay`: a 401 that waits, so that guessing passwords takes time. */
class Delay implements BodyProducer {
  readonly delays = true;
  readonly #timer: Timer;

  constructor(r: HttpRequest, ms: number) {
    this.#timer = new Timer(() => {
      this.#timer.drop();
      r.producer = null;
      engine.finalize(r, unauthorized(r));
    });
    this.#timer.arm(ms);
  }

  onDrain(): void {}

  onAbort(): void {
    this.#timer.drop();
  }
}

/** Gives the word of a checker that answered `PENDING`. */
export function answerAccess(r: HttpRequest, verdict: number): void {
  const pending = r.access;
  if (pending === null) return;
  r.access = null;
  if (pending.phase.resume(r, verdict, pending) === NEXT) engine.resume(r);
}

/** @returns null when nobody has anything to check */
export function compileAccess(
  checkers: readonly (AccessChecker | null)[],
  satisfy: 'all' | 'any',
  delayMs: number,
): Phase | null {
  const present = checkers.filter((checker) => checker !== null);
  if (present.length === 0) return null;
  const phase = new AccessPhase(present, satisfy === 'any', delayMs);
  // What a request asks for on its own behalf was let in with it.
  return (r) => (r.parent === null ? phase.run(r, 0, 0) : NEXT);
}
