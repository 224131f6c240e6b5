/**
 * What discovery hands out: answers of the DNS client, and the failures with nginx's numbers and texts.
 */
import type { LogLevel } from '../config/model.ts';

export interface ResolvedAddress {
  family: 4 | 6;
  /** Without brackets. */
  address: string;
}

/**
 * DNS response codes 1 to 5 (RFC 1035, section 4.1.1) and 110, ETIMEDOUT on Linux: what nginx prints in
 * `NAME could not be resolved (3: Host not found)`.
 */
export type FailureCode = 1 | 2 | 3 | 4 | 5 | 110;

export interface Failure {
  ok: false;
  code: FailureCode;
  text: string;
  /** Until when the failure may be believed, on the resolver's clock: now + `valid=`, or now + 10 s. */
  validUntilMs: number;
}

export interface Resolved {
  ok: true;
  /** At least one. A fresh answer is in the order it came, IPv4 first; one from the cache is rotated at random. */
  addresses: ResolvedAddress[];
  /** On the resolver's clock, `valid=` applied. The lowest over a chain of CNAMEs. */
  validUntilMs: number;
  /** Lowest time to live of the records, seconds, as the name server gave it (`valid=` not applied). */
  ttlSec: number;
}

export type Resolution = Resolved | Failure;

/** One address of a service: what becomes one peer. */
export interface ServiceRecord extends ResolvedAddress {
  /** Of the SRV record. 0 when the name was resolved without a service: the port is the server line's own. */
  port: number;
  /** Of the SRV record, 0 read as 1 (as nginx does); 1 without a service. */
  weight: number;
  /** Of the SRV record; 0 without a service. */
  priority: number;
  /** Target of the SRV record, lower-case, without final dot; the host itself without a service. */
  target: string;
}

/** A target of an SRV record that has no address. */
export interface FailedTarget {
  target: string;
  code: FailureCode;
  text: string;
}

export interface ServiceResolved {
  ok: true;
  /**
   * At least one, by priority ascending; the records of one priority start at a target drawn at random by
   * weight x number of addresses and go on in order.
   */
  records: ServiceRecord[];
  validUntilMs: number;
  ttlSec: number;
  /** Targets that do not exist (code 3). */
  failed: FailedTarget[];
}

export interface ServiceFailure extends Failure {
  failed: FailedTarget[];
  /**
   * Addresses of the targets that did resolve while another one failed for the time being. Who has older
   * records keeps those; who has none is better off with these than with nothing.
   */
  partial: ServiceRecord[];
}

export type ServiceResolution = ServiceResolved | ServiceFailure;

/** Milliseconds; only differences and order matter. */
export interface Clock {
  ms(): number;
}

export type Log = (level: LogLevel, message: string) => void;

/** A source of one-shot timers, so that tests can run them by hand. */
export interface Timers {
  /** Calls `run` once after `delayMs`. Returns a function that calls it off. */
  after(delayMs: number, run: () => void): () => void;
}

/** The longest delay that `setTimeout` takes; longer ones would fire at once. */
const MAX_DELAY_MS = 0x7fffffff;

/** Timers of the event loop which do not keep the process alive. */
export const systemTimers: Timers = {
  after(delayMs, run) {
    const timer = setTimeout(run, Math.min(Math.max(delayMs, 0), MAX_DELAY_MS));
    timer.unref();
    return () => clearTimeout(timer);
  },
};

const FAILURE_TEXTS: Record<FailureCode, string> = {
  1: 'Format error',
  2: 'Server failure',
  3: 'Host not found',
  4: 'Unimplemented',
  5: 'Operation refused',
  110: 'Operation timed out',
};

/** In: any response code. Out: nginx's text for it. */
export function failureText(code: number): string {
  return isFailureCode(code) ? FAILURE_TEXTS[code] : 'Unknown error';
}

/** True for the codes that end a resolution. */
export function isFailureCode(code: number): code is FailureCode {
  return Object.hasOwn(FAILURE_TEXTS, code);
}

/** Out: a failure with its text. */
export function failure(code: FailureCode, validUntilMs: number): Failure {
  return { ok: false, code, text: FAILURE_TEXTS[code], validUntilMs };
}
