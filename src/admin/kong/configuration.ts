/** What `/` says of the settings: names as Kong has them, without secrets. */
import { type AdminAddress, type AdminConfig } from '../../config/kong/settings.ts';
import type { JsonObject } from '../../config/kong/schema.ts';
import type { Store } from '../../store/store.ts';

function listeners(list: readonly AdminAddress[]): JsonObject[] {
  return list.map(({ host, port, ssl, text }) => ({
    ip: host,
    port,
    ssl,
    http2: false,
    listener: ssl ? `${text} ssl` : text,
  }));
}

const texts = (list: readonly AdminAddress[]): string[] => list.map(({ text, ssl }) => (ssl ? `${text} ssl` : text));

export function shownConfiguration(config: AdminConfig, store: Store): JsonObject {
  const url = store.driver === 'postgres' ? new URL(config.store) : null;
  return {
    role: 'traditional',
    router_flavor: 'traditional_compatible',
    database: config.databaseless ? 'off' : store.driver,
    declarative_config: config.declarative?.file ?? null,
    admin_listen: texts(config.listens),
    admin_listeners: listeners(config.listens),
    proxy_listen: texts(config.proxyListens),
    proxy_listeners: listeners(config.proxyListens),
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
        }),
  };
}
