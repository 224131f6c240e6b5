/**
 * The proxy of the Kong door as part of a `Config`: addresses, one virtual server, one location whose handler routes by
 * Kong's entities. Made by nginx's own door, so that everything that Kong does not speak of (buffers, timeouts of clients,
 * limits of heads) has one place for its defaults.
 */
import type { Config, HttpConfig, ListenConfig, LocationConfig } from '../model.ts';
import { loadNginxConfig } from '../nginx/load.ts';
import type { StreamConfig } from '../stream-model.ts';
import { type AdminAddress, type AdminConfig, proxyCertificates } from './settings.ts';

/** The largest body that a client may send; Kong has no limit of its own. */
const CLIENT_MAX_BODY_SIZE = 0;

/** What goes to servers besides the client's own fields. `$kong_…` are known to this door's requests alone. */
const SET_HEADERS: LocationConfig['proxy']['setHeaders'] = [
  { name: 'Host', value: '$kong_host' },
  { name: 'Connection', value: '$kong_connection' },
  { name: 'Upgrade', value: '$http_upgrade' },
  { name: 'X-Forwarded-For', value: '$kong_forwarded_for' },
  { name: 'X-Forwarded-Proto', value: '$kong_forwarded_proto' },
  { name: 'X-Forwarded-Host', value: '$kong_forwarded_host' },
  { name: 'X-Forwarded-Port', value: '$kong_forwarded_port' },
  { name: 'X-Forwarded-Path', value: '$kong_forwarded_path' },
  { name: 'X-Forwarded-Prefix', value: '$kong_forwarded_prefix' },
  { name: 'X-Real-IP', value: '$remote_addr' },
  { name: 'X-Kong-Request-Id', value: '$kong_request_id' },
];

/**
 * Adds the proxy that `admin` asks for to a configuration.
 *
 * @returns the same one when there is nothing to add
 */
export async function withKongProxy(config: Config): Promise<Config> {
  const { admin } = config;
  if (admin == null || (admin.proxyListens.length === 0 && admin.streamListens.length === 0)) return config;
  const own = await proxyConfig(admin, config.prefix);
  return {
    ...config,
    http: config.http === null || own.http === null ? (config.http ?? own.http) : joined(config.http, own.http),
    stream:
      config.stream === null || own.stream === null ? (config.stream ?? own.stream) : joined(config.stream, own.stream),
  };
}

const addressOf = ({ host, port }: AdminAddress): string => `${host.includes(':') ? `[${host}]` : host}:${port}`;

/** @param prefix what temporary files are below */
async function proxyConfig(admin: AdminConfig, prefix: string): Promise<Pick<Config, 'http' | 'stream'>> {
  const pairs = proxyCertificates(admin);
  // Files that the text names; they are nowhere but here.
  const files = new Map(
    pairs.flatMap(({ cert, key }, i): [string, string][] => [
      [`/proxy-${i}.crt`, cert],
      [`/proxy-${i}.key`, key],
    ]),
  );
  const certificates = pairs.map((_, i) => `ssl_certificate /proxy-${i}.crt; ssl_certificate_key /proxy-${i}.key;`);
  const server = (listens: readonly AdminAddress[], lines: readonly string[]): string => {
    if (listens.length === 0) return '';
    const secure = listens.some(({ ssl }) => ssl) ? certificates : [];
    const addresses = listens.map(
      (listen) =>
        `listen ${addressOf(listen)}${listen.ssl ? ' ssl' : ''}${listen.http2 ? ' http2' : ''}${listen.udp ? ' udp' : ''}${listen.proxyProtocol ? ' proxy_protocol' : ''};`,
    );
    return `server { ${[...addresses, ...secure, ...lines].join(' ')} }`;
  };
  const { from, header, recursive } = admin.realIp;
  const trusted = from.map((network) => `set_real_ip_from ${network};`);
  const http = server(admin.proxyListens, [
    ...trusted,
    `real_ip_header ${header}; real_ip_recursive ${recursive ? 'on' : 'off'};`,
    `client_max_body_size ${CLIENT_MAX_BODY_SIZE};`,
    // Where the settings of services of gRPC come from.
    'location /grpc { grpc_pass 127.0.0.1:9; }',
  ]);
  // Where the settings of services of TCP, TLS and UDP come from.
  const target = [...trusted, 'proxy_pass 127.0.0.1:9; proxy_ssl on;'].join(' ');
  const plain = admin.streamListens.filter(({ ssl }) => !ssl);
  const secure = admin.streamListens.filter(({ ssl }) => ssl);
  const stream = server(plain, [target]) + server(secure, [target, 'ssl_preread on;']);
  const text = [
    'events {}',
    http === '' ? '' : `http { access_log off; ${http} }`,
    stream === '' ? '' : `stream { ${stream} }`,
  ].join(' ');
  const { config } = await loadNginxConfig({
    prefix,
    file: '/kong',
    cpuCount: 1,
    superUser: false,
    lookup: async () => [],
    readFile: (file) => files.get(file) ?? text,
    glob: () => [],
  });
  if (config.http !== null) prepareHttp(config.http);
  if (config.stream !== null) prepareStream(config.stream);
  return config;
}

function prepareHttp(http: HttpConfig): void {
  const { root } = http.servers[0]!;
  root.handler = { kind: 'kong' };
  root.proxy.httpVersion = '1.1';
  root.proxy.setHeaders = SET_HEADERS;
  root.proxy.passHeaders = ['Server', 'Date'];
  root.proxy.redirects = [];
  root.grpc = root.locations[0]!.grpc!;
  root.grpc.setHeaders = SET_HEADERS;
  root.grpc.passHeaders = ['Server', 'Date'];
  root.locations = [];
  http.upstreams = [];
}

function prepareStream(stream: StreamConfig): void {
  for (const server of stream.servers) server.handler = { kind: 'kong' };
  stream.upstreams = [];
}

/** Beside the servers of an nginx.conf. */
function joined<C extends HttpConfig | StreamConfig>(those: C, own: C): C {
  const before = those.servers.length;
  const listens = own.listens.map((listen): ListenConfig => {
    const servers = listen.servers.map((i) => i + before);
    return { ...listen, servers, defaultServer: listen.defaultServer + before };
  });
  return { ...those, servers: [...those.servers, ...own.servers], listens: [...those.listens, ...listens] };
}
