/** Exchanges that go on without their client: what is fetched for a cache or a store is fetched to its end. */
import { detach, traceOf } from '../detached.ts';
import type { Exchange } from './exchange.ts';

/** The client's request is over, or will be in a moment: from now on the exchange works for a copy of it. */
export function leaveClient(exchange: Exchange): void {
  const { r, relay, session } = exchange;
  const copy = detach(r);
  r.upstream = traceOf(r);
  if (r.producer === exchange) r.producer = null;
  if (relay.head !== null && r.block === relay.head) r.block = r.upstream!.head;
  copy.headSent = true;
  copy.cacheStatus = r.cacheStatus;
  copy.upstream = exchange;
  exchange.r = copy;
  exchange.sender.r = copy;
  if (session !== null) session.r = copy;
  exchange.detached = true;
  relay.buffering.mute();
}

/** Such an exchange is over: what it held of its generation is given back. */
export function endDetached(exchange: Exchange): void {
  const { family } = exchange.r;
  exchange.detached = false;
  exchange.r.upstream = null;
  exchange.release();
  family?.onIdle?.();
}

/** It has brought nothing to keep. */
export function abandonDetached(exchange: Exchange): void {
  exchange.giveUp(false);
  endDetached(exchange);
}
