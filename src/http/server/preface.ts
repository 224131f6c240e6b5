/**
 * A plain connection on an address that speaks HTTP/1 and HTTP/2: the first bytes say which (RFC 9113 section 3.3). On
 * addresses without HTTP/2 there is none of these.
 */
import { Buffer } from 'node:buffer';
import { Timer } from '../../net/timers.ts';
import type { Transport, TransportOwner } from '../../net/transport.ts';
import type { ProxyProtocolInfo } from '../../net/proxy-protocol.ts';
import { CLOSED, traffic } from '../../observe/traffic.ts';
import type { ClientAddress } from '../request.ts';
import type { HttpGeneration } from '../runtime.ts';
import { PREFACE } from '../wire/h2/constants.ts';
import type { ClientConnection } from './connection-list.ts';
import { Http1Connection } from './http1-connection.ts';
import { Http2Connection } from './http2-connection.ts';
import type { HttpListen } from './listen.ts';

const EXPECTED = Buffer.from(PREFACE, 'latin1');

export class PrefaceReader implements ClientConnection, TransportOwner {
  next: ClientConnection | null = null;
  previous: ClientConnection | null = null;
  readonly #transport: Transport;
  readonly #listen: HttpListen;
  readonly #peer: ClientAddress;
  readonly #proxyProtocol: ProxyProtocolInfo | null;
  readonly #timer = new Timer(() => this.#transport.destroy());
  /** Bytes of a preface so far. */
  #have = 0;

  constructor(transport: Transport, listen: HttpListen, peer: ClientAddress, proxyProtocol: ProxyProtocolInfo | null) {
    this.#transport = transport;
    this.#listen = listen;
    this.#peer = peer;
    this.#proxyProtocol = proxyProtocol;
    transport.owner = this;
    listen.connections.add(this);
    this.#timer.arm(listen.defaultServer.config.clientHeaderTimeoutMs);
  }

  onData(buf: Buffer, start: number, end: number): void {
    let at = start;
    let have = this.#have;
    while (at < end && have < EXPECTED.length && buf[at] === EXPECTED[have]) {
      at++;
      have++;
    }
    if (at === end && have < EXPECTED.length) {
      this.#have = have;
      return;
    }
    const kept = this.#have;
    const connection =
      have === EXPECTED.length
        ? new Http2Connection(this.#transport, this.#listen, this.#peer, null, this.#proxyProtocol)
        : new Http1Connection(this.#transport, this.#listen, this.#peer, null, this.#proxyProtocol);
    this.#leave();
    if (kept > 0) connection.onData(EXPECTED, 0, kept);
    connection.onData(buf, start, end);
  }

  /** After the connection that takes its place has come: the list is never empty in between. */
  #leave(): void {
    this.#timer.drop();
    this.#listen.connections.remove(this);
  }

  onEnd(): void {
    this.#transport.close();
  }

  onDrain(): void {}

  onClose(): void {
    traffic.row[CLOSED]!++;
    this.#leave();
  }

  reload(): void {}

  quit(): void {
    this.#transport.close();
  }

  expire(_generation: HttpGeneration): void {}

  kill(): void {
    this.#transport.destroy();
  }
}
