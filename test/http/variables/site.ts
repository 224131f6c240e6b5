/**
 * A configuration's http part run without sockets: requests are parsed from text, answers are what a channel of memory
 * took. What stands between is the real thing: loader, compiler, engine.
 */
import { Buffer } from 'node:buffer';
import { clock } from '../../../src/net/clock.ts';
import { loadNginxConfig } from '../../../src/config/nginx/load.ts';
import type { Config } from '../../../src/config/model.ts';
import { loadParts } from '../../../src/http/parts.ts';
import { compileHttp } from '../../../src/http/compile.ts';
import type { CompileEnv, HttpRuntime } from '../../../src/http/compile.ts';
import * as engine from '../../../src/http/engine.ts';
import { HELD, HttpRequest, SENT } from '../../../src/http/request.ts';
import type { ClientAddress, ClientChannel } from '../../../src/http/request.ts';
import { RequestBody } from '../../../src/http/server/body.ts';
import { H } from '../../../src/http/wire/known.ts';
import { RequestHead } from '../../../src/http/wire/request-head.ts';
import { DONE } from '../../../src/http/wire/outcomes.ts';
import { normalPath } from '../../../src/http/wire/uri.ts';
import { ErrorLog } from '../../../src/observe/error-log.ts';

export interface AskOptions {
  method?: string;
  host?: string | null;
  headers?: string[];
  version?: string;
  peer?: ClientAddress;
  /** The channel holds this many writes before it drains. */
  holds?: number;
}

/** A channel that keeps what it was given. */
export class MemoryChannel implements ClientChannel {
  readonly serial = 7;
  requestCount = 1;
  readonly acceptedAt: number = clock.now;
  readonly tls = null;
  readonly listenAddress = '127.0.0.1:8080';
  peer: ClientAddress;
  holds: number;
  status = 0;
  contentType: string | null = null;
  contentLength = -1;
  fields: [string, string][] = [];
  readonly pieces: Buffer[] = [];
  ended = false;
  aborted = false;
  closedSilently = false;
  /** Nothing may be sent until the drain. */
  #held = false;

  constructor(peer: ClientAddress, holds: number) {
    this.peer = peer;
    this.holds = holds;
  }

  localAddress(): string {
    return '127.0.0.1';
  }

  localPort(): number {
    return 8080;
  }

  sendHead(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): number {
    r.headSent = true;
    this.status = r.status;
    this.contentType = r.contentType;
    this.contentLength = r.contentLength;
    for (let i = 0; i < r.fields.count; i++) this.fields.push([r.fields.names[i]!, r.fields.values[i]!]);
    r.bytesSent += 100;
    return this.#take(r, buf, start, end, last);
  }

  sendBody(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): number {
    return this.#take(r, buf, start, end, last);
  }

  #take(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): number {
    if (this.#held) throw new Error('sent while bytes were held');
    if (this.ended) throw new Error('sent after the end');
    const bytes = buf === null || r.headerOnly ? Buffer.alloc(0) : Buffer.from(buf.subarray(start, end));
    this.pieces.push(bytes);
    r.bytesSent += bytes.length;
    r.bodyBytesSent += bytes.length;
    if (last) {
      this.ended = true;
      r.ended = true;
      return SENT;
    }
    if (this.holds === 0 || buf === null) return SENT;
    this.holds--;
    this.#held = true;
    setImmediate(() => {
      this.#held = false;
      r.producer?.onDrain(r);
    });
    return HELD;
  }

  sendHeadRest(): number {
    throw new Error('heads go out in one here');
  }

  sendInformational(): void {}

  abort(r: HttpRequest): void {
    this.aborted = true;
    this.ended = true;
    r.ended = true;
  }

  closeSilently(r: HttpRequest): void {
    this.closedSilently = true;
    this.abort(r);
  }

  resumeReading(): void {}

  takeOver(): void {
    throw new Error('no tunnels here');
  }

  /** Waits for the end of the answer. */
  async done(): Promise<void> {
    while (!this.ended) await new Promise((resolve) => setTimeout(resolve, 2));
  }

