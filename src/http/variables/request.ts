/** Variables of the request: its line, fields, body, addresses and times. */
import { randomFillSync } from 'node:crypto';
import { Buffer } from 'node:buffer';
import { clock } from '../../net/clock.ts';
import { DEFAULT_TIME_FORMAT, strftime } from '../filters/ssi/strftime.ts';
import { METHOD_CONNECT } from '../wire/request-head.ts';
import type { HttpRequest } from '../request.ts';
import { hostPort } from '../../variables/host-table.ts';
import { mainOf } from '../subrequest.ts';
import { H } from '../wire/known.ts';
import { argument, joinedFields, knownByVariable, requestCookie } from './fields.ts';
import { seconds } from '../../variables/times.ts';
import type { Getter } from './value.ts';

/** A port as text; empty for none. */
function portText(port: number): string {
  return port > 0 ? String(port) : '';
}

/** `$request_uri`: path and query as sent. An absolute URI without path stands for `/`. */
export function requestUri(r: HttpRequest): string {
  const target = r.head.target();
  return target === '' || target.charCodeAt(0) === 0x3f ? `/${target}` : target;
}

function protocol(r: HttpRequest): string | null {
  switch (r.version) {
    case 11:
      return 'HTTP/1.1';
    case 10:
      return 'HTTP/1.0';
    case 20:
      return 'HTTP/2.0';
    case 30:
      return 'HTTP/3.0';
    default:
      return null;
  }
}

/** User and password of `Authorization: Basic` (RFC 7617), one character a byte; null when there are none. */
export function basicCredentials(r: HttpRequest): { user: string; password: string } | null {
  const field = r.method === METHOD_CONNECT ? H['proxy-authorization'] : H.authorization;
  const match = /^basic +([^ ]+)/i.exec(r.header(field) ?? '');
  if (match === null) return null;
  const decoded = Buffer.from(match[1]!, 'base64').latin1Slice();
  const colon = decoded.indexOf(':');
  return colon <= 0 ? null : { user: decoded.slice(0, colon), password: decoded.slice(colon + 1) };
}

/** Port of the `Host` field, or of an absolute URI; 0: none was given. */
function requestPort(r: HttpRequest): number {
  const head = r.head;
  const text = head.hostStart >= 0 ? head.buf.latin1Slice(head.hostStart, head.hostEnd) : head.get(H.host);
  return text === null ? 0 : hostPort(text);
}

/** The body, when it was read in whole and into memory. */
function bodyText(r: HttpRequest): string | null {
  const body = r.body;
  if (body.memory === null || body.fileLength > 0 || body.memoryLength === 0) return null;
  return body.memory.latin1Slice(0, body.memoryLength);
}

function contentLength(r: HttpRequest): string | null {
  const sent = r.header(H['content-length']);
  if (sent !== null) return sent;
  // A chunked body has a length once it was read.
  return r.bodyLength < 0 && r.body.complete && r.body.buffered ? String(r.body.length) : null;
}

const pool = Buffer.alloc(16 * 256);
let poolAt = pool.length;

/** 16 random bytes in hexadecimal. The generator is asked for many at once: a call costs a microsecond. */
export function newRequestId(): string {
  if (poolAt === pool.length) {
    randomFillSync(pool);
    poolAt = 0;
  }
  const id = pool.toString('hex', poolAt, poolAt + 16);
  poolAt += 16;
  return id;
}

function binaryAddress(r: HttpRequest): string {
  const { bytes, text } = r.client;
  return bytes.length === 0 ? text : Buffer.from(bytes).latin1Slice();
}

const zero = (): string => '0';

