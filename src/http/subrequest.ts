/**
 * Subrequests: requests that the server makes of itself for another one (`auth_request`, SSI, `mirror`, …). They run
 * through the same phases from the server's rewrite on, with the parent's client, head and body; their answer goes to a
 * sink instead of a connection.
 *
 * As in nginx they share the main request's variables (the array itself: what one sets, all see), are `internal`, are
 * not checked for access, and are logged only with `log_subrequest`.
 *
 * Lifetimes: a subrequest is an object of its own, never pooled. While its answer is wanted its main request lives; when
 * that ends first (answered otherwise, or the client is gone), the subrequest is ended with it. What is to go on without
 * the client belongs to a detached main request (`detached.ts`).
 */
import { Buffer } from 'node:buffer';
import type { ClientAddress, ClientChannel, TlsInfo } from './request.ts';
import { HELD, HttpRequest, SENT } from './request.ts';
import { clock } from '../net/clock.ts';
import type { ProxyProtocolInfo } from '../net/proxy-protocol.ts';
import * as engine from './engine.ts';
import { logRequest } from './request-log.ts';
import { RequestBody } from './server/body.ts';
import { METHOD_GET } from './wire/request-head.ts';

/** Takes the answer of a subrequest. */
export interface SubrequestSink {
  /** Status and fields are known; the body follows. */
  onHead(r: HttpRequest): void;
  /**
   * Bytes of the body, valid during the call.
   * @returns `SENT`, or `HELD`: no more before `channel.drained()`
   */
  onBody(r: HttpRequest, buf: Buffer, start: number, end: number): number;
  /**
   * It is over: logged, its upstream given back; status and counters still stand in `r`. Not called when the main
   * request ended first.
   * @param complete false: the answer broke off
   */
  onEnd(r: HttpRequest, complete: boolean): void;
  /** An error is about to be answered with its page: true when the sink answers instead. */
  onError?(r: HttpRequest, status: number): boolean;
}

/** How a subrequest begins. */
export const FROM_SERVER = 0;
/** Goes on where its parent is (nginx's CLONE): same location, method and URI. */
export const CLONE = 1;
/** Begins in the named location that takes the place of the URI. */
export const NAMED = 2;

/** nginx's limits: levels below the main request, and subrequests of one main request. */
export const MAX_DEPTH = 50;
const MAX_SUBREQUESTS = 64_535;

/** A main request's subrequests. */
export class Family {
  readonly main: HttpRequest;
  /** The subrequests of all levels that are not over. */
  readonly live = new Set<SubrequestChannel>();
  /** Called when the last one is over. */
  onIdle: (() => void) | null = null;
  /** The copy of the main request for what goes on after its answer. */
  background: HttpRequest | null = null;
  total = 0;

  constructor(main: HttpRequest) {
    this.main = main;
  }

  /** `r`, the main request or one of its subrequests, is over: so is what it had begun. */
  endOf(r: HttpRequest): void {
    const { background } = this;
    if (background !== null && r === this.main && r.aborted) background.family!.endOf(background);
    if (this.live.size === 0) return;
    for (const channel of this.live) if (r === this.main || channel.request.parent === r) channel.kill();
  }

  /** @internal */
  left(channel: SubrequestChannel): void {
    this.live.delete(channel);
    if (this.live.size === 0 && this.onIdle !== null) this.onIdle();
  }
}

/**
 * Begins a subrequest; it runs after the present call stack (bytes that the caller holds stay valid).
 * @param sink takes the answer
 * @returns null: there are too many, which was logged
 */
export function subrequest(
  parent: HttpRequest,
  uri: string,
  args: string,
  sink: SubrequestSink,
  how: number = FROM_SERVER,
): HttpRequest | null {
  const depth = parent.channel instanceof SubrequestChannel ? parent.channel.depth + 1 : 1;
  if (depth > MAX_DEPTH) {
    logRequest(parent, 'error', `subrequests cycle while processing "${uri}"`);
    return null;
  }
  const family = (parent.family ??= new Family(parent));
  if (++family.total > MAX_SUBREQUESTS) {
    logRequest(parent, 'crit', `request reference counter overflow while processing "${uri}"`);
    return null;
  }
  const channel = new SubrequestChannel(parent, family, sink, depth, how, uri);
  channel.request.uri = how === NAMED ? parent.uri : uri;
  channel.request.args = args;
  family.live.add(channel);
  queueMicrotask(() => channel.begin());
  return channel.request;
}

