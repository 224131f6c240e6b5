/**
 * Which variables exist: those built in, and those that `set`, `map` and named groups define.
 *
 * nginx looks names up when everything is read, so a value may use what is defined further down; what nobody defined
 * is `unknown "name" variable`.
 */
import { ConfigError, at } from '../errors.ts';
import type { Place } from '../model.ts';
import { hasVariables, splitValue } from '../value.ts';
import { compilePattern } from '../pcre.ts';
import type { RegexText } from '../model.ts';
import type { Conf } from './parser.ts';
import { slot } from './scope.ts';

/** Of TLS to the client. */
const TLS_VARIABLES: readonly string[] = [
  'ssl_protocol',
  'ssl_cipher',
  'ssl_ciphers',
  'ssl_curve',
  'ssl_curves',
  'ssl_sigalg',
  'ssl_sigalgs',
  'ssl_session_id',
  'ssl_session_reused',
  'ssl_early_data',
  'ssl_server_name',
  'ssl_alpn_protocol',
  'ssl_ech_status',
  'ssl_ech_outer_server_name',
  'ssl_client_cert',
  'ssl_client_raw_cert',
  'ssl_client_escaped_cert',
  'ssl_client_s_dn',
  'ssl_client_i_dn',
  'ssl_client_s_dn_legacy',
  'ssl_client_i_dn_legacy',
  'ssl_client_serial',
  'ssl_client_fingerprint',
  'ssl_client_verify',
  'ssl_client_v_start',
  'ssl_client_v_end',
  'ssl_client_v_remain',
  'ssl_client_sigalg',
];

/** Names of http variables without `$`. The runtime implements each (a test compares). */
export const HTTP_VARIABLES: readonly string[] = [
  // http core: the request
  'http_host',
  'http_user_agent',
  'http_referer',
  'http_via',
  'http_x_forwarded_for',
  'http_cookie',
  'content_length',
  'content_type',
  'host',
  'binary_remote_addr',
  'remote_addr',
  'remote_port',
  'proxy_protocol_addr',
  'proxy_protocol_port',
  'proxy_protocol_server_addr',
  'proxy_protocol_server_port',
  'server_addr',
  'server_port',
  'server_protocol',
  'scheme',
  'https',
  'request_port',
  'is_request_port',
  'request_uri',
  'uri',
  'document_uri',
  'request',
  'document_root',
  'realpath_root',
  'query_string',
  'args',
  'is_args',
  'request_filename',
  'server_name',
  'request_method',
  'remote_user',
  'request_body',
  'request_body_file',
  'request_length',
  'request_time',
  'request_id',
  'request_completion',
  'limit_rate',
  'pipe',
  // http core: the response
  'bytes_sent',
  'body_bytes_sent',
  'status',
  'sent_http_content_type',
  'sent_http_content_length',
  'sent_http_location',
  'sent_http_last_modified',
  'sent_http_connection',
  'sent_http_keep_alive',
  'sent_http_transfer_encoding',
  'sent_http_cache_control',
  'sent_http_link',
  'gzip_ratio',
  'date_gmt',
  'date_local',
  // the connection and the process
  'connection',
  'connection_requests',
  'connection_time',
  'tcpinfo_rtt',
  'tcpinfo_rttvar',
  'tcpinfo_snd_cwnd',
  'tcpinfo_rcv_space',
  'connections_active',
  'connections_reading',
  'connections_writing',
  'connections_waiting',
  'http2',
  'nginx_version',
  'hostname',
  'pid',
  'msec',
  'time_iso8601',
  'time_local',
  // upstream and proxy
  'upstream_addr',
  'upstream_status',
  'upstream_connect_time',
  'upstream_header_time',
  'upstream_response_time',
  'upstream_response_length',
  'upstream_bytes_received',
  'upstream_bytes_sent',
  'upstream_cache_status',
  'upstream_cache_last_modified',
  'upstream_cache_etag',
  'slice_range',
  'upstream_queue_time',
  'upstream_last_server_name',
  'upstream_last_addr',
  'proxy_host',
  'proxy_port',
  'proxy_add_x_forwarded_for',
  'proxy_add_via',
  'proxy_internal_body_length',
  'proxy_internal_chunked',
  // FastCGI
  'fastcgi_script_name',
  'fastcgi_path_info',
  // realip
  'realip_remote_addr',
  'realip_remote_port',
  // who may come in
  'invalid_referer',
  'limit_req_status',
  'limit_conn_status',
  ...TLS_VARIABLES,
];

/** Families of variables: any name that begins so. */
export const HTTP_VARIABLE_PREFIXES: readonly string[] = [
  'http_',
  'sent_http_',
  'sent_trailer_',
  'cookie_',
  'arg_',
  'upstream_http_',
  'upstream_trailer_',
  'upstream_cookie_',
  'proxy_protocol_tlv_',
];