/** Built-in variables of the request by name. */
export const REQUEST_VARIABLES: Record<string, Getter> = {
  uri: (r) => r.uri,
  document_uri: (r) => r.uri,
  request_uri: requestUri,
  args: (r) => r.args,
  query_string: (r) => r.args,
  is_args: (r) => (r.args === '' ? '' : '?'),
  request: (r) => (r.head.requestLineEnd > r.head.requestLineStart ? r.head.requestLine() : null),
  request_method: (r) => mainOf(r).methodName,
  server_protocol: protocol,
  scheme: (r) => (r.channel.tls === null ? 'http' : 'https'),
  https: (r) => (r.channel.tls === null ? '' : 'on'),
  http2: (r) => (r.version === 20 ? (r.channel.tls === null ? 'h2c' : 'h2') : ''),
  host: (r) => (r.host === '' ? r.server.config.serverName : r.host),
  http_cookie: (r) => r.head.joined(H.cookie, '; '),
  content_type: (r) => r.head.joined(H['content-type'], ', '),
  content_length: contentLength,
  server_name: (r) => r.server.config.serverName,
  server_addr: (r) => r.channel.localAddress(),
  server_port: (r) => portText(r.channel.localPort()),
  request_port: (r) => portText(requestPort(r)),
  is_request_port: (r) => (requestPort(r) > 0 ? ':' : ''),
  remote_addr: (r) => r.client.text,
  remote_port: (r) => portText(r.client.port),
  binary_remote_addr: binaryAddress,
  realip_remote_addr: (r) => r.channel.peer.text,
  realip_remote_port: (r) => portText(r.channel.peer.port),
  remote_user: (r) => basicCredentials(r)?.user ?? null,
  proxy_protocol_addr: (r) => r.channel.proxyProtocol?.sourceAddress ?? null,
  proxy_protocol_port: (r) => portOf(r.channel.proxyProtocol?.sourcePort),
  proxy_protocol_server_addr: (r) => r.channel.proxyProtocol?.destinationAddress ?? null,
  proxy_protocol_server_port: (r) => portOf(r.channel.proxyProtocol?.destinationPort),
  request_body: bodyText,
  request_body_file: (r) => r.body.filePath,
  request_length: (r) => String(r.bytesReceived),
  request_time: (r) => seconds(r.elapsedMs()),
  request_completion: (r) => (mainOf(r).ended && !mainOf(r).aborted ? 'OK' : ''),
  invalid_referer: (r) => (r.loc.referer === null || r.loc.referer.valid(r.header(H.referer)) ? '' : '1'),
  limit_req_status: (r) => mainOf(r).limits?.reqStatus ?? null,
  limit_conn_status: (r) => mainOf(r).limits?.connStatus ?? null,
  pipe: (r) => (r.channel.pipelined === true ? 'p' : '.'),
  connection: (r) => String(r.channel.serial),
  connection_requests: (r) => String(r.channel.requestCount),
  connection_time: (r) => seconds(clock.now - r.channel.acceptedAt),
  // Node gives no TCP_INFO.
  tcpinfo_rtt: zero,
  tcpinfo_rttvar: zero,
  tcpinfo_snd_cwnd: zero,
  tcpinfo_rcv_space: zero,
  // In pages with SSI their format is what `config timefmt` said.
  date_gmt: () => strftime(DEFAULT_TIME_FORMAT, clock.wall, true),
  date_local: () => strftime(DEFAULT_TIME_FORMAT, clock.wall, false),
  gzip_ratio: () => null,
};

function portOf(port: number | undefined): string | null {
  return port === undefined ? null : portText(port);
}

/** Families of request variables: `http_…`, `arg_…`, `cookie_…`, `proxy_protocol_tlv_…`, `trailer_…`. */
export function requestFamily(name: string): Getter | null {
  if (name.startsWith('http_')) return headerGetter(name.slice(5));
  if (name.startsWith('cookie_')) {
    const cookie = name.slice(7);
    return (r) => requestCookie(r.head, cookie);
  }
  if (name.startsWith('arg_')) {
    const arg = name.slice(4);
    return arg === '' ? () => null : (r) => argument(r.args, arg);
  }
  if (name.startsWith('proxy_protocol_tlv_')) {
    const tlv = name.slice(19);
    return (r) => r.channel.proxyProtocol?.tlv(tlv) ?? null;
  }
  return null;
}

function headerGetter(name: string): Getter {
  const id = knownByVariable(name);
  // Known names are indexed; one with an underscore in place of a hyphen could only come in where those are allowed.
  if (id !== 0) return (r) => (r.head.has(id) ? r.head.joined(id, ', ') : null);
  return (r) => joinedFields(r.head, name, ', ');
}
