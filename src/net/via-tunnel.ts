/**
 * Tunnels to servers: one client for each server and way, whatever generation asks, so that connections that lie idle in it are used
 * over reloads. Loaded when a configuration has a tunnel and somebody uses it.
 */
import type { ViaTunnelConfig } from '../config/via-model.ts';
import type { DialLink } from './link.ts';
import { AnyproxyTunnelClient } from './tunnel/anyproxy/client.ts';
import { TunnelClient } from './tunnel/client.ts';
import { DEFAULT_TUNNEL_CLIENT } from './tunnel/options.ts';
import type { LinkLog } from './via.ts';

interface Entry {
  client: TunnelClient | AnyproxyTunnelClient;
  /** Who may ask for it: server lines of generations that run. */
  holders: Set<object>;
}

const entries = new Map<string, Entry>();

/**
 * @param key what connections must have in common to be used for each other
 * @param holder see `letGo`
 */
export function throughTunnel(
  key: string,
  holder: object,
  config: ViaTunnelConfig,
  link: DialLink,
  log: LinkLog,
): DialLink {
  let entry = entries.get(key);
  if (entry === undefined) {
    const options = {
      ...DEFAULT_TUNNEL_CLIENT,
      maxStreamSize: config.maxStreams,
      startStreams: config.startStreams,
      minStreamCacheSize: config.minIdle,
      channelSize: config.channel,
      keys: config.keys,
    };
    const Client = config.wire === 'anyproxy' ? AnyproxyTunnelClient : TunnelClient;
    entry = { client: new Client(options, link, log), holders: new Set() };
    entries.set(key, entry);
  }
  entry.holders.add(holder);
  return entry.client.open;
}

/** A server line will not be asked for any more: tunnels that nobody else holds close their idle connections. */
export function letGo(holder: object): void {
  for (const [key, { client, holders }] of entries) {
    if (!holders.delete(holder) || holders.size > 0) continue;
    entries.delete(key);
    client.close();
  }
}
