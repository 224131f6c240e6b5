/** `socket`: named settings of connections. */
import { SOCKET, assignments } from './keys.ts';
import type { Warn } from './keys.ts';
import type { Block } from './syntax.ts';
import { Toml } from './toml.ts';

export interface Profile {
  nodelay: boolean;
  /** Milliseconds; 0: no limit. */
  sendTimeoutMs: number;
  recvTimeoutMs: number;
  connectTimeoutMs: number;
}

const DEFAULT: Profile = { nodelay: true, sendTimeoutMs: 60_000, recvTimeoutMs: 60_000, connectTimeoutMs: 10_000 };
/** What the two editions of any-proxy call the profile that is there without being written. */
const DEFAULT_NAMES: readonly string[] = ['', 'config_1', 'config_default'];

type Protocol = 'tcp' | 'quic';

export class Profiles {
  readonly #profiles = new Map<string, Profile>();

  /** @throws {ConfigError} */
  read(block: Block, warn: Warn): void {
    for (const item of assignments(block.items, SOCKET, 1, warn)) {
      const toml = new Toml(item);
      const protocol = item.key as Protocol;
      for (const table of toml.root.tables(protocol)) {
        const key = table.has(`${protocol}_config_name`) ? `${protocol}_config_name` : `${protocol}_name`;
        const name = table.text(key);
        if (name === null) throw table.fault(`"${key}" is missing`);
        const id = `${protocol} ${name}`;
        if (this.#profiles.has(id)) throw table.fault(`profile "${name}" is there already`, key);
        const time = (what: string): number => (table.number(`${protocol}_${what}_timeout`, 0) ?? 60) * 1000;
        const nodelay = protocol === 'tcp' ? table.flag('tcp_nodelay') : null;
        this.#profiles.set(id, {
          nodelay: nodelay ?? true,
          sendTimeoutMs: time('send'),
          recvTimeoutMs: time('recv'),
          connectTimeoutMs: (table.number(`${protocol}_connect_timeout`, 0) ?? 10) * 1000,
        });
        table.skip(
          'tcp_send_buffer',
          'tcp_recv_buffer',
          'quic_default',
          'quic_upstream_ports',
          'quic_upstream_streams',
        );
        table.skip('quic_send_window', 'quic_rtt', 'quic_max_stream_bandwidth', 'quic_enable_keylog', 'quic_protocols');
        table.skip('quic_datagram_send_buffer_size', 'quic_recv_buffer_size', 'quic_send_buffer_size');
        table.end();
      }
      toml.root.end();
    }
  }

  /** @param name null: the default. @returns null: there is none of that name */
  find(protocol: Protocol, name: string | null): Profile | null {
    const found = this.#profiles.get(`${protocol} ${name ?? ''}`);
    if (found !== undefined) return found;
    const bare = (name ?? '').replace(`${protocol}_`, '');
    return DEFAULT_NAMES.includes(bare) ? DEFAULT : null;
  }
}
