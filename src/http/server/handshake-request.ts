/**
 * A request that does not exist yet: what names of certificates (`ssl_certificate $ssl_server_name.crt`) are evaluated
 * against, while the handshake goes on that a request may follow.
 */
import { Buffer } from 'node:buffer';
import type { ClientAddress, ClientChannel, TlsInfo } from '../request.ts';
import { HttpRequest } from '../request.ts';
import type { HttpGeneration, Server } from '../runtime.ts';
import { RequestHead } from '../wire/request-head.ts';
import { clock } from '../../net/clock.ts';
import { handshakeInfo } from '../../net/tls-info.ts';

/** What is known when a client has said which server it wants. */
export interface Handshake {
  serverName: string;
  client: ClientAddress;
  /** Address and port that the client connected to. */
  localAddress: string;
  localPort: number;
}

const NO_HEAD = Buffer.from('GET / HTTP/1.1\r\n\r\n');

function nothingToSend(): never {
  throw new Error('there is no request to answer yet');
}

class HandshakeChannel implements ClientChannel {
  readonly serial = 0;
  readonly requestCount = 0;
  readonly acceptedAt = clock.now;
  readonly peer: ClientAddress;
  readonly tls: TlsInfo;
  readonly proxyProtocol = null;
  readonly listenAddress: string;
  readonly sendHead = nothingToSend;
  readonly sendHeadRest = nothingToSend;
  readonly sendBody = nothingToSend;
  readonly sendInformational = nothingToSend;
  readonly abort = nothingToSend;
  readonly closeSilently = nothingToSend;
  readonly resumeReading = nothingToSend;
  readonly takeOver = nothingToSend;
  readonly #local: { address: string; port: number };

  constructor({ serverName, client, localAddress, localPort }: Handshake) {
    this.peer = client;
    this.listenAddress = localAddress;
    this.#local = { address: localAddress, port: localPort };
    this.tls = handshakeInfo(serverName);
  }

  localAddress(): string {
    return this.#local.address;
  }

  localPort(): number {
    return this.#local.port;
  }
}

/** @param server the block that the client's name has chosen */
export function handshakeRequest(generation: HttpGeneration, server: Server, handshake: Handshake): HttpRequest {
  const r = new HttpRequest(new HandshakeChannel(handshake));
  r.gen = generation;
  r.server = server;
  r.loc = server.root;
  r.head = new RequestHead();
  r.head.reset(NO_HEAD, 0);
  r.head.parse(NO_HEAD.length);
  r.client = handshake.client;
  r.host = handshake.serverName.toLowerCase();
  r.uri = '/';
  r.startedAt = clock.now;
  r.startedWall = clock.wall;
  return r;
}
