/** Ways to servers, and to us, that need more than Node itself. */
import type { Config } from '../config/model.ts';
import { ConfigRefused } from './load-config.ts';

/** @throws {ConfigRefused} for what cannot be had here */
export async function checkTransports({ http, stream }: Config): Promise<void> {
  let quic = '';
  for (const { servers } of [...(http?.upstreams ?? []), ...(stream?.upstreams ?? [])]) {
    for (const { via, server, place } of servers) {
      if (via === undefined) continue;
      if (via.transport === 'quic' && quic === '') quic = `server "${server}" in ${place.file}:${place.line}`;
    }
  }
  for (const listen of stream?.listens ?? []) {
    if (listen.quic === true && quic === '') quic = `"listen ${listen.address} quic"`;
  }
  if (quic === '') return;
  const { findQuicBinary } = await import('../net/quic/package.ts');
  try {
    findQuicBinary();
  } catch (error) {
    throw new ConfigRefused([`${quic}: ${(error as Error).message}`]);
  }
}
