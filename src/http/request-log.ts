/** Error log lines about a request, with nginx's suffix (spec 1.4). */
import type { LogLevel } from '../config/model.ts';
import type { HttpRequest } from './request.ts';
import { H } from './wire/known.ts';

/** A line for `error_log … debug` and `debug_connection`. Ask `r.gen.debugs` before making the message. */
export function debugRequest(r: HttpRequest, message: string): void {
  logRequest(r, 'debug', message);
}

/** Writes `message, client: A, server: S, request: "…", [subrequest: "…",] [upstream: "…",] host: "…", referrer: "…"`. */
export function logRequest(r: HttpRequest, level: LogLevel, message: string, upstream: string | null = null): void {
  const { log } = r.loc;
  const { debugConnections } = r.gen;
  const chosen = debugConnections !== null && debugConnections.has(r.channel.peer.bytes);
  if (!chosen && !log.enabled(level)) return;
  let line = `${message}, client: ${r.client.text}, server: ${r.server.config.serverName}`;
  if (r.head.requestLineEnd > r.head.requestLineStart) line += `, request: "${r.head.requestLine()}"`;
  if (r.parent !== null) line += `, subrequest: "${r.uri}"`;
  if (upstream !== null) line += `, upstream: "${upstream}"`;
  const host = r.head.get(H.host);
  if (host !== null) line += `, host: "${host}"`;
  const referer = r.head.get(H.referer);
  if (referer !== null) line += `, referrer: "${referer}"`;
  log.write(level, line, r.channel.serial, chosen);
}
