/**
 * The proxy of the Kong door as part of a `Config`: addresses, one virtual server, one location whose handler routes by
 * Kong's entities. Made by nginx's own door, so that everything that Kong does not speak of (buffers, timeouts of clients,
 * limits of heads) has one place for its defaults.
 */
import type { Config, HttpConfig, ListenConfig, LocationConfig } from '../model.ts';
import { loadNginxConfig } from '../nginx/load.ts';
import type { AdminAddress, AdminConfig } from './settings.ts';

/** The largest body that a client may send; Kong has no limit of its own. */
const CLIENT_MAX_BODY_SIZE = 0;

/** What goes to servers besides the client's own fields. `$kong_…` are known to this door's requests alone. */
const SET_HEADERS: LocationConfig['proxy']['setHeaders'] = [
  { name: 'Host', value: '$kong_host' },
  { name: 'Connection', value: '$kong_connection' },
  { name: 'Upgrade', value: '$http_upgrade' },
  { name: 'X-Forwarded-For', value: '$proxy_add_x_forwarded_for' },
  { name: 'X-Forwarded-Proto', value: '$scheme' },
  { name: 'X-Forwarded-Host', value: '$host' },
  { name: 'X-Forwarded-Port', value: '$server_port' },
  { name: 'X-Forwarded-Path', value: '$kong_path' },
  { name: 'X-Forwarded-Prefix', value: '$kong_prefix' },
  { name: 'X-Real-IP', value: '$remote_addr' },
];

/**
 * Adds the proxy that `admin` asks for to a configuration.
 *
 * @returns the same one when there is nothing to add
 */
export async function withKongProxy(config: Config): Promise<Config> {
  const { admin } = config;
  if (admin == null || proxied(admin).length === 0) return config;
  const own = await proxyConfig(proxied(admin), admin);
  return { ...config, http: config.http === null ? own : joined(config.http, own) };
}

/** Addresses with `ssl` need a certificate. */
export function proxied({ proxyListens, tls }: AdminConfig): AdminAddress[] {
  return proxyListens.filter(({ ssl }) => !ssl || tls !== null);
}

/** Files that the text names; they are nowhere but here. */
const CERTIFICATE = '/proxy.crt';
const KEY = '/proxy.key';

async function proxyConfig(listens: readonly AdminAddress[], { tls }: AdminConfig): Promise<HttpConfig> {
  const lines = listens.map(
    ({ host, port, ssl }) => `listen ${host.includes(':') ? `[${host}]` : host}:${port}${ssl ? ' ssl' : ''};`,
  );
  if (listens.some(({ ssl }) => ssl)) lines.push(`ssl_certificate ${CERTIFICATE}; ssl_certificate_key ${KEY};`);
  lines.push(`client_max_body_size ${CLIENT_MAX_BODY_SIZE};`);
  const text = `events {} http { access_log off; server { ${lines.join(' ')} } }`;
  const { config } = await loadNginxConfig({
    prefix: '/',
    file: '/kong',
    cpuCount: 1,
    superUser: false,
    lookup: async () => [],
    readFile: (file) => (file === CERTIFICATE ? (tls?.cert ?? '') : file === KEY ? (tls?.key ?? '') : text),
    glob: () => [],
  });
  const http = config.http!;
  const { root } = http.servers[0]!;
  root.handler = { kind: 'kong' };
  root.proxy.httpVersion = '1.1';
  root.proxy.setHeaders = SET_HEADERS;
  root.proxy.passHeaders = ['Server', 'Date'];
  root.proxy.redirects = [];
  return http;
}

/** Beside the servers of an nginx.conf. */
function joined(http: HttpConfig, own: HttpConfig): HttpConfig {
  const before = http.servers.length;
  const listens = own.listens.map((listen): ListenConfig => {
    const servers = listen.servers.map((i) => i + before);
    return { ...listen, servers, defaultServer: listen.defaultServer + before };
  });
  return { ...http, servers: [...http.servers, ...own.servers], listens: [...http.listens, ...listens] };
}
