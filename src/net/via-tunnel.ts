/** Ways through tunnels and QUIC: what is kept of them from one connection to the next. Loaded when it is needed. */
import type { ViaConfig } from '../config/via-model.ts';
import type { DialLink } from './link.ts';
import type { ConnectOptions } from './transport.ts';
import type { LinkLog } from './via.ts';

export function wayTo(
  _key: string,
  config: ViaConfig,
  _address: ConnectOptions,
  link: DialLink,
  _log: LinkLog,
): DialLink {
  if (config.transport === 'quic' || config.tunnel !== null) throw new Error('not built yet');
  return link;
}
