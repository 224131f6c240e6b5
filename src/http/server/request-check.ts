/** What is checked of a request's head beyond its grammar, and what it comes to: host, server, path. */
import { H } from '../wire/known.ts';
import { METHOD_CONNECT, METHOD_TRACE } from '../wire/request-head.ts';
import { normalPath } from '../wire/uri.ts';
import type { HttpRequest } from '../request.ts';
import { AMBIGUOUS, repeatedField, UNKNOWN_CODING } from './framing.ts';
import { hostPort } from '../../variables/host-table.ts';
import type { HttpListen } from './listen.ts';
import type { Refusal } from './refusals.ts';

/** One a connection: it remembers the last Host. */
export class RequestCheck {
  readonly #listen: HttpListen;
  /** The connection is over TLS. */
  readonly #secure: boolean;
  /** The last Host field and what it came to. */
  #hostText = '';
  #host = '';

  constructor(listen: HttpListen, secure: boolean) {
    this.#listen = listen;
    this.#secure = secure;
  }

  /**
   * Sets `host`, `server`, `loc` and `uri` of `r`, whose `head` was parsed.
   * @param length what `requestBodyLength` gave
   * @returns why the request is refused, or null
   */
  run(r: HttpRequest, length: number): Refusal | null {
    const { head } = r;
    if (head.version === 9) return { status: 400, why: 'client sent HTTP/0.9 request' };
    if (length === AMBIGUOUS) {
      return { status: 400, why: 'client sent ambiguous body length ("Content-Length", "Transfer-Encoding")' };
    }
    if (length === UNKNOWN_CODING) return { status: 501, why: 'client sent unknown "Transfer-Encoding"' };
    const hostField = head.first(H.host);
    if (hostField < 0) {
      if (head.version >= 11) return { status: 400, why: 'client sent HTTP/1.1 request without "Host" header' };
    } else if (head.next(hostField) >= 0) return { status: 400, why: 'client sent duplicate header line: "Host"' };
    const repeated = repeatedField(head);
    if (repeated !== null) return { status: 400, why: `client sent duplicate header line: "${repeated}"` };
    const { hosts } = this.#listen;
    let server = this.#listen.defaultServer;
    const wrong = this.#readHost(r, hostField);
    if (wrong !== null) return { status: 400, why: wrong };
    // A request without host is the server's whose name is "", if there is one.
    if (hosts.several) server = hosts.find(r.host, r);
    r.server = server;
    r.loc = server.root;
    if (this.#secure) {
      const refused = this.#listen.tlsRefusal(r);
      if (refused !== null) return refused;
    } else if (this.#listen.config.ssl) return { status: 497, why: 'client sent plain HTTP request to HTTPS port' };
    if (head.method === METHOD_CONNECT) {
      const refused = connectRefusal(r, length);
      if (refused !== null) return refused;
    } else if (head.method === METHOD_TRACE) return { status: 405, why: 'client sent TRACE method' };
    if (head.targetEnd === head.targetStart || head.pathEnd === head.targetStart) r.uri = '/';
    else if (head.complex) {
      const path = normalPath(head.buf, head.targetStart, head.pathEnd, server.config.mergeSlashes);
      if (path === null) return { status: 400, why: 'client sent invalid request while reading client request line' };
      r.uri = path;
    } else r.uri = head.buf.latin1Slice(head.targetStart, head.pathEnd);
    return null;
  }

  /** Finds `r.host` in the target or the Host field; returns what is wrong with it, or null. */
  #readHost(r: HttpRequest, hostField: number): string | null {
    const { hosts } = this.#listen;
    const { head } = r;
    r.host = '';
    if (head.hostStart < 0 && hostField >= 0 && this.#hostText !== '' && head.valueEquals(hostField, this.#hostText)) {
      // The same as in this connection's request before, as nearly always.
      r.host = this.#host;
    } else if (head.hostStart >= 0 || hostField >= 0) {
      const text = head.hostStart >= 0 ? head.buf.latin1Slice(head.hostStart, head.hostEnd) : head.value(hostField);
      const host = hosts.validate(text);
      if (host === null) {
        return head.hostStart >= 0 ? 'client sent invalid host in request line' : 'client sent invalid host header';
      }
      r.host = host;
      // The authority of the target wins over the field (RFC 9112 section 3.2.2), but the field must be valid too.
      if (head.hostStart < 0) {
        this.#hostText = text;
        this.#host = host;
      } else if (hostField >= 0 && hosts.validate(head.value(hostField)) === null) {
        return 'client sent invalid host header';
      }
    }
    return null;
  }
}

/** CONNECT names host and port and nothing else (RFC 9112 section 3.2.3), and is for those who have tunnel_pass. */
function connectRefusal(r: HttpRequest, length: number): Refusal | null {
  const { head } = r;
  // What follows is the tunnel's, or nothing that could be told from a request.
  r.keepAlive = false;
  if (head.targetEnd > head.targetStart)
    return { status: 400, why: 'client sent invalid request while reading client request line' };
  if (hostPort(head.buf.latin1Slice(head.hostStart, head.hostEnd)) === 0)
    return { status: 400, why: 'client sent no port in CONNECT request' };
  if (r.version !== 11 || r.server.config.allowConnect !== true)
    return { status: 405, why: 'client sent CONNECT method' };
  return length === 0 ? null : { status: 400, why: 'client sent CONNECT request with body' };
}
