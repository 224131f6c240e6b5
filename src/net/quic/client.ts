/** Dialling over QUIC: a connection with one stream, which is the pipe. */
import { clock } from '../clock.ts';
import type { DialLink } from '../link.ts';
import { transportOf } from '../pipe.ts';
import { isLiteral } from '../tls-client.ts';
import { QuicHelper } from './process.ts';
import type { QuicLog } from './process.ts';

export interface QuicClientOptions {
  /** Protocols to ask for; any-proxy's is called `ALPN`. */
  alpn: string[];
  /** The server's certificate is checked. */
  verify: boolean;
  /** PEM: only what these have signed is believed; null: what the world believes. */
  trusted: string | null;
  /** A connection on which nothing moves is given up after so long. */
  idleMs: number;
  /** How often an idle connection is kept awake. */
  keepAliveMs: number;
}

export const DEFAULT_QUIC_CLIENT: QuicClientOptions = {
  alpn: ['ALPN'],
  verify: true,
  trusted: null,
  idleMs: 30_000,
  keepAliveMs: 5000,
};

/** Helpers by whom they believe, one of each for all clients of the thread. */
export class QuicHelpers {
  readonly #log: QuicLog;
  readonly #helpers = new Map<string, QuicHelper>();

  constructor(log: QuicLog) {
    this.#log = log;
  }

  get(trust: 'public' | 'given' | 'anybody'): QuicHelper {
    let helper = this.#helpers.get(trust);
    if (helper === undefined) {
      helper = new QuicHelper(trust, this.#log);
      this.#helpers.set(trust, helper);
    }
    return helper;
  }

  /** Ends all of them, and their streams. */
  close(): void {
    for (const helper of this.#helpers.values()) helper.close();
    this.#helpers.clear();
  }
}

export interface QuicAddress {
  host: string;
  port: number;
  localAddress: string | null;
}

export class QuicClient {
  readonly #options: QuicClientOptions;
  readonly #helper: QuicHelper;

  constructor(options: QuicClientOptions, helpers: QuicHelpers) {
    this.#options = options;
    this.#helper = helpers.get(options.verify ? (options.trusted === null ? 'public' : 'given') : 'anybody');
  }

  /**
   * The server hears of the stream when something is written to it: where servers speak first, a hello has to.
   *
   * @param name sent by SNI, and what the certificate has to be for
   */
  dial(address: QuicAddress, name: string): DialLink {
    return (outcome) => {
      let cancelled = false;
      let stop = (): void => {};
      const { alpn, trusted, idleMs, keepAliveMs } = this.#options;
      const helper = this.#helper;
      helper
        .start()
        .then(() => {
          if (cancelled) return;
          const trust = trusted === null ? -1 : helper.trust(trusted);
          const dial = { ...address, name: isLiteral(name) ? address.host : name, alpn, trust, idleMs, keepAliveMs };
          stop = helper.dial(dial, (stream, problem) => {
            clock.update();
            if (stream === null) outcome.failed(`QUIC handshake failed: ${problem}`);
            else outcome.connected(transportOf(stream));
          });
        })
        .catch((error: unknown) => {
          if (!cancelled) outcome.failed((error as Error).message);
        });
      return {
        cancel() {
          cancelled = true;
          stop();
        },
      };
    };
  }
}
