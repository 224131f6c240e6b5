/** Listening for QUIC: each stream that a client opens is a connection of its own. */
import { clock } from '../clock.ts';
import type { QuicHelper } from './process.ts';
import type { QuicListenOptions } from './protocol.ts';
import type { QuicSocket } from './stream.ts';

export const DEFAULT_QUIC_LISTEN: Omit<QuicListenOptions, 'host' | 'port' | 'certificate' | 'key'> = {
  alpn: ['ALPN'],
  maxConnections: 10_000,
  idleMs: 30_000,
  keepAliveMs: 5000,
};

export class QuicListener {
  readonly #options: QuicListenOptions;
  readonly #helper: QuicHelper;
  readonly #onStream: (stream: QuicSocket) => void;
  #id = -1;
  /** The one that it listens on, when it does. */
  port = 0;

  constructor(options: QuicListenOptions, helper: QuicHelper, onStream: (stream: QuicSocket) => void) {
    this.#options = options;
    this.#helper = helper;
    this.#onStream = onStream;
  }

  /** Rejects with the reason. Once it listens it comes back by itself after the helper had to be started again. */
  async listen(): Promise<void> {
    await this.#helper.start();
    await new Promise<void>((resolve, reject) => {
      this.#id = this.#helper.listen({
        command: { op: 'listen', id: 0, ...this.#options },
        told: (problem, port) => {
          if (problem !== null) {
            reject(new Error(problem));
            return;
          }
          this.port = port;
          resolve();
        },
        arrived: (stream) => {
          clock.update();
          this.#onStream(stream);
        },
      });
    });
  }

  /** Takes no new connections; those that there are go on. */
  close(): void {
    if (this.#id >= 0) this.#helper.unlisten(this.#id);
    this.#id = -1;
  }
}
