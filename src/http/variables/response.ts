/** Variables of the answer. */
import type { HttpRequest } from '../request.ts';
import { H } from '../wire/known.ts';
import { joinedFields, joinedMade } from './fields.ts';
import type { Getter } from './value.ts';

/** Status with three digits. Before anything is sent: of what is being prepared. */
export function statusText(r: HttpRequest): string {
  let { status } = r;
  if (r.errorStatus !== 0 && !r.headSent) status = r.errorStatus;
  else if (status === 0 && r.version === 9) status = 9;
  return status < 100 ? String(status).padStart(3, '0') : String(status);
}

function sentContentLength(r: HttpRequest): string | null {
  return r.contentLength >= 0 ? String(r.contentLength) : null;
}

function sentConnection(r: HttpRequest): string {
  if (r.status === 101) return 'upgrade';
  return r.keepAlive ? 'keep-alive' : 'close';
}

function sentKeepAlive(r: HttpRequest): string | null {
  const announced = r.loc.core.keepaliveHeaderSec;
  return r.keepAlive && announced > 0 ? `timeout=${announced}` : null;
}

function sentTransferEncoding(r: HttpRequest): string | null {
  const chunked =
    r.contentLength < 0 && r.version === 11 && !r.headerOnly && r.status !== 101 && r.loc.core.chunkedTransferEncoding;
  return chunked ? 'chunked' : null;
}

/** Fields of the answer: those made here after those that come from the server. */
function sentHeader(name: string): Getter {
  return (r) =>
    joinText(r.block === null ? null : joinedFields(r.block, name, ', ', r.hide), joinedMade(r.fields, name, ', '));
}

function joinText(first: string | null, second: string | null): string | null {
  if (first === null) return second;
  return second === null ? first : `${first}, ${second}`;
}

const contentTypeOfBlock = (r: HttpRequest): string | null => r.block?.get(H['content-type']) ?? null;

export const RESPONSE_VARIABLES: Record<string, Getter> = {
  status: statusText,
  bytes_sent: (r) => String(r.bytesSent),
  body_bytes_sent: (r) => String(r.bodyBytesSent),
  sent_http_content_type: (r) => r.contentType ?? contentTypeOfBlock(r),
  sent_http_content_length: sentContentLength,
  sent_http_connection: sentConnection,
  sent_http_keep_alive: sentKeepAlive,
  sent_http_transfer_encoding: sentTransferEncoding,
};

/** `sent_http_…` and `sent_trailer_…`. */
export function responseFamily(name: string): Getter | null {
  if (name.startsWith('sent_http_')) return sentHeader(name.slice(10));
  if (name.startsWith('sent_trailer_')) {
    const trailer = name.slice(13);
    return (r) => {
      return joinText(
        r.trailers === null ? null : joinedFields(r.trailers, trailer, ', ', r.hide),
        r.trailing === null ? null : joinedMade(r.trailing.fields, trailer, ', '),
      );
    };
  }
  return null;
}
