/** A UDP listening address of a worker: tells datagrams of known clients from those of new ones. */
import type { Buffer } from 'node:buffer';
import type { RemoteInfo } from 'node:dgram';
import { SocketAddress } from '../net/client-address.ts';
import type { ClientAddress } from '../net/client-address.ts';
import { clock } from '../net/clock.ts';
import { UdpListener } from '../net/udp.ts';
import { ACCEPTED, traffic } from '../observe/traffic.ts';
import type { StreamListen } from './listen.ts';
import { UdpSession } from './udp-session.ts';
import type { UdpReply } from './udp-session.ts';

export class UdpListen implements UdpReply {
  readonly listen: StreamListen;
  readonly #listener: UdpListener;
  readonly #sessions = new Map<string, UdpSession>();
  readonly #maxSessions: number;
  /** No configuration listens here any more; the socket stays for the sessions that it has. */
  #leaving = false;
  /** Sessions whose answers go out here: also those that take no more datagrams. */
  #active = 0;
  #fullSince = -Infinity;

  /** @param maxSessions worker_connections: whoever can forge addresses could open any number */
  constructor(listen: StreamListen, maxSessions: number) {
    this.listen = listen;
    this.#maxSessions = maxSessions;
    const { host, port, ipv6only, rcvbuf, sndbuf } = listen.runtime.config;
    this.#listener = new UdpListener({ host, port, ipv6only, rcvbuf, sndbuf }, (datagram, from) =>
      this.#onDatagram(datagram, from),
    );
  }

  open(): Promise<void> {
    return this.#listener.listen();
  }

  #onDatagram(datagram: Buffer, from: RemoteInfo): void {
    const key = `${from.address} ${from.port}`;
    const known = this.#sessions.get(key);
    if (known !== undefined) {
      known.onDatagram(datagram);
      return;
    }
    if (this.#leaving) return;
    clock.update();
    if (this.#active >= this.#maxSessions) {
      this.#full();
      return;
    }
    traffic.row[ACCEPTED]!++;
    const s = new UdpSession(this.listen, new SocketAddress(plain(from.address), from.port), key, this);
    this.#active++;
    this.#sessions.set(key, s);
    s.noteConnected();
    s.begin(datagram);
  }

  /** Tells at most once a second. */
  #full(): void {
    if (clock.now - this.#fullSince < 1000) return;
    this.#fullSince = clock.now;
    const { defaultServer } = this.listen.runtime;
    defaultServer.log.write('alert', `${this.#maxSessions} worker_connections are not enough`);
  }

  send(datagram: Uint8Array, { text, port }: ClientAddress): void {
    this.#listener.send(datagram, port, this.#v6 && !text.includes(':') ? `::ffff:${text}` : text);
  }

  get #v6(): boolean {
    return this.#listener.options.host.includes(':');
  }

  localAddress(): string {
    return this.#listener.options.host;
  }

  localPort(): number {
    return this.#listener.localPort;
  }

  forget(s: UdpSession): void {
    if (this.#sessions.get(s.key) === s) this.#sessions.delete(s.key);
    if (s.status === 0) return;
    this.#active--;
    if (this.#leaving && this.#active === 0) this.#listener.close();
  }

  /** No configuration listens here any more: known clients are served to their end. */
  leave(): void {
    this.#leaving = true;
    if (this.#active === 0) this.#listener.close();
  }

  /** Closes at once. */
  close(): void {
    this.#leaving = true;
    this.#listener.close();
  }
}

function plain(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
}