  get body(): string {
    return Buffer.concat(this.pieces).latin1Slice();
  }

  /** Values of a field, joined. */
  field(name: string): string | null {
    const values = this.fields.filter(([n]) => n.toLowerCase() === name.toLowerCase()).map(([, v]) => v);
    return values.length === 0 ? null : values.join(' | ');
  }
}

export const LOCAL: ClientAddress = { text: '127.0.0.1', port: 40000, bytes: Uint8Array.from([127, 0, 0, 1]) };

export class Site {
  readonly config: Config;
  readonly runtime: HttpRuntime;
  /** Lines of the error log. */
  readonly errors: string[] = [];
  /** Lines of access logs, as `path: line`. */
  readonly lines: string[] = [];

  constructor(config: Config) {
    this.config = config;
    const env = {
      group: {},
      tables: [],
      learnZones: {},
      cacheZones: {},
      errorLog: () =>
        new ErrorLog([{ kind: 'stderr', level: 'info' }], { stderr: (line) => void this.errors.push(line) }),
      accessLogs: {
        open: (path: string) => ({ write: (line: string) => void this.lines.push(`${path}: ${line}`) }),
        writeTo: (path: string, line: string) => void this.lines.push(`${path}: ${line}`),
      },
      resolver: () => {
        throw new Error('no resolver here');
      },
    };
    this.runtime = compileHttp(1, config, config.http!, env as unknown as CompileEnv);
  }

  /** @param body what stands in `http { }`; a `server` listens on 127.0.0.1:8080 unless it says else */
  static async of(body: string, prefix = '/srv/'): Promise<Site> {
    const text = `events {}\nhttp {\n${body}\n}\n`;
    const { config } = await loadNginxConfig({
      prefix,
      file: 'nginx.conf',
      cpuCount: 1,
      superUser: false,
      lookup: async () => [],
      readFile: () => text,
      glob: () => [],
    });
    await loadParts(config.http!);
    return new Site(config);
  }

  /** A site of one server with these directives. */
  static async server(directives: string, http = ''): Promise<Site> {
    return Site.of(`${http}\nserver { listen 127.0.0.1:8080; server_name first.test; ${directives} }`);
  }

  /** A parsed request that has not begun. */
  request(target: string, options: AskOptions = {}): { r: HttpRequest; channel: MemoryChannel } {
    const { method = 'GET', host = 'first.test', headers = [], version = '1.1', peer = LOCAL, holds = 0 } = options;
    const channel = new MemoryChannel(peer, holds);
    const lines = [`${method} ${target} HTTP/${version}`, ...(host === null ? [] : [`Host: ${host}`]), ...headers];
    const head = new RequestHead();
    const bytes = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
    head.reset(bytes, 0);
    if (head.parse(bytes.length) !== DONE) throw new Error(`the request is not well-formed: ${lines.join('|')}`);
    const listen = [...this.runtime.listens.values()][0]!;
    const r = new HttpRequest(channel);
    r.reset();
    r.gen = this.runtime.generation;
    r.head = head;
    r.method = head.method;
    r.version = head.version;
    r.client = channel.peer;
    r.startedAt = clock.update();
    r.startedWall = clock.wall;
    r.bytesReceived = bytes.length;
    r.body = new RequestBody();
    r.body.begin(r, 0);
    const named = head.get(H.host);
    r.host = named === null ? '' : (listen.hosts.validate(named) ?? '');
    r.server = listen.hosts.find(r.host, r);
    r.loc = r.server.root;
    r.uri = normalPath(head.buf, head.targetStart, head.pathEnd, true) ?? '/';
    r.args = head.args();
    return { r, channel };
  }

  /** Asks and waits for the end of the answer; logs it. */
  async ask(target: string, options: AskOptions = {}): Promise<MemoryChannel> {
    const { r, channel } = this.request(target, options);
    engine.start(r);
    await channel.done();
    engine.finished(r);
    return channel;
  }

  /** The body of an answer. */
  async body(target: string, options: AskOptions = {}): Promise<string> {
    return (await this.ask(target, options)).body;
  }
}
