/** Composes the head of the request that goes to a server. Pure: appends to an `Output`. */
import type { Output } from '../../net/output.ts';
import type { HideTable, HttpRequest } from '../request.ts';
import { CONNECTION_OTHER, connectionFlags, nominatedFields } from '../server/framing.ts';
import { H } from '../wire/known.ts';
import { escapeUri } from '../wire/escape.ts';
import { composeChunked, composeContentLength } from '../wire/writer.ts';
import { METHOD_HEAD } from '../wire/request-head.ts';
import type { RequestHead } from '../wire/request-head.ts';
import { extended } from './hide.ts';
import type { ProxyPlan } from './plan.ts';
import type { OutgoingRequest } from './upstream-channel.ts';
import { UNKNOWN_LENGTH } from './upstream-channel.ts';

/**
 * Appends request line, fields and the empty line.
 * @param request what it is made of: the target, how long the body is, and whether the answer is to be cached
 */
export function composeRequest(o: Output, r: HttpRequest, plan: ProxyPlan, request: OutgoingRequest): void {
  const { uri, bodyLength } = request;
  const form = plan.cachedForm !== null && request.cached ? plan.cachedForm : plan.form;
  const head = r.head;
  const method = plan.method === null ? '' : plan.method.get(r);
  // proxy_method may hold variables: what is no method must not become another request line.
  if (METHOD.test(method)) o.text(method);
  else if (r.method === METHOD_HEAD && request.convertsHead) o.text('GET');
  else if (r.internalMethod !== null) o.text(r.internalMethod);
  else o.bytes(head.buf, head.methodStart, head.methodEnd);
  o.byte(32);
  if (uri !== null) o.text(safeTarget(uri));
  else if (head.targetEnd > head.targetStart) {
    if (head.pathEnd === head.targetStart) o.byte(0x2f);
    o.bytes(head.buf, head.targetStart, head.targetEnd);
  } else o.byte(0x2f);
  o.bytes(plan.versionLine, 0, plan.versionLine.length);

  for (const segment of form.segments) {
    if (segment.bytes !== null) o.bytes(segment.bytes, 0, segment.bytes.length);
    else {
      let value = segment.value.get(r);
      // A request without Host still gets one (nginx 1.31.4; RFC 9112 section 3.2 asks for it).
      if (value === '' && segment.isHost) value = r.proxyTarget?.host ?? plan.proxyHost;
      if (value === '') continue;
      o.bytes(segment.name, 0, segment.name.length);
      o.text(safeValue(value));
      o.crlf();
    }
  }
  if (bodyLength >= 0) composeContentLength(o, bodyLength);
  else if (bodyLength === UNKNOWN_LENGTH) composeChunked(o);
  if (plan.config.passRequestHeaders) composeClientFields(o, head, form.hide);
  o.crlf();
}

/** The client's fields, less those that `hide` names and those that its Connection field nominates. */
function composeClientFields(o: Output, head: RequestHead, table: HideTable): void {
  let hide = table;
  if (head.has(H.connection) && (connectionFlags(head) & CONNECTION_OTHER) !== 0)
    hide = extended(hide, nominatedFields(head));
  const plain = head.eol === 1 && head.skipped === 0;
  let runStart = -1;
  let runEnd = 0;
  for (let i = 0; i < head.count; i++) {
    const id = head.id(i);
    const hidden =
      id !== 0 ? hide.ids[id] !== 0 : hide.others !== null && head.namedAny(i, hide.others.get(head.hash(i)));
    if (hidden) {
      if (runStart >= 0) o.bytes(head.buf, runStart, runEnd);
      runStart = -1;
      continue;
    }
    if (plain) {
      if (runStart < 0) runStart = head.nameStart(i);
      runEnd = i + 1 < head.count ? head.nameStart(i + 1) : head.pos - 2;
      continue;
    }
    o.bytes(head.buf, head.nameStart(i), head.nameEnd(i));
    o.byte(58);
    o.byte(32);
    o.bytes(head.buf, head.valueStart(i), head.valueEnd(i));
    o.crlf();
  }
  if (runStart >= 0) o.bytes(head.buf, runStart, runEnd);
}

const UNSAFE = /[\r\n\0]|[^\x00-\xff]/g;

const METHOD = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const UNSAFE_TARGET = /[\x00-\x20\x7f]|[^\x00-\xff]/g;

/**
 * A computed target must stay one word: variables bring decoded bytes (`proxy_pass http://u$uri` and a path with
 * `%0d%0a`), which nginx puts into the request line as they are.
 */
export function safeTarget(uri: string): string {
  for (let i = 0; i < uri.length; i++) {
    const c = uri.charCodeAt(i);
    if (c <= 32 || c === 127 || c > 255) return uri.replace(UNSAFE_TARGET, percentEncoded);
  }
  return uri;
}

function percentEncoded(c: string): string {
  return c.charCodeAt(0) > 255
    ? encodeURIComponent(c.isWellFormed() ? c : '?')
    : `%${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
}

/** A computed value must stay one line, whatever a variable brought. */
export function safeValue(value: string): string {
  for (let i = 0; i < value.length; i++) {
    const c = value.charCodeAt(i);
    // Beyond latin1 only the low byte would be written, which may be a line end.
    if (c < 32 || c > 255) return value.replace(UNSAFE, ' ');
  }
  return value;
}

/**
 * The target as nginx maps it (ngx_http_proxy_create_request): the client's own when proxy_pass has no URI part and
 * nothing rewrote the path; else the URI part with the rest of the path behind it, escaped again.
 * @param uriPart URI part of proxy_pass, or of its evaluated target; null: none
 * @returns null: the client's own target goes on as it was sent
 */
export function targetOf(
  r: HttpRequest,
  plan: Pick<ProxyPlan, 'target' | 'replaced'>,
  uriPart: string | null,
): string | null {
  if (plan.target !== null && uriPart !== null) return uriPart;
  if (uriPart === null && r.validUnparsed) return null;
  const replaces = uriPart !== null && r.validLocation;
  const rest = replaces ? r.uri.slice(Math.min(plan.replaced, r.uri.length)) : r.uri;
  const mustEscape = r.internal || !r.validUnparsed || r.head.complex || rest.includes(' ');
  const path = (replaces ? uriPart : '') + (mustEscape ? escapeUri(rest) : rest);
  return r.args === '' ? path : `${path}?${r.args}`;
}
