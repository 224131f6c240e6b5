/** Composes the header block of a request that goes to a server by HTTP/2. Pure: appends to an `Output`. */
import type { Buffer } from 'node:buffer';
import type { ValueText } from '../../../config/model.ts';
import type { Output } from '../../../net/output.ts';
import type { HideTable, HttpRequest } from '../../request.ts';
import { encodeBlockField } from '../../server/http2-answer.ts';
import { CONNECTION_OTHER, connectionFlags, nominatedFields } from '../../server/framing.ts';
import type { Value } from '../../variables/value.ts';
import type { VariableTable } from '../../variables/table.ts';
import { H } from '../../wire/known.ts';
import { encodedField, encodedName, encodeKnownName, encodeValue } from '../../wire/h2/hpack-encoder.ts';
import { METHOD_HEAD } from '../../wire/request-head.ts';
import { hidden } from '../../wire/writer.ts';
import { extended } from '../hide.ts';
import { safeTarget, safeValue } from '../request-writer.ts';
import type { OutgoingRequest } from '../upstream-channel.ts';

/** Fields that the configuration sets: bytes that never change, or a name and a computed value. */
export type BlockSegment = { bytes: Buffer } | { bytes: null; name: Buffer; value: Value };

/** What a location's requests look like. */
export interface BlockPlan {
  readonly segments: readonly BlockSegment[];
  /** The `Host` that is set; null: the target's own. */
  readonly authority: Value | null;
  readonly requestHide: HideTable;
  readonly passFields: boolean;
}

/** Never set by the configuration: they frame a message, are HTTP/1's own, or pseudo-headers here. */
const NOT_HERE = new Set(
  'host connection proxy-connection keep-alive transfer-encoding upgrade content-length'.split(' '),
);

/** What `…_set_header` comes to; `host` is apart. */
export function compileSegments(
  fields: readonly { name: string; value: ValueText }[],
  variables: VariableTable,
): { segments: BlockSegment[]; authority: Value | null } {
  const segments: BlockSegment[] = [];
  let authority: Value | null = null;
  for (const field of fields) {
    const name = field.name.toLowerCase();
    const value = variables.compile(field.value);
    if (name === 'host') authority = value;
    if (NOT_HERE.has(name) || value.constant === '') continue;
    if (value.constant !== null) segments.push({ bytes: encodedField(name, fieldValue(value.constant)) });
    else segments.push({ bytes: null, name: encodedName(name), value });
  }
  return { segments, authority };
}

const METHOD = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const AUTHORITY = encodedName(':authority');
const PATH = encodedName(':path');
const METHOD_NAME = encodedName(':method');
const TE_TRAILERS = encodedField('te', 'trailers');
const INDEXED_GET = 0x82;
const INDEXED_POST = 0x83;
const INDEXED_ROOT = 0x84;
const INDEXED_HTTP = 0x86;
const INDEXED_HTTPS = 0x87;

/**
 * Appends the block.
 * @param request what it is made of: the target, over what it goes, and whether HEAD becomes GET for a cache
 * @param method '' : the client's own
 * @param host for `:authority` when the configuration sets none
 * @param length for `Content-Length`; negative: none is sent
 */
export function composeBlock(
  o: Output,
  request: OutgoingRequest,
  plan: BlockPlan,
  method: string,
  host: string,
  length: number,
): void {
  const { r, uri, secure } = request;
  const { head } = r;
  const converts = r.method === METHOD_HEAD && request.convertsHead;
  const name = METHOD.test(method) ? method : converts ? 'GET' : r.methodName;
  if (name === 'GET') o.byte(INDEXED_GET);
  else if (name === 'POST') o.byte(INDEXED_POST);
  else {
    o.bytes(METHOD_NAME, 0, METHOD_NAME.length);
    encodeValue(o, name);
  }
  o.byte(secure ? INDEXED_HTTPS : INDEXED_HTTP);
  const target = uri === null ? clientTarget(r) : safeTarget(uri);
  if (target === '/') o.byte(INDEXED_ROOT);
  else {
    o.bytes(PATH, 0, PATH.length);
    encodeValue(o, target);
  }
  const authority = plan.authority === null ? '' : plan.authority.get(r);
  o.bytes(AUTHORITY, 0, AUTHORITY.length);
  encodeValue(o, fieldValue(authority === '' ? host : authority));
  for (const segment of plan.segments) {
    if (segment.bytes !== null) {
      o.bytes(segment.bytes, 0, segment.bytes.length);
      continue;
    }
    const value = segment.value.get(r);
    if (value === '') continue;
    o.bytes(segment.name, 0, segment.name.length);
    encodeValue(o, fieldValue(value));
  }
  if (length >= 0) {
    encodeKnownName(o, H['content-length']);
    encodeValue(o, String(length));
  }
  if (!plan.passFields) return;
  let hide = plan.requestHide;
  if (head.has(H.connection) && (connectionFlags(head) & CONNECTION_OTHER) !== 0)
    hide = extended(hide, nominatedFields(head));
  for (let i = 0; i < head.count; i++) if (!hidden(head, i, hide)) encodeBlockField(o, head, i);
}

/** `te: trailers`, if the client says that it takes them. */
export function composeTe(o: Output, r: HttpRequest): void {
  for (let i = r.head.first(H.te); i >= 0; i = r.head.next(i)) {
    if (!/(^|[ ,;])trailers([ ,;]|$)/i.test(r.head.value(i))) continue;
    o.bytes(TE_TRAILERS, 0, TE_TRAILERS.length);
    return;
  }
}

/** One line, without white space around it: servers refuse that (RFC 9113 section 8.2.1). */
function fieldValue(text: string): string {
  const value = safeValue(text);
  return isSpace(value.charCodeAt(0)) || isSpace(value.charCodeAt(value.length - 1))
    ? value.replace(/^[ \t]+|[ \t]+$/g, '')
    : value;
}

function isSpace(c: number): boolean {
  return c === 0x20 || c === 9;
}

function clientTarget(r: HttpRequest): string {
  const target = r.head.target();
  return target.startsWith('/') ? target : `/${target}`;
}
