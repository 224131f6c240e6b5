/** Where tunnels come in: one for each listening address that accepts them, over all reloads. */
import type { TunnelKeyConfig, TunnelServerConfig } from '../config/via-model.ts';
import type { TunnelGate } from '../net/accept-opening.ts';
import type { PipeSocket } from '../net/pipe.ts';
import type { Transport } from '../net/transport.ts';
import type { LinkLog } from '../net/via.ts';
import { acceptInner } from '../stream/accept.ts';
import type { StreamListen } from '../stream/listen.ts';

export interface TunnelDoor {
  readonly gate: TunnelGate;
  /** A generation that has come says who may come in. */
  follow(config: TunnelServerConfig): void;
  /** No new streams; those under way go on. */
  close(): void;
}

/** Tunnels are loaded now. */
export async function openTunnels(listen: StreamListen): Promise<TunnelDoor> {
  const { wire, keys } = listen.runtime.defaultServer.config.tunnel;
  const { TunnelServer } = await import('../net/tunnel/server.ts');
  const { DEFAULT_TUNNEL_SERVER } = await import('../net/tunnel/options.ts');
  const onStream = (socket: PipeSocket, first: Transport): void => acceptInner(listen, socket, first);
  const log: LinkLog = (level, text) => listen.runtime.defaultServer.log.write(level, text);
  // Connections look at it when they begin: what changes here holds for those that come.
  const options = { ...DEFAULT_TUNNEL_SERVER, keys };
  const follow = (config: { keys: TunnelKeyConfig[] }): void => void (options.keys = config.keys);
  if (wire === 'headrace') {
    const gate = new TunnelServer(options, onStream, log);
    return { gate, follow, close: () => gate.close() };
  }
  const { AnyproxyTunnelServer } = await import('../net/tunnel/anyproxy/server.ts');
  const anyproxy = new AnyproxyTunnelServer({ ...DEFAULT_TUNNEL_SERVER, keys: [] }, onStream, log);
  if (wire === 'anyproxy') return { gate: anyproxy, follow, close: () => anyproxy.close() };
  const { BothTunnels } = await import('../net/tunnel/anyproxy/both.ts');
  const both = new BothTunnels(new TunnelServer(options, onStream, log), anyproxy);
  return { gate: both, follow, close: () => both.close() };
}
