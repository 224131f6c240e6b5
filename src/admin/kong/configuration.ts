/** What `/` says of the settings: names as Kong has them, without secrets. */
import { type AdminAddress, type AdminConfig } from '../../config/kong/settings.ts';
import type { JsonObject } from '../../config/kong/schema.ts';
import type { Store } from '../../store/store.ts';

const wordsOf = ({ text, ssl, http2, udp, proxyProtocol }: AdminAddress): string =>
  [text, ssl && 'ssl', http2 && 'http2', udp && 'udp', proxyProtocol && 'proxy_protocol']
    .filter((word) => word !== false)
    .join(' ');

function listeners(list: readonly AdminAddress[]): JsonObject[] {
  return list.map((address) => {
    const { host, port, ssl, http2, udp, proxyProtocol } = address;
    return { ip: host, port, ssl, http2, udp, proxy_protocol: proxyProtocol, listener: wordsOf(address) };
  });
}

export function shownConfiguration(config: AdminConfig, store: Store): JsonObject {
  const url = store.driver === 'postgres' ? new URL(config.store) : null;
  return {
    role: 'traditional',
    router_flavor: 'traditional_compatible',
    database: config.databaseless ? 'off' : store.driver,
    declarative_config: config.declarative?.file ?? null,
    admin_listen: config.listens.map(wordsOf),
    admin_listeners: listeners(config.listens),
    proxy_listen: config.proxyListens.map(wordsOf),
    proxy_listeners: listeners(config.proxyListens),
    stream_listen: config.streamListens.map(wordsOf),
    stream_listeners: listeners(config.streamListens),
    status_listen: config.statusListens.map(wordsOf),
    status_listeners: listeners(config.statusListens),
    trusted_ips: config.realIp.from,
    real_ip_header: config.realIp.header,
    real_ip_recursive: config.realIp.recursive ? 'on' : 'off',
    // Kong's own manager is served by somebody else, if at all.
    admin_gui_listen: [],
    admin_gui_listeners: [],
    admin_gui_origin: config.origins,
    prefix: config.dataDir,
    plugins: [],
    loaded_plugins: {},
    ...(url === null
      ? {}
      : {
          pg_host: url.searchParams.get('host') ?? url.hostname,
          pg_port: Number(url.port || 5432),
          pg_user: decodeURIComponent(url.username),
          pg_database: decodeURIComponent(url.pathname.slice(1)),
          pg_password: '******',
          pg_ssl: /^(?:require|prefer|verify|no-verify)/.test(url.searchParams.get('sslmode') ?? ''),
        }),
  };
}
