/**
 * 103 (Early Hints, RFC 8297) of servers, passed on where `early_hints` asks for it: fields alone, less those that are not
 * passed on with an answer either.
 */
import { FieldList } from '../fields.ts';
import type { HttpRequest } from '../request.ts';
import { logRequest } from '../request-log.ts';
import { hidden } from '../wire/writer.ts';
import type { ResponseHead } from '../wire/response-head.ts';
import type { Exchange } from './exchange.ts';
import { hopHidden } from './hide.ts';

/** @param head of the interim answer; valid during the call */
export function passHints(exchange: Exchange, r: HttpRequest, head: ResponseHead): void {
  const { earlyHints } = r.loc;
  if (earlyHints === null || exchange.detached || r.headSent || !earlyHints(r)) return;
  const { plan, record } = exchange;
  record.hintsLength += head.pos - head.headStart;
  if (record.hintsLength > plan.config.bufferSize) {
    logRequest(r, 'info', 'upstream sent too big early hints', exchange.upstreamText());
    return;
  }
  const hide = hopHidden(plan.responseHide, r, head);
  const fields = new FieldList();
  for (let i = 0; i < head.count; i++) if (!hidden(head, i, hide)) fields.add(head.name(i), head.value(i));
  if (fields.count > 0) r.channel.sendInformational(r, 103, fields);
}
