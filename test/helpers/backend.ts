/** A server of raw bytes that records what reaches it and answers by a script. */
import { Buffer } from 'node:buffer';
import net from 'node:net';
import tls from 'node:tls';
import { NotWellFormed, readRequest, type Request } from './http1.ts';
import { type Scope, until, within, PATIENCE_MS } from './wait.ts';

/** One connection from the proxy. */
export class BackendConnection {
  readonly socket: net.Socket;
  readonly backend: Backend;
  readonly number: number;
  /** Every byte that came. */
  readonly received: Buffer[] = [];
  /** Requests that were taken from it. */
  readonly requests: Request[] = [];
  ended = false;
  closed = false;
  error: NodeJS.ErrnoException | null = null;
  #parts: Buffer[] = [];
  #waiting: (() => void)[] = [];

  constructor(backend: Backend, socket: net.Socket, number: number) {
    this.backend = backend;
    this.socket = socket;
    this.number = number;
    socket.setNoDelay(true);
    socket.on('data', (data: Buffer) => {
      backend.bytesReceived += data.length;
      if (!backend.recording) return;
      this.received.push(data);
      this.#parts.push(data);
      this.#wake();
    });
    socket.on('end', () => {
      this.ended = true;
      this.#wake();
    });
    socket.on('error', (error) => {
      this.error = error;
    });
    socket.on('close', () => {
      this.ended = this.closed = true;
      this.#wake();
    });
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const go of waiting) go();
  }

  get text(): string {
    return Buffer.concat(this.received).toString('latin1');
  }

  /** Bytes that no request was made of. */
  get unread(): Buffer {
    if (this.#parts.length > 1) this.#parts = [Buffer.concat(this.#parts)];
    return this.#parts[0] ?? Buffer.alloc(0);
  }

  /** Something came, or the connection ended. */
  async activity(): Promise<void> {
    if (!this.ended) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** The next request, whole and well-formed; null: the connection ended before one began. Throws `NotWellFormed`. */
  async request(): Promise<Request | null> {
    for (;;) {
      const request = readRequest(this.unread);
      if (request !== null) {
        this.#parts = [this.unread.subarray(request.length)];
        this.requests.push(request);
        this.backend.requests.push(request);
        return request;
      }
      if (this.ended) {
        if (this.unread.length > 0)
          this.backend.broken.push(
            `connection ended in a request: ${JSON.stringify(this.unread.toString('latin1').slice(0, 300))}`,
          );
        return null;
      }
      await this.activity();
    }
  }

  /** Waits for the end of a request's head (CRLF CRLF) without taking it; out: the head's text. */
  async head(): Promise<string> {
    for (;;) {
      const at = this.unread.indexOf('\r\n\r\n');
      if (at >= 0) return this.unread.toString('latin1', 0, at + 4);
      if (this.ended) return '';
      await this.activity();
    }
  }

  send(bytes: string | Buffer): Promise<void> {
    const data = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes;
    return new Promise((resolve) => {
      if (this.socket.destroyed || this.socket.writableEnded) resolve();
      else this.socket.write(data, () => resolve());
    });
  }

  /** Sends FIN; what comes is still read. */
  end(): void {
    this.socket.end();
  }

  reset(): void {
    this.socket.resetAndDestroy();
  }

  /** Waits until the proxy has closed (or reset) the connection. */
  async gone(patienceMs = PATIENCE_MS): Promise<void> {
    await until('the proxy to close its connection', () => this.ended, patienceMs);
  }
}

/** What is done with a connection. When it returns, the connection stays as it is. */
export type Script = (c: BackendConnection) => void | Promise<void>;

/** What a request is answered with: bytes as they are. Null: nothing. */
export type Answerer = (
  request: Request,
  c: BackendConnection,
) => string | Buffer | null | Promise<string | Buffer | null>;

/** Answers every well-formed request; what is not one is recorded in `broken`. */
export function answering(answer: Answerer): Script {
  return async (c) => {
    for (;;) {
      const request = await c.request();
      if (request === null) return;
      const bytes = await answer(request, c);
      if (bytes !== null) await c.send(bytes);
    }
  };
}

/** The bytes of an answer with a Content-Length. */
export function ok(body: string | Buffer = 'ok', fields: string[] = [], status = '200 OK'): Buffer {
  const bytes = typeof body === 'string' ? Buffer.from(body, 'latin1') : body;
  const head = `HTTP/1.1 ${status}\r\nContent-Length: ${bytes.length}\r\n${fields.map((f) => `${f}\r\n`).join('')}\r\n`;
  return Buffer.concat([Buffer.from(head, 'latin1'), bytes]);
}

export interface BackendOptions {
  /** Listen on a unix socket. */
  path?: string;
  host?: string;
  port?: number;
  tls?: tls.TlsOptions;
}

export class Backend {
  port = 0;
  script: Script;
  readonly connections: BackendConnection[] = [];
  readonly requests: Request[] = [];
  /** What came that was not well-formed, and what scripts threw. */
  readonly broken: string[] = [];
  bytesReceived = 0;
  /** False: bytes are counted and forgotten (large bodies). */
  recording = true;
  readonly server: net.Server;

  private constructor(script: Script, options: BackendOptions) {
    this.script = script;
    const accept = (socket: net.Socket): void => {
      const c = new BackendConnection(this, socket, this.connections.length);
      this.connections.push(c);
      void (async () => this.script(c))().catch((error: unknown) => {
        this.broken.push(String(error));
        // Whatever follows a request that cannot be understood must not be taken for one.
        if (error instanceof NotWellFormed) c.socket.destroy();
      });
    };
    const half = { allowHalfOpen: true };
    this.server =
      options.tls === undefined
        ? net.createServer(half, accept)
        : tls.createServer({ ...half, ...options.tls }, accept);
    this.server.on('tlsClientError', () => {});
  }

  /** Starts a server; it is stopped after the test. */
  static async start(scope: Scope, script: Script, options: BackendOptions = {}): Promise<Backend> {
    const backend = new Backend(script, options);
    await within(
      'backend to listen',
      new Promise<void>((resolve, reject) => {
        backend.server.once('error', reject);
        if (options.path !== undefined) backend.server.listen(options.path, resolve);
        else backend.server.listen(options.port ?? 0, options.host ?? '127.0.0.1', resolve);
      }),
    );
    if (options.path === undefined) backend.port = (backend.server.address() as net.AddressInfo).port;
    scope.after(() => backend.stop());
    return backend;
  }

  /** Connections that the proxy has not closed. */
  get open(): number {
    return this.connections.filter((c) => !c.ended).length;
  }

  /** Forgets what was recorded. */
  forget(): void {
    this.requests.length = 0;
    this.broken.length = 0;
    this.bytesReceived = 0;
  }

  async stop(): Promise<void> {
    for (const c of this.connections) c.socket.destroy();
    if (this.server.listening) await new Promise((resolve) => this.server.close(resolve));
  }
}
