/**
 * Stands for a client's request where there is none: every variable that speaks of a client is empty. What a check asks for is
 * in the URI, and what `set` of the server and of the location say (outside of `if`) holds.
 */
import { Buffer } from 'node:buffer';
import type { LocationConfig, RewriteOp, ServerConfig } from '../../config/model.ts';
import type { ErrorLog } from '../../observe/error-log.ts';
import { type ClientChannel, HttpRequest, type UpstreamTrace } from '../request.ts';
import { type HttpGeneration, Location, Server } from '../runtime.ts';
import type { VariableTable } from '../variables/table.ts';
import { RequestHead } from '../wire/request-head.ts';
import type { HttpAnswer } from './answer.ts';

const NOBODY = { text: '', port: 0, bytes: new Uint8Array(0) };

export interface ProbePlace {
  generation: HttpGeneration;
  location: LocationConfig;
  server: ServerConfig;
  variables: VariableTable;
  log: ErrorLog;
}

export class ProbeRequest {
  readonly r: HttpRequest;
  readonly #variables: VariableTable;
  readonly #sets: ((r: HttpRequest) => void)[];

  /** @param uri as it stands in the request line */
  constructor({ generation, location, server, variables, log }: ProbePlace, uri: string) {
    this.#variables = variables;
    this.r = blankRequest(uri);
    this.r.gen = generation;
    this.r.loc = new Location(location, server, log);
    this.r.server = new Server(server, this.r.loc);
    this.#sets = [...server.rewrite, ...location.rewrite].flatMap((op) => compileSet(op, variables));
    this.begin();
  }

  /** Values of variables are found anew from now on. */
  begin(): void {
    const { r } = this;
    r.vars = null;
    r.captures = null;
    for (const set of this.#sets) set(r);
  }

  /** A variable once an answer is there: `$upstream_…` speak of it, and so do maps of them. */
  valueAfter(name: string, answer: HttpAnswer): string {
    const { r } = this;
    const { address, status, connectMs, headerMs, responseMs, length, head } = answer;
    const attempt = { address, status, connectMs, headerMs, responseMs, responseLength: length, redirected: false };
    const trace: UpstreamTrace = {
      attempts: [{ ...attempt, bytesReceived: length, bytesSent: 0 }],
      head,
      trailers: null,
      queueMs: -1,
      lastServerName: '',
      leavesWithClient: false,
      release() {},
    };
    r.upstream = trace;
    this.begin();
    const value = this.#variables.lookup(name)(r);
    r.upstream = null;
    return value ?? '';
  }
}

function compileSet(op: RewriteOp, variables: VariableTable): ((r: HttpRequest) => void)[] {
  if (op.op !== 'set') return [];
  const set = variables.setter(op.variable);
  const value = variables.compile(op.value);
  return [(r) => set(r, value.get(r))];
}

function blankRequest(uri: string): HttpRequest {
  const channel = {
    serial: 0,
    requestCount: 0,
    acceptedAt: 0,
    peer: NOBODY,
    tls: null,
    listenAddress: '',
    localAddress: () => '',
    localPort: () => 0,
  } as unknown as ClientChannel;
  const r = new HttpRequest(channel);
  const bytes = Buffer.from(`GET ${uri} HTTP/1.1\r\n\r\n`, 'latin1');
  r.head = new RequestHead();
  r.head.reset(bytes, 0);
  r.head.parse(bytes.length);
  r.client = NOBODY;
  const question = uri.indexOf('?');
  r.uri = question < 0 ? uri : uri.slice(0, question);
  r.args = question < 0 ? '' : uri.slice(question + 1);
  return r;
}