/** Names of stream variables without `$`. The runtime implements each (a test compares). */
export const STREAM_VARIABLES: readonly string[] = [
  'binary_remote_addr',
  'remote_addr',
  'remote_port',
  'proxy_protocol_addr',
  'proxy_protocol_port',
  'proxy_protocol_server_addr',
  'proxy_protocol_server_port',
  'server_addr',
  'server_port',
  'server_name',
  'bytes_sent',
  'bytes_received',
  'session_time',
  'status',
  'connection',
  'protocol',
  'nginx_version',
  'hostname',
  'pid',
  'msec',
  'time_iso8601',
  'time_local',
  'upstream_addr',
  'upstream_bytes_sent',
  'upstream_bytes_received',
  'upstream_connect_time',
  'upstream_first_byte_time',
  'upstream_session_time',
  'upstream_last_addr',
  'upstream_last_server_name',
  'realip_remote_addr',
  'realip_remote_port',
  'ssl_preread_protocol',
  'ssl_preread_server_name',
  'ssl_preread_alpn_protocols',
  'preread_data',
  'hello_domain',
  'hello_request_id',
  'limit_conn_status',
  ...TLS_VARIABLES.filter((name) => name !== 'ssl_early_data'),
];

export const STREAM_VARIABLE_PREFIXES: readonly string[] = ['proxy_protocol_tlv_'];

/** Built-in variables that `set`, `map` and named groups may define anew. */
function isChangeable(name: string): boolean {
  return (
    name === 'args' ||
    name === 'limit_rate' ||
    name === 'invalid_referer' ||
    (/^ssl_|^proxy_(host|port)$/.test(name) && !name.startsWith('ssl_preread_'))
  );
}

/** Variables of one protocol block; a slot of its main level. */
export interface VariableTable {
  builtin: ReadonlySet<string>;
  prefixes: readonly string[];
  defined: Set<string>;
  /** First use of every name. */
  used: Map<string, Place | null>;
}

/** The variables of stream. */
export function streamVariables(): VariableTable {
  return {
    builtin: new Set(STREAM_VARIABLES),
    prefixes: STREAM_VARIABLE_PREFIXES,
    defined: new Set(),
    used: new Map(),
  };
}

export const variableSlot = slot<VariableTable>('variables', () => ({
  builtin: new Set(HTTP_VARIABLES),
  prefixes: HTTP_VARIABLE_PREFIXES,
  defined: new Set(),
  used: new Map(),
}));

/**
 * Notes that a variable is used.
 *
 * @param name without `$`
 * @throws {ConfigError} if the name is empty
 */
export function useVariable(cf: Conf, name: string): string {
  if (name === '') throw cf.error('invalid variable name "$"');
  const lower = name.toLowerCase();
  const { used } = cf.scope.main.get(variableSlot);
  if (!used.has(lower)) used.set(lower, cf.place);
  return lower;
}

/**
 * Defines a variable.
 *
 * @param name without `$`
 * @returns the name in lower case
 * @throws {ConfigError} if it is built in and may not be changed
 */
export function defineVariable(cf: Conf, name: string): string {
  if (name === '') throw cf.error('invalid variable name "$"');
  const lower = name.toLowerCase();
  const vars = cf.scope.main.get(variableSlot);
  if (vars.builtin.has(lower) && !isChangeable(lower)) throw cf.error(`the duplicate "${name}" variable`);
  vars.defined.add(lower);
  return lower;
}

/**
 * Checks a value and notes the variables in it.
 *
 * @throws {ConfigError} if it is not well-formed
 */
export function checkValue(cf: Conf, text: string): string {
  if (!hasVariables(text)) return text;
  const result = splitValue(text);
  if (!result.ok) throw cf.error(result.error);
  for (const part of result.parts) {
    if (part.kind === 'variable') useVariable(cf, part.name);
  }
  return text;
}

/**
 * Checks a regular expression and defines its named groups as variables.
 *
 * @throws {ConfigError} in the words of `pcre2_compile`
 */
export function checkRegex(cf: Conf, pattern: string, caseless: boolean): RegexText {
  const regex = { pattern, caseless };
  const result = compilePattern(regex);
  if (!result.ok) throw cf.error(result.error);
  for (const name of result.names) {
    useVariable(cf, defineVariable(cf, name));
  }
  return regex;
}

/** @throws {ConfigError} of the first name that nobody defined */
export function checkVariables(vars: VariableTable): void {
  for (const [name, place] of vars.used) {
    if (vars.builtin.has(name) || vars.defined.has(name)) continue;
    if (vars.prefixes.some((prefix) => name.startsWith(prefix))) continue;
    const where = place === null ? '' : ` (used${at(place)})`;
    throw new ConfigError(`unknown "${name}" variable`, place, where);
  }
}
