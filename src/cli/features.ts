/**
 * What is built: `-V` prints it as the configure arguments of an nginx that can do the same, which is how
 * nginx's own tests and many scripts ask what a binary can do. Flip `built` when a feature comes.
 */

export interface Feature {
  /** As in nginx's configure options, without `--with-`/`--without-`. */
  name: string;
  /** `with`: printed as `--with-NAME` when built. `without`: printed as `--without-NAME` when not built. */
  flag: 'with' | 'without';
  built: boolean;
}

function optional(name: string, built: boolean): Feature {
  return { name, flag: 'with', built };
}

/** nginx has it unless told otherwise. */
function standard(name: string, built: boolean): Feature {
  return { name, flag: 'without', built };
}

export const FEATURES: readonly Feature[] = [
  optional('debug', true),
  optional('http_ssl_module', true),
  optional('http_realip_module', true),
  optional('http_stub_status_module', true),
  optional('http_v2_module', true),
  optional('http_v3_module', false),
  optional('http_auth_request_module', true),
  optional('http_sub_module', true),
  optional('http_addition_module', true),
  optional('http_slice_module', true),
  optional('http_gzip_static_module', true),
  optional('http_gunzip_module', true),
  optional('http_secure_link_module', false),
  optional('stream', true),
  optional('stream_ssl_module', true),
  optional('stream_ssl_preread_module', true),
  optional('stream_realip_module', true),

  standard('http_proxy_module', true),
  standard('http_rewrite_module', true),
  standard('http_map_module', true),
  standard('http_upstream_hash_module', true),
  standard('http_upstream_ip_hash_module', true),
  standard('http_upstream_least_conn_module', true),
  standard('http_upstream_least_time_module', true),
  standard('http_upstream_random_module', true),
  standard('http_upstream_keepalive_module', true),
  standard('http_upstream_zone_module', true),
  standard('http_upstream_sticky_module', true),
  standard('http_ssi_module', true),
  standard('http_geo_module', true),
  standard('http_gzip_module', true),
  standard('http_charset_module', true),
  standard('http_access_module', true),
  standard('http_auth_basic_module', true),
  standard('http_fastcgi_module', true),
  standard('http_uwsgi_module', true),
  standard('http_scgi_module', true),
  standard('http_grpc_module', true),
  standard('http_memcached_module', true),
  standard('http_limit_conn_module', true),
  standard('http_limit_req_module', true),
  standard('http_mirror_module', true),
  standard('http_split_clients_module', true),
  standard('http_referer_module', true),
  standard('http_userid_module', false),
  standard('http_autoindex_module', false),
  standard('http_browser_module', false),
  standard('http_empty_gif_module', false),
  standard('http_tunnel_module', true),
  standard('http-cache', true),
  standard('stream_access_module', true),
  standard('stream_geo_module', true),
  standard('stream_limit_conn_module', true),
  standard('stream_map_module', true),
  standard('stream_pass_module', true),
  standard('stream_return_module', true),
  standard('stream_set_module', true),
  standard('stream_split_clients_module', true),
  standard('stream_upstream_hash_module', true),
  standard('stream_upstream_least_conn_module', true),
  standard('stream_upstream_least_time_module', true),
  standard('stream_upstream_random_module', true),
  standard('stream_upstream_zone_module', true),
];

/** `--with-…` of what is built beyond nginx's standard, `--without-…` of the standard things that are missing. */
export function configureArguments(features: readonly Feature[] = FEATURES): string[] {
  return features.flatMap(({ name, flag, built }) => {
    if (flag === 'with') return built ? [`--with-${name}`] : [];
    return built ? [] : [`--without-${name}`];
  });
}
