/** Where QUIC comes in: one for each such address, over all reloads. */
import { createPrivateKey } from 'node:crypto';
import type { SslServerConfig } from '../config/model.ts';
import type { LinkLog } from '../net/via.ts';
import type { QuicListener } from '../net/quic/listener.ts';
import { acceptQuic } from '../stream/accept.ts';
import type { StreamListen } from '../stream/listen.ts';
import type { StreamListenRuntime } from '../stream/runtime.ts';

interface Pair {
  certificate: string;
  key: string;
}

export class QuicDoor {
  readonly #listen: StreamListen;
  #listener: QuicListener | null = null;
  #pair: Pair = { certificate: '', key: '' };
  #closed = false;

  constructor(listen: StreamListen) {
    this.#listen = listen;
  }

  /** Listens; QUIC is loaded now. @throws {Error} with the reason why it cannot */
  async open(): Promise<void> {
    this.#pair = pairOf(this.#listen.runtime);
    await this.#open();
  }

  async #open(): Promise<void> {
    const listen = this.#listen;
    const log: LinkLog = (level, message) => listen.runtime.defaultServer.log.write(level, message);
    const { DEFAULT_QUIC_LISTEN, QuicListener: Listener } = await import('../net/quic/listener.ts');
    const { quicHelpers } = await import('../net/via-quic.ts');
    const { host, port } = listen.runtime.config;
    const helper = quicHelpers(log).get('anybody');
    const options = { ...DEFAULT_QUIC_LISTEN, host, port, ...this.#pair };
    this.#listener = new Listener(options, helper, (stream) => acceptQuic(listen, stream));
    await this.#listener.listen();
  }

  /** A generation has come: another certificate may be shown from now on. */
  follow(runtime: StreamListenRuntime): void {
    const pair = pairOf(runtime);
    if (pair.certificate === this.#pair.certificate && pair.key === this.#pair.key) return;
    this.#pair = pair;
    this.#listener?.close();
    this.#open().catch((error: unknown) => {
      if (!this.#closed)
        runtime.defaultServer.log.emerg(`QUIC on ${runtime.config.address}: ${(error as Error).message}`);
    });
  }

  /** No new connections. */
  close(): void {
    this.#closed = true;
    this.#listener?.close();
  }
}

/** The one certificate of an address, whatever its servers are called; the configuration was checked for it. */
function pairOf({ servers, defaultServer }: StreamListenRuntime): Pair {
  for (const { config } of [defaultServer, ...servers]) {
    const [pair] = config.ssl?.certificates ?? [];
    if (pair !== undefined) return { certificate: pair.certificate, key: opened(pair.key, config.ssl!) };
  }
  throw new Error('no certificate for QUIC');
}

/** A key without its password. */
function opened(key: string, { passphrases }: SslServerConfig): string {
  for (const passphrase of passphrases) {
    try {
      return createPrivateKey({ key, passphrase }).export({ type: 'pkcs8', format: 'pem' });
    } catch {
      // Another password, or none is needed.
    }
  }
  return key;
}
