/** A client of raw bytes over TCP, unix sockets or TLS. */
import { Buffer } from 'node:buffer';
import net from 'node:net';
import tls from 'node:tls';
import { readResponse, type Response } from './http1.ts';
import { PATIENCE_MS, type Scope, within } from './wait.ts';

export interface ClientOptions {
  host?: string;
  tls?: tls.ConnectionOptions;
  /** Close our side when the other has closed its own (default); false: stay half open. */
  allowHalfOpen?: boolean;
}

export class Client {
  readonly socket: net.Socket;
  /** The other side has sent its FIN, or the connection is gone. */
  ended = false;
  closed = false;
  /** Set when the connection was reset. */
  error: NodeJS.ErrnoException | null = null;
  /** All bytes that ever came. */
  readonly received: Buffer[] = [];
  #unread: Buffer[] = [];
  #waiting: (() => void)[] = [];

  private constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on('data', (data: Buffer) => {
      this.received.push(data);
      this.#unread.push(data);
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

  /** Connects to a port of 127.0.0.1, or to a unix socket's path. The connection is destroyed after the test. */
  static async connect(scope: Scope, where: number | string, options: ClientOptions = {}): Promise<Client> {
    const to =
      typeof where === 'number'
        ? { port: where, host: options.host ?? '127.0.0.1', allowHalfOpen: options.allowHalfOpen ?? false }
        : { path: where, allowHalfOpen: options.allowHalfOpen ?? false };
    const secure = options.tls !== undefined;
    const socket = secure ? tls.connect({ ...to, rejectUnauthorized: false, ...options.tls }) : net.connect(to);
    scope.after(() => socket.destroy());
    await within(
      `connection to ${where}`,
      new Promise<void>((resolve, reject) => {
        socket.once(secure ? 'secureConnect' : 'connect', resolve);
        socket.once('error', reject);
      }),
    );
    socket.setNoDelay(true);
    return new Client(socket);
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const go of waiting) go();
  }

  /** Sends bytes; text is one byte a character. Out: once they have been handed to the kernel. */
  send(bytes: string | Buffer): Promise<void> {
    const data = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes;
    return new Promise((resolve) => {
      if (this.socket.destroyed || this.socket.writableEnded) resolve();
      else this.socket.write(data, () => resolve());
    });
  }

  get #length(): number {
    return this.#unread.reduce((n, b) => n + b.length, 0);
  }

  /** What has come and was not taken yet. */
  get unread(): Buffer {
    if (this.#unread.length > 1) this.#unread = [Buffer.concat(this.#unread)];
    return this.#unread[0] ?? Buffer.alloc(0);
  }

  get text(): string {
    return Buffer.concat(this.received).toString('latin1');
  }

  async #wait<T>(what: string, ask: () => T | null, patienceMs: number): Promise<T> {
    const end = performance.now() + patienceMs;
    for (;;) {
      const found = ask();
      if (found !== null) return found;
      const left = end - performance.now();
      const shown = (): string => `${what}; so far: ${JSON.stringify(this.unread.toString('latin1', 0, 500))}`;
      if (left <= 0) throw new Error(`timeout waiting for ${shown()}`);
      await within(shown, new Promise<void>((resolve) => this.#waiting.push(resolve)), left);
    }
  }

  /** Takes the next answer (interim ones too). Fails when the connection ends first, or when it is not well-formed. */
  async response(method = 'GET', patienceMs = PATIENCE_MS): Promise<Response> {
    // Bytes without which a long body cannot be whole: looking at it again for each read would take for ever.
    let needed = 0;
    const found = await this.#wait(
      'an answer',
      () => {
        if (this.#length < needed && !this.ended) return null;
        const response = readResponse(this.unread, method, this.ended);
        if (response === null && this.ended) {
          throw new Error(
            `connection ended (${this.error?.code ?? 'FIN'}) instead of an answer: ${JSON.stringify(this.unread.toString('latin1').slice(0, 500))}`,
          );
        }
        if (response === null) {
          const head = this.unread.indexOf('\r\n\r\n');
          const length = /\r\ncontent-length: (\d+)\r\n/i.exec(
            this.unread.toString('latin1', 0, Math.max(0, head) + 2),
          );
          if (head >= 0 && length !== null) needed = head + 4 + Number(length[1]);
        }
        return response;
      },
      patienceMs,
    );
    this.#unread = [this.unread.subarray(found.length)];
    return found;
  }

  /** Takes `n` bytes. */
  async bytes(n: number, patienceMs = PATIENCE_MS): Promise<Buffer> {
    const found = await this.#wait(
      `${n} bytes`,
      () => {
        if (this.unread.length >= n) return this.unread.subarray(0, n);
        if (this.ended) throw new Error(`connection ended after ${this.unread.length} of ${n} bytes`);
        return null;
      },
      patienceMs,
    );
    this.#unread = [this.unread.subarray(n)];
    return found;
  }

  /** Waits until the other side has ended; out: what was not taken. */
  async end(patienceMs = PATIENCE_MS): Promise<Buffer> {
    await this.#wait('the end of the connection', () => (this.ended ? true : null), patienceMs);
    return this.unread;
  }

  /** Closes with RST. */
  reset(): void {
    this.socket.resetAndDestroy();
  }

  destroy(): void {
    this.socket.destroy();
  }
}

/** Sends `bytes` on a connection of its own; out: all that came until the other side closed it. */
export async function raw(
  scope: Scope,
  where: number | string,
  bytes: string | Buffer,
  options?: ClientOptions,
): Promise<string> {
  const client = await Client.connect(scope, where, options);
  await client.send(bytes);
  await client.end();
  client.destroy();
  return client.text;
}

export interface Ask {
  method?: string;
  /** Field lines without line ends; `Host: localhost` is added if none is there. */
  fields?: string[];
  body?: string | Buffer;
  client?: ClientOptions;
}

/** One request on a connection of its own, closed after it. */
export async function ask(scope: Scope, where: number | string, target = '/', options: Ask = {}): Promise<Response> {
  const client = await Client.connect(scope, where, options.client);
  const method = options.method ?? 'GET';
  await client.send(compose(target, { ...options, fields: [...(options.fields ?? []), 'Connection: close'] }));
  for (;;) {
    const response = await client.response(method);
    if (response.status < 200) continue;
    client.destroy();
    return response;
  }
}

/** The bytes of a request. */
export function compose(target: string, options: Ask = {}): Buffer {
  const fields = [...(options.fields ?? [])];
  if (!fields.some((f) => /^host:/i.test(f))) fields.unshift('Host: localhost');
  const body =
    typeof options.body === 'string' ? Buffer.from(options.body, 'latin1') : (options.body ?? Buffer.alloc(0));
  if (options.body !== undefined && !fields.some((f) => /^(content-length|transfer-encoding):/i.test(f))) {
    fields.push(`Content-Length: ${body.length}`);
  }
  const head = `${options.method ?? 'GET'} ${target} HTTP/1.1\r\n${fields.map((f) => `${f}\r\n`).join('')}\r\n`;
  return Buffer.concat([Buffer.from(head, 'latin1'), body]);
}
