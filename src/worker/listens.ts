/** Which listening address a connection would come in on. */
import type { ListenConfig, PeerAddress } from '../config/model.ts';

/** Whether a connection to `to` would come in on a listening address. */
export function listensFor({ kind, host, port }: ListenConfig, to: PeerAddress): boolean {
  if (kind === 'udp') return false;
  if (kind === 'unix' || to.family === 'unix') return kind === 'unix' && to.family === 'unix' && host === to.host;
  if (port !== to.port) return false;
  return host === to.host || host === (to.family === 6 ? '::' : '0.0.0.0');
}
