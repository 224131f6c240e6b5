/** Turns accepted sockets into client connections; `secure.ts` those with TLS. */
import { Http1Connection } from '../http/server/http1-connection.ts';
import type { HttpListen } from '../http/server/listen.ts';
import { addressOf } from '../net/client-address.ts';
import type { ClientAddress } from '../net/client-address.ts';
import { readProxyHeader } from '../net/proxy-header.ts';
import type { ProxyHeaderOutcome } from '../net/proxy-header.ts';
import type { ProxyProtocolInfo } from '../net/proxy-protocol.ts';
import type { Transport } from '../net/transport.ts';
import { ACCEPTED, CLOSED, traffic } from '../observe/traffic.ts';
import { http2 } from './http2.ts';

/** What becomes of a PROXY protocol header on a listening address. */
export function headerOutcome(
  listen: HttpListen,
  address: ClientAddress,
  ready: ProxyHeaderOutcome['ready'],
): ProxyHeaderOutcome {
  return {
    ready,
    failed(why) {
      traffic.row[CLOSED]!++;
      if (why !== null) listen.log('error', `${why} while reading PROXY protocol`, address.text);
    },
  };
}

/** A connection was accepted on a plain address. @param client its address, when whoever passes it on knows better */
export function acceptPlain(listen: HttpListen, transport: Transport, client: ClientAddress | null = null): void {
  traffic.row[ACCEPTED]!++;
  const { kind, proxyProtocol } = listen.config;
  const address = client ?? addressOf(transport, kind === 'unix');
  if (!proxyProtocol) {
    begin(listen, transport, address, null);
    return;
  }
  const ready = (info: ProxyProtocolInfo | null): void => begin(listen, transport, address, info);
  const timeout = listen.defaultServer.config.clientHeaderTimeoutMs;
  readProxyHeader(transport, timeout, headerOutcome(listen, address, ready));
}

function begin(listen: HttpListen, transport: Transport, address: ClientAddress, info: ProxyProtocolInfo | null): void {
  if (listen.http2) new http2!.PrefaceReader(transport, listen, address, info);
  else new Http1Connection(transport, listen, address, null, info);
}
