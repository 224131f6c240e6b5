/** Caddy, one core's worth of goroutines. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isHttp2 } from '../lib/scenarios.ts';
import { versionOf } from '../lib/version.ts';
import { KEEPALIVE } from './nginx-conf.ts';
import type { Proxy, Setup } from './types.ts';

export const caddy: Proxy = {
  name: 'caddy',
  kind: 'native',
  install: 'apt install caddy',
  measureStart: false,
  speaks: ['http2', 'grpc'],
  version: () => versionOf('caddy', ['version'], /^v?(\S+)/),
  prepare: (setup) => ({
    file: 'caddy',
    args: ['run', '--config', writeConfiguration(setup)],
    env: { GOMAXPROCS: '1', XDG_CONFIG_HOME: setup.directory, XDG_DATA_HOME: setup.directory },
  }),
};

function writeConfiguration(setup: Setup): string {
  const { directory, port, tls, servers, protocol } = setup;
  const versions = protocol === 'grpc' ? { versions: ['h2c', '2'] } : {};
  const proxy = {
    handler: 'reverse_proxy',
    load_balancing: { selection_policy: { policy: 'round_robin' } },
    transport: { protocol: 'http', ...versions, keep_alive: { max_idle_conns_per_host: KEEPALIVE } },
    upstreams: servers.map((dial) => ({ dial })),
  };
  const server = {
    listen: [`127.0.0.1:${port}`],
    protocols: isHttp2(setup) ? ['h1', tls ? 'h2' : 'h2c'] : ['h1'],
    automatic_https: { disable: true },
    routes: [{ handle: [proxy] }],
    ...(tls ? { tls_connection_policies: [{}] } : {}),
  };
  const configuration = {
    admin: { disabled: true, config: { persist: false } },
    logging: { logs: { default: { writer: { output: 'stderr' }, level: 'ERROR' } } },
    apps: {
      http: { servers: { clients: server } },
      ...(tls ? { tls: { certificates: { load_files: [tls] } } } : {}),
    },
  };
  const file = join(directory, 'caddy.json');
  writeFileSync(file, JSON.stringify(configuration));
  return file;
}
