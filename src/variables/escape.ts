/** How values are written into log lines (`escape=`). */

const UNSAFE = /["\\\x00-\x1f\x7f-\xff]/;
const UNSAFE_ALL = /["\\\x00-\x1f\x7f-\xff]/g;
const JSON_UNSAFE = /["\\\x00-\x1f]/;
const JSON_UNSAFE_ALL = /["\\\x00-\x1f]/g;

const SHORT: Record<string, string> = {
  '"': '\\"',
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\b': '\\b',
  '\f': '\\f',
};

function hexEscape(ch: string): string {
  return `\\x${ch.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
}

/** Quotes, backslashes, controls and bytes above 0x7e as `\xXX`. */
export function escapeDefault(value: string): string {
  return UNSAFE.test(value) ? value.replace(UNSAFE_ALL, hexEscape) : value;
}

function jsonEscape(ch: string): string {
  return SHORT[ch] ?? `\\u00${ch.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
}

/** What JSON does not allow in strings; other bytes stay as they are. */
export function escapeJson(value: string): string {
  return JSON_UNSAFE.test(value) ? value.replace(JSON_UNSAFE_ALL, jsonEscape) : value;
}

/** Variables that are made of digits, dots and other harmless characters, whatever a client sends. */
const PLAIN = new Set([
  'body_bytes_sent',
  'bytes_sent',
  'connection',
  'connection_requests',
  'connection_time',
  'msec',
  'nginx_version',
  'pid',
  'pipe',
  'realip_remote_port',
  'remote_addr',
  'remote_port',
  'request_completion',
  'request_id',
  'request_length',
  'request_time',
  'scheme',
  'server_addr',
  'server_port',
  'server_protocol',
  'status',
  'time_iso8601',
  'time_local',
  'upstream_bytes_received',
  'upstream_bytes_sent',
  'upstream_connect_time',
  'upstream_header_time',
  'upstream_queue_time',
  'upstream_response_length',
  'upstream_response_time',
  'upstream_status',
]);

/** Whether a variable's value never needs escaping. */
export function isPlainVariable(name: string): boolean {
  return PLAIN.has(name);
}
