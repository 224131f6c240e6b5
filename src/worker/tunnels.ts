/** Where tunnels come in: one for each listening address that accepts them, over all reloads. */
import type { TunnelServerConfig } from '../config/via-model.ts';
import type { TunnelGate } from '../net/accept-opening.ts';
import type { TunnelServer } from '../net/tunnel/server.ts';
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
  const { TunnelServer: Server } = await import('../net/tunnel/server.ts');
  const { DEFAULT_TUNNEL_SERVER } = await import('../net/tunnel/options.ts');
  // Connections look at it when they begin: what changes here holds for those that come.
  const options = { ...DEFAULT_TUNNEL_SERVER, keys: listen.runtime.defaultServer.config.tunnel.keys };
  const gate: TunnelServer = new Server(
    options,
    (socket, first) => acceptInner(listen, socket, first),
    (level, text) => listen.runtime.defaultServer.log.write(level, text),
  );
  return {
    gate,
    follow: ({ keys }) => void (options.keys = keys),
    close: () => gate.close(),
  };
}
