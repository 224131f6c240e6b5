/** Answers of the proxy itself, in Kong's words. */
import { Buffer } from 'node:buffer';
import type { HttpRequest } from '../request.ts';
import { type BuiltinPage, reasonPhrase, sentStatus } from '../server/error-pages.ts';
import { newRequestId } from '../variables/request.ts';
import { H } from '../wire/known.ts';

export const NO_ROUTE = 'no Route matched with those values';
export const NO_PEER = 'failure to get a peer from the ring-balancer';
export const NO_NAME = 'name resolution failed';
export const NO_SERVICE = 'no Service found with those values';
export const WANTS_TLS = 'Please use HTTPS protocol';
export const WANTS_HTTP2 = 'Please use HTTP2 protocol';
export const NO_GRPC = 'Non-gRPC request matched gRPC route';

const MESSAGES: Readonly<Record<number, string>> = {
  400: 'Bad request',
  404: 'Not found',
  405: 'Method not allowed',
  408: 'Request timeout',
  411: 'Length required',
  412: 'Precondition failed',
  413: 'Payload too large',
  414: 'URI too long',
  417: 'Expectation failed',
  494: 'Request header or cookie too large',
  500: 'An unexpected error occurred',
  502: 'An invalid response was received from the upstream server',
  503: 'The upstream server is currently unavailable',
  504: 'The upstream server is timing out',
};

/** Media types that an error can be written in, as Kong has them; the first one unless the client prefers another. */
const FORMS: Readonly<Record<string, { type: string; write(message: string, id: string): string }>> = {
  'application/json': {
    type: 'application/json; charset=utf-8',
    write: (message, id) => JSON.stringify({ message, request_id: id }),
  },
  'text/html': {
    type: 'text/html; charset=utf-8',
    write: (message, id) =>
      `<!doctype html>\n<html>\n<head><meta charset="utf-8"><title>Error</title></head>\n` +
      `<body><h1>Error</h1><p>${message}</p><p>request_id: ${id}</p></body>\n</html>\n`,
  },
  'application/xml': {
    type: 'application/xml; charset=utf-8',
    write: (message, id) =>
      `<?xml version="1.0" encoding="UTF-8"?>\n<error>\n  <message>${message}</message>\n` +
      `  <requestid>${id}</requestid>\n</error>\n`,
  },
  'text/plain': {
    type: 'text/plain; charset=utf-8',
    write: (message, id) => `${message}\nrequest_id: ${id}\n`,
  },
};

/** The one with the highest weight (RFC 9110 section 12.5.1), the first of equals. */
function formOf(accept: string): (typeof FORMS)[string] {
  let [best, most] = ['application/json', 0];
  for (const entry of accept.split(',')) {
    const [type = '', ...parameters] = entry.split(';').map((part) => part.trim().toLowerCase());
    const given = parameters.find((one) => one.startsWith('q='));
    const q = given === undefined ? 1 : Number(given.slice(2));
    if (q <= most) continue;
    most = q;
    if (type in FORMS) best = type;
    else if (type === 'text/*') best = 'text/plain';
  }
  return FORMS[best]!;
}

/** Status codes of gRPC for those of HTTP. */
const GRPC_STATUS: Readonly<Record<number, number>> = {
  400: 3,
  401: 16,
  403: 7,
  404: 5,
  409: 6,
  429: 8,
  500: 13,
  501: 12,
  503: 14,
  504: 4,
};

export const isGrpc = (r: HttpRequest): boolean =>
  r.head.has(H['content-type']) && r.head.get(H['content-type'])!.startsWith('application/grpc');

/** The body of an error. */
export function errorBody(r: HttpRequest, status: number): BuiltinPage {
  const known = r.kong?.message || (r.kong === null && status === 404 ? NO_ROUTE : '');
  const text = known || MESSAGES[status] || reasonPhrase(sentStatus(status)) || 'An unexpected error occurred';
  const id = r.kong?.id ?? newRequestId();
  r.fields.set('X-Kong-Request-Id', id);
  r.fields.set('X-Kong-Response-Latency', String(Math.round(r.elapsedMs())));
  if (isGrpc(r)) {
    r.fields.set('grpc-status', String(GRPC_STATUS[status] ?? (status >= 500 ? 13 : status >= 400 ? 3 : 2)));
    r.fields.set('grpc-message', text);
    return { status: sentStatus(status), contentType: 'application/grpc', body: Buffer.alloc(0) };
  }
  const form = formOf(r.head.joined(H.accept, ',') ?? '');
  return { status: sentStatus(status), contentType: form.type, body: Buffer.from(form.write(text, id)) };
}
