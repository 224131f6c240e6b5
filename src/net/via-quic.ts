/** QUIC to servers, and what listening for it needs: the helpers of this thread. Loaded when somebody uses it. */
import type { ProxySslConfig } from '../config/model.ts';
import type { DialLink } from './link.ts';
import { DEFAULT_QUIC_CLIENT, QuicClient, QuicHelpers } from './quic/client.ts';
import type { ConnectOptions } from './dial.ts';
import type { LinkLog } from './via.ts';

let helpers: QuicHelpers | null = null;

/** @param log of whoever asks first: helpers outlive generations */
export function quicHelpers(log: LinkLog): QuicHelpers {
  return (helpers ??= new QuicHelpers(log));
}

const clients = new WeakMap<ProxySslConfig, QuicClient>();

/** One connection with one stream. @param text stands for the name where none is written */
export function overQuic(ssl: ProxySslConfig, address: ConnectOptions, text: string, log: LinkLog): DialLink {
  let client = clients.get(ssl);
  if (client === undefined) {
    const options = { ...DEFAULT_QUIC_CLIENT, verify: ssl.verify, trusted: ssl.trustedCertificate };
    client = new QuicClient(options, quicHelpers(log));
    clients.set(ssl, client);
  }
  const { host, port, localAddress } = address;
  return client.dial({ host, port, localAddress }, ssl.name ?? text);
}
