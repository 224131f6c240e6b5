/** Ways to servers that need more than Node itself. */
import type { Config } from '../config/model.ts';
import { ConfigRefused } from './load-config.ts';

/** @throws {ConfigRefused} for what cannot be had here */
export function checkTransports({ http, stream }: Config): void {
  for (const { servers } of [...(http?.upstreams ?? []), ...(stream?.upstreams ?? [])]) {
    for (const { via, server, place } of servers) {
      if (via === undefined || (via.tunnel?.wire !== 'anyproxy' && via.transport !== 'quic')) continue;
      throw new ConfigRefused([`server "${server}" cannot be reached so yet in ${place.file}:${place.line}`]);
    }
  }
  for (const { tunnel, place } of stream?.servers ?? []) {
    if (tunnel.wire === 'headrace') continue;
    throw new ConfigRefused([`tunnel_wire "${tunnel.wire}" is not built yet in ${place.file}:${place.line}`]);
  }
  for (const { address, quic } of stream?.listens ?? []) {
    if (quic === true) throw new ConfigRefused([`QUIC on "${address}" is not built yet`]);
  }
}
