/**
 * Locations whose answers the main thread makes: `api`, `upstream_conf`, `prometheus`, `dashboard`. The worker reads the
 * request, hands it over, and passes on what comes back: an answer at once, or one that goes on for as long as the client
 * stays (server-sent events).
 */
import { Buffer } from 'node:buffer';
import type { LocationConfig } from '../../config/model.ts';
import { finalize } from '../engine.ts';
import type { BodyProducer, HttpRequest } from '../request.ts';
import { HELD } from '../request.ts';
import type { Handler } from '../runtime.ts';
import { H } from '../wire/known.ts';
import { METHOD_GET, METHOD_HEAD } from '../wire/request-head.ts';

/** What an answer of the main thread is about. */
export type AdminKind = 'api' | 'upstream_conf' | 'prometheus' | 'dashboard';

/** A request for the main thread, as plain data. */
export interface AdminRequest {
  kind: AdminKind;
  method: string;
  /** What follows the location's own path; `/` in front is the location's business. */
  path: string;
  /** Query without `?`. */
  args: string;
  body: string;
  /** Changes are allowed (`write=on`). */
  writable: boolean;
  /** The address and port that the client connected to, and the server's name: for links and the API's `nginx` object. */
  address: string;
  /** The API in the same virtual server, for `dashboard`; null: there is none. */
  api: ApiPlace | null;
}

/** Where an `api` location is. */
export interface ApiPlace {
  /** URI without a slash at the end; `/9/http/…` follows. */
  path: string;
  writable: boolean;
}

export interface AdminReply {
  status: number;
  fields: readonly (readonly [name: string, value: string])[];
  body: string | Uint8Array;
  /** More pieces follow. */
  more: boolean;
  /** The next piece is made when this one is taken: `AskedAnswer.next`. Else pieces come whether the client takes them or not. */
  waits?: boolean;
  /** The answer has begun and cannot be completed: the client is to see that it is not whole. */
  broken?: boolean;
}

/** An answer, for whoever asked for it. */
export interface AskedAnswer {
  /** The last piece, one with `waits`, was taken. */
  next(): void;
  /** Nobody wants it any more. */
  leave(): void;
}

/** The way to the main thread. */
export interface AdminGate {
  /**
   * Sends a request. `reply` is called with the head and each piece of the body, later; status and fields of the first
   * one count.
   */
  ask(request: AdminRequest, reply: (reply: AdminReply) => void): AskedAnswer;
}

/** More than that waits for no client: one that does not read its events is cut. */
const MAX_WAITING = 1 << 20;

class AdminExchange implements BodyProducer {
  readonly #r: HttpRequest;
  #answer: AskedAnswer | null = null;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #held = false;
  /** The next piece waits until this one was taken. */
  #waits = false;
  #over = false;
  #last = false;

  constructor(r: HttpRequest) {
    this.#r = r;
  }

  begin(gate: AdminGate, request: AdminRequest): void {
    this.#r.producer = this;
    this.#answer = gate.ask(request, (reply) => this.#take(reply));
  }

  #take({ status, fields, body, more, waits = false, broken = false }: AdminReply): void {
    if (this.#over) return;
    const r = this.#r;
    if (broken && r.headSent) {
      this.#end();
      r.channel.abort(r);
      return;
    }
    this.#waits = waits;
    const bytes = typeof body === 'string' ? Buffer.from(body) : Buffer.from(body.buffer, body.byteOffset, body.length);
    if (r.headSent) {
      this.#last = !more;
      this.#send(bytes);
      this.#goOn();
      return;
    }
    r.status = status;
    // To HEAD the head is all (RFC 9110 section 9.3.2).
    if (!more || r.headerOnly) this.#end();
    for (const [name, value] of fields) {
      if (name.toLowerCase() === 'content-type') r.contentType = value;
      else r.fields.add(name, value);
    }
    r.contentLength = more ? -1 : bytes.length;
    this.#held = r.sendHead(bytes, 0, bytes.length, !more) === HELD;
    this.#goOn();
  }

  /** Asks for the next piece, if one is waiting for that and the client has taken all there is. */
  #goOn(): void {
    if (!this.#waits || this.#held || this.#over) return;
    this.#waits = false;
    this.#answer?.next();
  }

  #send(bytes: Buffer): void {
    if (this.#held) {
      this.#waiting.push(bytes);
      this.#waitingBytes += bytes.length;
      if (this.#waitingBytes > MAX_WAITING) {
        this.#end();
        this.#r.channel.abort(this.#r);
      }
      return;
    }
    const last = this.#last && this.#waiting.length === 0;
    if (last) this.#end();
    this.#held = this.#r.sendBody(bytes, 0, bytes.length, last) === HELD;
  }

  onDrain(): void {
    this.#held = false;
    while (!this.#held && !this.#over) {
      const next = this.#waiting.shift();
      if (next === undefined) break;
      this.#waitingBytes -= next.length;
      this.#send(next);
    }
    this.#goOn();
  }

  onAbort(): void {
    this.#end();
  }

  #end(): void {
    this.#over = true;
    const answer = this.#answer;
    this.#answer = null;
    answer?.leave();
  }
}

/**
 * Whether a browser sends this on behalf of another site. Such a page could change groups with a form or an image, for the
 * browser reaches addresses that only administrators reach (Fetch Metadata, RFC 6454).
 */
function fromAnotherSite({ head }: HttpRequest): boolean {
  const site = head.find('sec-fetch-site');
  if (site >= 0 && !['same-origin', 'none'].includes(head.value(site))) return true;
  const origin = head.get(H.origin);
  return origin !== null && origin.replace(/^https?:\/\//, '') !== head.get(H.host);
}

/** The `api` of a virtual server that a page of it may use: one that may change things, if there is any. */
export function apiOf(root: LocationConfig): ApiPlace | null {
  let found: ApiPlace | null = null;
  const visit = ({ handler, match, locations }: LocationConfig): void => {
    if (handler.kind === 'admin' && handler.what === 'api' && match.kind === 'prefix') {
      const place = { path: match.path.replace(/\/+$/, ''), writable: handler.writable };
      if (found === null || (place.writable && !found.writable)) found = place;
    }
    for (const inner of locations) visit(inner);
  };
  visit(root);
  return found;
}

/**
 * @param prefix of the location: what `path` does not repeat
 * @param api that the answer may speak of
 */
export function adminHandler(
  kind: AdminKind,
  writable: boolean,
  prefix: string,
  gate: AdminGate,
  api: ApiPlace | null = null,
): Handler {
  const ready = (r: HttpRequest): void => {
    const { body } = r;
    const bytes = Buffer.allocUnsafe(body.length);
    if (body.length > 0) body.read(0, bytes);
    new AdminExchange(r).begin(gate, {
      kind,
      method: r.methodName,
      path: r.uri.slice(prefix.length),
      args: r.args,
      body: bytes.toString(),
      writable,
      address: `${r.channel.localAddress()}:${r.channel.localPort()}`,
      api,
    });
  };
  return (r) => {
    const reads = kind !== 'upstream_conf' && (r.method === METHOD_GET || r.method === METHOD_HEAD);
    if (!reads && fromAnotherSite(r)) {
      finalize(r, 403);
      return;
    }
    // As documented for `api`: what does not fit client_body_buffer_size is refused.
    if (r.bodyLength > r.loc.core.clientBodyBufferSize) {
      finalize(r, 413);
      return;
    }
    r.body.buffer((request) => {
      if (request.body.length > request.loc.core.clientBodyBufferSize) finalize(request, 413);
      else ready(request);
    });
  };
}
