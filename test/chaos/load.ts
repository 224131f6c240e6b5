/**
 * A load generator for tests that count: every answer is read to its end and looked at, every failure is kept.
 *
 * It counts as a failure when a connection is refused or reset, when it ends before an answer is complete, and when
 * the answer is not the one that is expected.
 */
import { connect } from 'node:net';
import type { Socket } from 'node:net';

export interface LoadOptions {
  port: number;
  /** Connections that are kept open as long as the server lets them. */
  keepAlive?: number;
  /** Connections that are opened anew for each request. */
  closing?: number;
  /** Ends after so many requests in all … */
  requests: number;
  /** … or when this says so. */
  stop?: () => boolean;
  path?: string;
  /** Whether an answer is as it should be; by default 200 and this body: `ok`. */
  good?: (status: number, body: string) => boolean;
  /** A request without answer for so long is a failure. */
  timeoutMs?: number;
}

export interface LoadResult {
  /** Requests that were answered well. */
  done: number;
  failures: string[];
  /** Connections that were opened. */
  connections: number;
  seconds: number;
}

const HEAD_END = '\r\n\r\n';

/** Sends requests, one at a time on each connection. @returns when all have ended */
export function load(options: LoadOptions): Promise<LoadResult> {
  const run = new Load(options);
  return run.run();
}

class Load {
  readonly #options: LoadOptions;
  readonly #result: LoadResult = { done: 0, failures: [], connections: 0, seconds: 0 };
  #sent = 0;

  constructor(options: LoadOptions) {
    this.#options = options;
  }

  async run(): Promise<LoadResult> {
    const { keepAlive = 0, closing = 0 } = this.#options;
    const begun = performance.now();
    const lanes = [
      ...Array.from({ length: keepAlive }, () => this.#lane(true)),
      ...Array.from({ length: closing }, () => this.#lane(false)),
    ];
    await Promise.all(lanes);
    this.#result.seconds = (performance.now() - begun) / 1000;
    return this.#result;
  }

  get #over(): boolean {
    return this.#sent >= this.#options.requests || (this.#options.stop?.() ?? false);
  }

  /** One client: a connection after the other, until there is nothing left to do. */
  async #lane(keep: boolean): Promise<void> {
    while (!this.#over) await this.#connection(keep);
  }

  #connection(keep: boolean): Promise<void> {
    const {
      port,
      path = '/',
      timeoutMs = 60_000,
      good = (status, body) => status === 200 && body === 'ok',
    } = this.#options;
    const result = this.#result;
    const request = `GET ${path} HTTP/1.1\r\nHost: load\r\n${keep ? '' : 'Connection: close\r\n'}\r\n`;
    result.connections++;
    return new Promise((resolve) => {
      const socket: Socket = connect(port, '127.0.0.1');
      let text = '';
      let waiting = true;
      const fail = (reason: string): void => {
        if (!waiting) return;
        waiting = false;
        result.failures.push(`${reason} (${keep ? 'kept' : 'closing'}): ${JSON.stringify(text.slice(0, 300))}`);
        socket.destroy();
      };
      const send = (): void => {
        this.#sent++;
        text = '';
        waiting = true;
        socket.write(request);
      };
      socket.setNoDelay(true);
      socket.setEncoding('latin1');
      socket.setTimeout(timeoutMs, () => fail('no answer in time'));
      socket.on('connect', send);
      socket.on('data', (data: string) => {
        text += data;
        const end = text.indexOf(HEAD_END);
        if (end === -1) return;
        const head = text.slice(0, end);
        const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? NaN);
        const body = text.slice(end + HEAD_END.length);
        if (!(body.length >= length)) return;
        const status = Number(head.slice(9, 12));
        if (!good(status, body)) return fail('wrong answer');
        result.done++;
        waiting = false;
        if (keep && !/\r\nconnection: close/i.test(head) && !this.#over) send();
        else socket.end();
      });
      socket.on('error', (error: NodeJS.ErrnoException) => fail(error.code ?? error.message));
      socket.on('close', () => {
        fail('closed without answer');
        resolve();
      });
    });
  }
}
