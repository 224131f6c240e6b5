/** UDP listening sockets of a worker. Each worker has its own on the same address (SO_REUSEPORT); the kernel keeps a client with one. */
import type { Buffer } from 'node:buffer';
import { createSocket } from 'node:dgram';
import type { RemoteInfo, Socket } from 'node:dgram';

export interface UdpListenOptions {
  host: string;
  port: number;
  ipv6only: boolean;
  /** Bytes; 0: the system's. */
  rcvbuf: number;
  sndbuf: number;
}

type LookupCallback = (error: Error | null, address: string, family: number) => void;

/** Addresses are literal everywhere: without it Node would ask the system's resolver for each datagram, a turn later. */
export function lookupLiteral(host: string, options: unknown, callback: LookupCallback): void {
  void options;
  callback(null, host, host.includes(':') ? 6 : 4);
}

export class UdpListener {
  readonly options: UdpListenOptions;
  readonly #socket: Socket;
  #closed = false;

  /** @param onDatagram its buffer is the receiver's to keep */
  constructor(options: UdpListenOptions, onDatagram: (datagram: Buffer, from: RemoteInfo) => void) {
    this.options = options;
    const { host, ipv6only, rcvbuf, sndbuf } = options;
    this.#socket = createSocket({
      type: host.includes(':') ? 'udp6' : 'udp4',
      ipv6Only: host.includes(':') && ipv6only,
      reusePort: true,
      lookup: lookupLiteral,
      ...(rcvbuf > 0 ? { recvBufferSize: rcvbuf } : null),
      ...(sndbuf > 0 ? { sendBufferSize: sndbuf } : null),
    });
    this.#socket.on('message', onDatagram);
    this.#socket.on('error', () => {});
  }

  /** Rejects with the system's error. */
  listen(): Promise<void> {
    const { host, port } = this.options;
    return new Promise((resolve, reject) => {
      this.#socket.once('error', reject);
      this.#socket.bind({ address: host, port, exclusive: true }, () => {
        this.#socket.off('error', reject);
        resolve();
      });
    });
  }

  get localPort(): number {
    return this.#closed ? this.options.port : this.#socket.address().port;
  }

  send(datagram: Uint8Array, port: number, host: string): void {
    if (!this.#closed) this.#socket.send(datagram, port, host);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    try {
      this.#socket.close();
    } catch {
      // It was never bound.
    }
  }
}
