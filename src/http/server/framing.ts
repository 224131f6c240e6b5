/**
 * How long a request's body is, and what its Connection field asks (RFC 9112 section 6). Whatever two readers could
 * understand differently is refused.
 */
import type { ServerConfig } from '../../config/model.ts';
import { H } from '../wire/known.ts';
import type { HeaderBlock } from '../wire/header-block.ts';
import type { RequestHead } from '../wire/request-head.ts';

/** `bodyLength` of a chunked body. */
export const CHUNKED = -1;
/** Refused: 400. */
export const AMBIGUOUS = -2;
/** A transfer coding that is not known: 501. */
export const UNKNOWN_CODING = -3;

/**
 * Length of a request's body in bytes, `CHUNKED`, or why the request is refused.
 * Refused are: Content-Length together with Transfer-Encoding, repeated Content-Length (equal or not), a length that is
 * not plain digits, Transfer-Encoding in HTTP/1.0, more than one Transfer-Encoding.
 */
export function requestBodyLength(head: RequestHead): number {
  const te = head.first(H['transfer-encoding']);
  const cl = head.first(H['content-length']);
  if (te < 0 && cl < 0) return 0;
  if (te >= 0) {
    if (cl >= 0 || head.version < 11 || head.next(te) >= 0) return AMBIGUOUS;
    return head.valueIs(te, 'chunked') ? CHUNKED : UNKNOWN_CODING;
  }
  if (head.next(cl) >= 0) return AMBIGUOUS;
  const length = plainNumber(head, cl);
  return length < 0 ? AMBIGUOUS : length;
}

/** The value of field `i` as a number that is not negative; -1 when it is not just digits or not exact. */
export function plainNumber(block: HeaderBlock, i: number): number {
  const start = block.valueStart(i);
  const end = block.valueEnd(i);
  if (end === start || end - start > 15) return -1;
  let n = 0;
  for (let k = start; k < end; k++) {
    const digit = block.buf[k]! - 0x30;
    if (digit < 0 || digit > 9) return -1;
    n = n * 10 + digit;
  }
  return n;
}

/** Fields that nginx takes once (ngx_http_process_unique_header_line), besides those that frame the request. */
const UNIQUE = [
  H['if-modified-since'],
  H['if-unmodified-since'],
  H['if-match'],
  H['if-none-match'],
  H['if-range'],
  H['content-range'],
  H.expect,
  H.authorization,
  H['proxy-authorization'],
];

/** Name of a field that may stand in a request once and does so more often; null: there is none. */
export function repeatedField(head: RequestHead): string | null {
  if (!head.repeats) return null;
  for (const id of UNIQUE) {
    const i = head.first(id);
    if (i >= 0 && head.next(i) >= 0) return head.name(i);
  }
  return null;
}

export const CONNECTION_CLOSE = 1;
export const CONNECTION_KEEP_ALIVE = 2;
export const CONNECTION_UPGRADE = 4;
/** Names fields that are for this hop only: they must not be passed on (RFC 9110 section 7.6.1). */
export const CONNECTION_OTHER = 8;

/** The tokens of all Connection fields, as flags. */
export function connectionFlags(block: HeaderBlock): number {
  let i = block.first(H.connection);
  if (i < 0) return 0;
  let flags = 0;
  for (; i >= 0; i = block.next(i)) {
    if (block.valueIs(i, 'close')) flags |= CONNECTION_CLOSE;
    else if (block.valueIs(i, 'keep-alive')) flags |= CONNECTION_KEEP_ALIVE;
    else if (block.valueIs(i, 'upgrade')) flags |= CONNECTION_UPGRADE;
    else for (const token of block.value(i).toLowerCase().split(',')) flags |= flagOf(token.trim());
  }
  return flags;
}

function flagOf(token: string): number {
  if (token === '') return 0;
  if (token === 'close') return CONNECTION_CLOSE;
  if (token === 'keep-alive') return CONNECTION_KEEP_ALIVE;
  if (token === 'upgrade') return CONNECTION_UPGRADE;
  return CONNECTION_OTHER;
}

/** Lower-case names that the Connection fields nominate, without the options themselves. */
export function nominatedFields(block: HeaderBlock): string[] {
  const names: string[] = [];
  for (let i = block.first(H.connection); i >= 0; i = block.next(i)) {
    for (const token of block.value(i).toLowerCase().split(',')) {
      const name = token.trim();
      if (name !== '' && flagOf(name) === CONNECTION_OTHER) names.push(name);
    }
  }
  return names;
}

/** The largest head that is taken, in bytes: what fits into the buffers that nginx would read it into. */
export function maxHead({ clientHeaderBufferSize, largeClientHeaderBuffers }: ServerConfig): number {
  return clientHeaderBufferSize + largeClientHeaderBuffers.count * largeClientHeaderBuffers.size;
}
