/** Why attempts fail, in numbers and in nginx's words. */
import type { UpstreamPlan } from './upstream-plan.ts';

/** What an exchange's timer waits for. */
export const CONNECTING = 0;
export const SENDING = 1;
export const READING = 2;

const WAITS = ['connecting to upstream', 'sending request to upstream', 'reading response header from upstream'];

/** Why an attempt failed, as proxy_next_upstream names it. */
export const ERROR = 0;
export const TIMEOUT = 1;
export const INVALID = 2;
/** It is our own doing: a certificate that cannot be loaded. No other server would do better. */
export const OURS = 3;

/** The same as proxy_cache_use_stale names it. */
export const REASONS = ['error', 'timeout', 'invalidHeader', 'error'] as const;

/** What is answered when no server is left to try. */
export const STATUSES = [502, 504, 502, 500] as const;

/** Whether another server may be tried after a failure. */
export function allowed(plan: UpstreamPlan, why: number): boolean {
  const next = plan.config.nextUpstream;
  if (why === OURS) return false;
  return why === ERROR ? next.error : why === TIMEOUT ? next.timeout : next.invalidHeader;
}

/** The log's text for a timer that has fired. */
export function timedOutText(kind: number): string {
  return `upstream timed out (110: Connection timed out) while ${WAITS[kind]}`;
}
