/** An address where tunnels of both kinds are accepted: from trusted addresses only, for any-proxy's know no keys. */
import type { Buffer } from 'node:buffer';
import { MAGIC_MORE, MAGIC_NONE } from '../../magic.ts';
import type { Transport } from '../../transport.ts';
import type { TunnelServer } from '../server.ts';
import type { AnyproxyTunnelServer } from './server.ts';

export class BothTunnels {
  /** No key opens what asks for none. */
  readonly options: { readonly keys: readonly unknown[] } = { keys: [] };
  readonly #own: TunnelServer;
  readonly #anyproxy: AnyproxyTunnelServer;

  constructor(own: TunnelServer, anyproxy: AnyproxyTunnelServer) {
    this.#own = own;
    this.#anyproxy = anyproxy;
  }

  /** Whether bytes begin a connection of a tunnel, as `sniffMagic`. */
  sniff(buf: Buffer, start: number, end: number): number {
    const own = this.#own.sniff(buf, start, end);
    if (own > 0) return own;
    const anyproxy = this.#anyproxy.sniff(buf, start, end);
    if (anyproxy > 0) return anyproxy;
    return own === MAGIC_MORE || anyproxy === MAGIC_MORE ? MAGIC_MORE : MAGIC_NONE;
  }

  /** @param first what was read of it; enough to tell which kind it is */
  accept(transport: Transport, first: Buffer): void {
    const own = this.#own.sniff(first, 0, first.length) > 0;
    (own ? this.#own : this.#anyproxy).accept(transport, first);
  }

  close(): void {
    this.#own.close();
    this.#anyproxy.close();
  }
}
