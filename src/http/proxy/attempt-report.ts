/** Tells a group what became of an attempt at one of its servers. */
import type { Outcome } from '../../upstream/group.ts';
import { debugRequest, logRequest } from '../request-log.ts';
import type { Exchange } from './exchange.ts';

const outcome: Outcome = { failed: false, next: false, hadHeader: false, headerMs: 0, responseMs: 0 };

/** @param next another server is tried though this one did not fail */
export function reportAttempt(exchange: Exchange, failed: boolean, next: boolean): void {
  const { r, record } = exchange;
  outcome.failed = failed;
  outcome.next = next;
  outcome.hadHeader = record.headerMs >= 0 && !failed && !next;
  outcome.headerMs = Math.max(0, record.headerMs);
  outcome.responseMs = record.responseMs >= 0 ? record.responseMs : record.elapsed();
  outcome.status = record.status;
  outcome.bytesSent = record.bytesSent;
  outcome.bytesReceived = record.bytesReceived;
  if (r.gen.debugs) {
    const what = failed ? 'failed' : `answered ${record.status}, header after ${record.headerMs} ms`;
    debugRequest(
      r,
      `upstream ${exchange.upstreamText()} ${what}, sent ${record.bytesSent}, received ${record.bytesReceived}`,
    );
  }
  const group = exchange.target.group!;
  if (group.sticky !== null && !failed) group.sticky.done(r, exchange.peer!);
  if (group.observer !== null) group.observer.ended(r, exchange.peer!, outcome);
  if (group.peers.done(exchange.attempt, outcome)) {
    const text = 'upstream server temporarily disabled while connecting to upstream';
    logRequest(r, 'warn', text, exchange.upstreamText());
  }
}
