/** One listening address of a worker, over all reloads: its connections, and the generation that new requests run under. */
import { countRefusedCertificate } from '../../net/tls-counts.ts';
import type { ListenConfig, LogLevel } from '../../config/model.ts';
import type { HttpGeneration, Server } from '../runtime.ts';
import type { HttpRequest } from '../request.ts';
import { ServerLines } from '../wire/writer.ts';
import type { HostTable } from '../../variables/host-table.ts';
import type { ConnectionList } from './connection-list.ts';
import { BUILD_TEXT, PRODUCT, VERSION } from '../../version.ts';

/** What a generation says of an address. */
export interface ListenRuntime {
  generation: HttpGeneration;
  config: ListenConfig;
  defaultServer: Server;
  hosts: HostTable<Server>;
}

const WITH_VERSION = new ServerLines(`${PRODUCT}/${VERSION}`);
const WITHOUT_VERSION = new ServerLines(PRODUCT);
const WITH_BUILD = new ServerLines(`${PRODUCT}/${VERSION}${BUILD_TEXT}`);

export class HttpListen {
  readonly connections: ConnectionList;
  #runtime: ListenRuntime;

  constructor(runtime: ListenRuntime, connections: ConnectionList) {
    this.#runtime = runtime;
    this.connections = connections;
  }

  /** Requests from now on run under another generation. */
  swap(runtime: ListenRuntime): void {
    this.#runtime = runtime;
  }

  get generation(): HttpGeneration {
    return this.#runtime.generation;
  }

  get config(): ListenConfig {
    return this.#runtime.config;
  }

  get defaultServer(): Server {
    return this.#runtime.defaultServer;
  }

  /** Plain connections may speak HTTP/2. */
  get http2(): boolean {
    const { config, defaultServer } = this.#runtime;
    return config.http2 || defaultServer.config.http2.on;
  }

  get hosts(): HostTable<Server> {
    return this.#runtime.hosts;
  }

  serverLines(r: HttpRequest): ServerLines {
    const tokens = r.loc.core.serverTokens;
    return tokens === 'on' ? WITH_VERSION : tokens === 'off' ? WITHOUT_VERSION : WITH_BUILD;
  }

  /** Why a request over TLS is refused by its server: client certificates (400 with nginx's 495, 496), another server's name (421). */
  tlsRefusal(r: HttpRequest): { status: number; why: string } | null {
    const ssl = r.server.config.ssl;
    const tls = r.channel.tls;
    if (ssl === null || tls === null || ssl.verifyClient === 'off') return null;
    // The certificate was asked for by the server that SNI named; another one may not be reached through it.
    if (tls.serverName !== '' && r.server !== this.hosts.find(tls.serverName.toLowerCase(), r)) {
      return {
        status: 421,
        why: 'client attempted to request the server name different from the one that was negotiated',
      };
    }
    if (tls.clientVerify.startsWith('FAILED') && ssl.verifyClient !== 'optional_no_ca') {
      countRefusedCertificate(tls.clientVerify);
      return { status: 495, why: `client SSL certificate verify error: (${tls.clientVerify.slice(7)})` };
    }
    if (ssl.verifyClient === 'on' && tls.clientVerify === 'NONE') {
      countRefusedCertificate('NONE');
      return { status: 496, why: 'client sent no required SSL certificate' };
    }
    return null;
  }

  log(level: LogLevel, message: string, client: string): void {
    this.defaultServer.root.log.write(level, `${message}, client: ${client}, server: ${this.config.address}`);
  }
}
