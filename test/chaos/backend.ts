/** A backend that answers `ok` as cheaply as can be, or misbehaves as it is told to. */
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { type Scope, within } from '../helpers/wait.ts';

const OK = Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');

/**
 * `good`: answers. `hang`: takes requests and says nothing. `reset`: resets when a request comes. `garbage`: sends what
 * is no answer. `cut-head`, `cut-body`: closes in the middle. `closed`: does not listen.
 */
export type Mood = 'good' | 'hang' | 'reset' | 'garbage' | 'cut-head' | 'cut-body' | 'closed';

export class ChaosBackend {
  port = 0;
  /** Requests that came. */
  requests = 0;
  #mood: Mood = 'good';
  readonly #sockets = new Set<Socket>();
  readonly #hanging = new Set<Socket>();
  #server: Server;

  private constructor() {
    this.#server = this.#makeServer();
  }

  static async start(scope: Scope): Promise<ChaosBackend> {
    const backend = new ChaosBackend();
    await backend.#listen();
    scope.after(() => backend.#close());
    return backend;
  }

  /** Connections that are open. */
  get open(): number {
    return this.#sockets.size;
  }

  /** Changes how it behaves from the next request on; connections stay, except when it closes. */
  async be(mood: Mood): Promise<void> {
    if (mood === 'closed' && this.#mood !== 'closed') await this.#close();
    if (mood !== 'closed' && this.#mood === 'closed') await this.#listen();
    this.#mood = mood;
  }

  /** Answers the requests that hang. */
  answerAll(): void {
    for (const socket of this.#hanging) socket.write(OK);
    this.#hanging.clear();
  }

  #makeServer(): Server {
    return createServer((socket) => {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.setEncoding('latin1');
      socket.on('error', () => {});
      socket.on('close', () => {
        this.#sockets.delete(socket);
        this.#hanging.delete(socket);
      });
      let rest = '';
      socket.on('data', (data: string) => {
        rest += data;
        for (let end = rest.indexOf('\r\n\r\n'); end !== -1; end = rest.indexOf('\r\n\r\n')) {
          rest = rest.slice(end + 4);
          this.requests++;
          this.#answer(socket);
        }
      });
    });
  }

  #answer(socket: Socket): void {
    switch (this.#mood) {
      case 'good':
        socket.write(OK);
        return;
      case 'reset':
        socket.resetAndDestroy();
        return;
      case 'garbage':
        socket.write('\u0000\u00ffnot http at all\r\n\r\n', 'latin1');
        return;
      case 'cut-head':
        socket.end('HTTP/1.1 200 OK\r\nContent-Len');
        return;
      case 'cut-body':
        socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no');
        return;
      default:
        this.#hanging.add(socket);
    }
  }

  async #listen(): Promise<void> {
    this.#server = this.#makeServer();
    const { port } = this;
    await within('backend to listen', new Promise<void>((resolve) => this.#server.listen(port, '127.0.0.1', resolve)));
    this.port = (this.#server.address() as AddressInfo).port;
  }

  async #close(): Promise<void> {
    for (const socket of this.#sockets) socket.resetAndDestroy();
    if (this.#server.listening) await new Promise((resolve) => this.#server.close(resolve));
  }
}
