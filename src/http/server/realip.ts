/**
 * `set_real_ip_from`: behind trusted proxies the client's address is the one that they pass on
 * (ngx_http_realip_module). The connection's own address stays in `r.channel.peer`.
 */
import type { RealipConfig } from '../../config/model.ts';
import { NetworkList, parseAddress } from '../../net/networks.ts';
import type { ClientAddress, HttpRequest } from '../request.ts';
import { H } from '../wire/known.ts';

const OK = 0;
/** The present address is not trusted, or what stands in the field is no address: nothing was taken. */
const DECLINED = 1;
/** As `DECLINED`, after some addresses were taken. */
const DONE = 2;

/** Walks a list of addresses from its end. One walk at a time: the result stands in `address`. */
class Walk {
  address!: ClientAddress;

  run(list: string, trusted: NetworkList, recursive: boolean): number {
    let end = list.length;
    let found = false;
    do {
      if (!trusted.has(this.address.bytes)) return found ? DONE : DECLINED;
      while (end > 1 && (list[end - 1] === ' ' || list[end - 1] === ',')) end--;
      let start = end;
      while (start > 0 && list[start - 1] !== ' ' && list[start - 1] !== ',') start--;
      const next = parseAddress(list.slice(start, end));
      if (next === null) return found ? DONE : DECLINED;
      this.address = next;
      found = true;
      end = start - 1;
    } while (recursive && end > 0);
    return OK;
  }
}

const walk = new Walk();

/**
 * The address that trusted proxies pass on in `X-Forwarded-For`, beginning with `from` (ngx_http_get_forwarded_addr);
 * null: `from` is not trusted, or nothing is passed on.
 */
function forwardedClient(
  r: HttpRequest,
  from: ClientAddress,
  trusted: NetworkList,
  recursive: boolean,
): ClientAddress | null {
  const id = H['x-forwarded-for'];
  if (!r.head.has(id)) return null;
  // Several fields are one list: the last one is looked at first.
  const lists: string[] = [];
  for (let i = r.head.first(id); i >= 0; i = r.head.next(i)) lists.push(r.head.value(i));
  walk.address = from;
  let result = DECLINED;
  for (let i = lists.length - 1; i >= 0; i--) {
    const outcome = walk.run(lists[i]!, trusted, recursive);
    if (outcome !== DECLINED) result = outcome;
    if (!recursive || outcome !== OK) break;
  }
  return result === DECLINED ? null : walk.address;
}

/** As `forwardedClient`, for addresses as bytes. */
export function forwardedFor(
  r: HttpRequest,
  from: Uint8Array,
  trusted: NetworkList,
  recursive: boolean,
): Uint8Array | null {
  return forwardedClient(r, { text: '', port: 0, bytes: from }, trusted, recursive)?.bytes ?? null;
}

// ------------------------------------------------------------------------------------------------ the phase

/**
 * Compiles the realip directives of a location.
 *
 * @returns a function that replaces `r.client`, once a request; null when there is nothing to trust
 */
export function compileRealip(config: RealipConfig): ((r: HttpRequest) => void) | null {
  if (config.from.length === 0) return null;
  const trusted = new NetworkList(config.from);
  const header = (config.header ?? 'x-real-ip').toLowerCase();
  const { recursive } = config;

  const take = (r: HttpRequest, list: string): void => {
    walk.address = r.client;
    if (walk.run(list, trusted, recursive) !== DECLINED) r.client = walk.address;
  };

  if (header === 'proxy_protocol') {
    return (r) => {
      if (r.client !== r.channel.peer) return;
      const info = r.channel.proxyProtocol;
      if (info === null || info === undefined) return;
      take(r, info.sourceAddress);
      if (r.client !== r.channel.peer) r.client = { ...r.client, port: info.sourcePort };
    };
  }

  if (header === 'x-forwarded-for') {
    return (r) => {
      if (r.client !== r.channel.peer) return;
      const found = forwardedClient(r, r.client, trusted, recursive);
      if (found !== null) r.client = found;
    };
  }

  const id = (H as Readonly<Record<string, number | undefined>>)[header];
  if (id !== undefined) {
    return (r) => {
      if (r.client !== r.channel.peer) return;
      const value = r.head.get(id);
      if (value !== null) take(r, value);
    };
  }
  return (r) => {
    if (r.client !== r.channel.peer) return;
    const i = r.head.find(header);
    if (i >= 0) take(r, r.head.value(i));
  };
}