export class SubrequestChannel implements ClientChannel {
  readonly request: HttpRequest;
  /** Levels below the main request. */
  readonly depth: number;
  readonly #family: Family;
  readonly #main: ClientChannel;
  readonly #sink: SubrequestSink;
  readonly #how: number;
  /** URI, or name of a location. */
  readonly #target: string;
  #held = false;
  #over = false;

  constructor(parent: HttpRequest, family: Family, sink: SubrequestSink, depth: number, how: number, target: string) {
    this.depth = depth;
    this.#family = family;
    this.#main = family.main.channel;
    this.#sink = sink;
    this.#how = how;
    this.#target = target;
    this.request = child(this, parent, family, how);
  }

  /** @internal */
  begin(): void {
    if (this.#over) return;
    clock.update();
    const r = this.request;
    if (this.#how === CLONE) engine.resume(r);
    else if (this.#how === NAMED) engine.namedLocation(r, this.#target);
    else engine.startSubrequest(r);
  }

  // ------------------------------------------------------------------------------------ the client, as the main has it

  get serial(): number {
    return this.#main.serial;
  }
  get requestCount(): number {
    return this.#main.requestCount;
  }
  get acceptedAt(): number {
    return this.#main.acceptedAt;
  }
  get peer(): ClientAddress {
    return this.#main.peer;
  }
  get tls(): TlsInfo | null {
    return this.#main.tls;
  }
  get proxyProtocol(): ProxyProtocolInfo | null {
    return this.#main.proxyProtocol ?? null;
  }
  get listenAddress(): string {
    return this.#main.listenAddress;
  }
  get pipelined(): boolean {
    return this.#main.pipelined === true;
  }
  localAddress(): string {
    return this.#main.localAddress();
  }
  localPort(): number {
    return this.#main.localPort();
  }

  // ------------------------------------------------------------------------------------ the answer

  sendHead(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): number {
    if (this.#over) return SENT;
    r.headSent = true;
    this.#sink.onHead(r);
    return this.sendBody(r, buf, start, end, last || (r.headerOnly && r.status !== 101));
  }

  replaceError(r: HttpRequest, status: number): boolean {
    return this.#sink.onError?.(r, status) === true;
  }

  sendHeadRest(): number {
    return SENT;
  }

  sendBody(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): number {
    if (this.#over) return SENT;
    let result = SENT;
    if (buf !== null && end > start && !r.headerOnly) {
      r.bytesSent += end - start;
      r.bodyBytesSent += end - start;
      result = this.#sink.onBody(r, buf, start, end);
      this.#held = result === HELD;
    }
    if (!last) return result;
    // Whatever the sink still holds is its own: nobody waits for it to be taken.
    this.#end(true);
    return SENT;
  }

  /** The sink takes bytes again. */
  drained(): void {
    if (!this.#held || this.#over) return;
    this.#held = false;
    const { producer } = this.request;
    if (producer !== null) producer.onDrain(this.request);
  }

  /** Interim answers are the client's. */
  sendInformational(): void {}

  /** The answer broke off. */
  abort(r: HttpRequest): void {
    r.aborted = true;
    this.#end(false);
  }

  /** `return 444` ends the client's connection, too. */
  closeSilently(): void {
    const { main } = this.#family;
    main.status = 444;
    abortMain(main);
  }

  resumeReading(): void {}

  /** A client that speaks another protocol from now on cannot be had here: the answer ends. */
  takeOver(r: HttpRequest): void {
    logRequest(r, 'error', 'connection upgrade in subrequest');
    this.kill();
  }

  // ------------------------------------------------------------------------------------ ends

  /** Ends it: nobody wants the answer any more. The sink is not told. */
  kill(): void {
    if (this.#over) return;
    const r = this.request;
    r.aborted = true;
    if (!r.headSent) r.status = 499;
    const { producer } = r;
    r.producer = null;
    if (producer !== null) producer.onAbort(r);
    this.#finish(r);
  }

  #end(complete: boolean): void {
    if (this.#over) return;
    const r = this.request;
    this.#finish(r);
    this.#sink.onEnd(r, complete);
  }

  #finish(r: HttpRequest): void {
    this.#over = true;
    r.ended = true;
    engine.finished(r);
    r.body.close();
    r.producer = null;
    if (r.filter !== null) {
      r.filter.close();
      r.filter = null;
    }
    this.#family.left(this);
  }
}

function child(channel: SubrequestChannel, parent: HttpRequest, family: Family, how: number): HttpRequest {
  const r = new HttpRequest(channel);
  r.parent = parent;
  r.family = family;
  r.gen = parent.gen;
  r.server = parent.server;
  r.loc = r.server.root;
  r.head = parent.head;
  r.version = parent.version;
  r.host = parent.host;
  r.client = parent.client;
  r.startedAt = clock.now;
  r.startedWall = clock.wall;
  r.internal = true;
  r.vars = parent.vars ??= [];
  r.method = METHOD_GET;
  r.internalMethod = 'GET';
  r.validUnparsed = false;
  if (how === CLONE) {
    r.method = parent.method;
    r.internalMethod = parent.internalMethod;
    r.loc = parent.loc;
    r.phase = parent.phase;
    r.validUnparsed = parent.validUnparsed;
    r.validLocation = parent.validLocation;
    r.captures = parent.captures;
  }
  r.body = new RequestBody();
  if (parent.body.complete) {
    r.body.share(parent.body);
    r.bodyLength = r.body.length;
  }
  return r;
}

/** Ends the main request and its client's connection. */
function abortMain(main: HttpRequest): void {
  const { producer } = main;
  main.producer = null;
  if (producer !== null) producer.onAbort(main);
  main.channel.abort(main);
}

/** Lets a subrequest ask as its parent was asked: `mirror` does. */
export function withParentsMethod(r: HttpRequest): void {
  const parent = r.parent!;
  r.method = parent.method;
  r.internalMethod = parent.internalMethod;
}

/** The request that a client made: `r` itself, or the one that its subrequests serve. */
export function mainOf(r: HttpRequest): HttpRequest {
  return r.parent === null ? r : r.family!.main;
}

const DEFAULT_IN_MEMORY = 4096;

/**
 * Keeps an answer's body in memory, up to `subrequest_output_buffer_size` of its location. More than that ends the main
 * request, as in nginx: what was to be made of it cannot be guessed.
 */
export class MemorySink implements SubrequestSink {
  readonly #done: (r: HttpRequest, content: Buffer) => void;
  #content: Buffer = NOTHING;
  #tooBig = false;

  /** @param done gets the body, as far as it came */
  constructor(done: (r: HttpRequest, content: Buffer) => void) {
    this.#done = done;
  }

  onHead(): void {}

  onBody(r: HttpRequest, buf: Buffer, start: number, end: number): number {
    if (this.#tooBig) return HELD;
    if (this.#content.length + end - start <= (r.loc.core.subrequestOutputBufferSize ?? DEFAULT_IN_MEMORY)) {
      this.#content = Buffer.concat([this.#content, buf.subarray(start, end)]);
      return SENT;
    }
    this.#tooBig = true;
    this.#content = NOTHING;
    logRequest(r, 'error', 'too big subrequest response');
    // Not from within its producer's call.
    setImmediate(() => {
      const { main } = r.family!;
      // By now it may be over, and another request.
      if (main.family === r.family) abortMain(main);
    });
    return HELD;
  }

  onEnd(r: HttpRequest): void {
    if (!this.#tooBig) this.#done(r, this.#content);
  }
}

const NOTHING = Buffer.alloc(0);

/** Bytes of an unwanted answer that are read so that its connection can be used again; a longer one is cut. */
const MAX_UNWANTED = 64 * 1024;

/** For answers of which nothing is wanted but that they were made. */
export class DiscardSink implements SubrequestSink {
  #length = 0;

  onHead(_r: HttpRequest): void {}

  onBody(r: HttpRequest, _buf: Buffer, start: number, end: number): number {
    this.#length += end - start;
    if (this.#length <= MAX_UNWANTED) return SENT;
    // Not from within its producer's call.
    setImmediate(() => (r.channel as SubrequestChannel).kill());
    return HELD;
  }

  onEnd(_r: HttpRequest, _complete: boolean): void {}
}
