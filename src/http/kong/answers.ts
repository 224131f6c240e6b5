/** Answers of the proxy itself, in Kong's words. */
import { Buffer } from 'node:buffer';
import type { HttpRequest } from '../request.ts';
import { type BuiltinPage, reasonPhrase, sentStatus } from '../server/error-pages.ts';
import { newRequestId } from '../variables/request.ts';

export const NO_ROUTE = 'no Route matched with those values';
export const NO_PEER = 'failure to get a peer from the ring-balancer';
export const NO_NAME = 'name resolution failed';
export const NO_SERVICE = 'no Service found with those values';
export const WANTS_TLS = 'Please use HTTPS protocol';

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

/** The body of an error. */
export function errorBody(r: HttpRequest, status: number): BuiltinPage {
  const message = r.kong?.message || (r.kong === null && status === 404 ? NO_ROUTE : '');
  const text = message || MESSAGES[status] || reasonPhrase(sentStatus(status)) || 'An unexpected error occurred';
  const id = newRequestId();
  r.fields.set('X-Kong-Request-Id', id);
  r.fields.set('X-Kong-Response-Latency', String(Math.round(r.elapsedMs())));
  const body = Buffer.from(JSON.stringify({ message: text, request_id: id }));
  return { status: sentStatus(status), contentType: 'application/json; charset=utf-8', body };
}
