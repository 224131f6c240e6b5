/**
 * A byte pipe that is no socket of the system but stands for one: a logical stream of a tunnel, a stream of QUIC. It has
 * of `net.Socket` what is used of it here, so that transports, TLS and sessions take it as one.
 *
 * As with a socket, `destroy` without an error closes: what was written still arrives, and then the end. Only
 * `resetAndDestroy` cuts.
 */
import { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { DuplexOptions } from 'node:stream';
import { SocketTransport } from './socket-transport.ts';

/** Addresses of whatever carries the pipe. */
export interface PipeAddresses {
  remoteAddress: string;
  remotePort: number;
  localAddress: string;
  localPort: number;
}

export abstract class PipeSocket extends Duplex implements PipeAddresses {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  /** Whoever reads is done with bytes when its call returns: they need no memory of their own. Transports say so. */
  lends = false;
  /** The peer is to see a cut, not an end. */
  protected cut = false;

  constructor(addresses: PipeAddresses, options: DuplexOptions = {}) {
    super({ ...options, allowHalfOpen: true, decodeStrings: true });
    this.remoteAddress = addresses.remoteAddress;
    this.remotePort = addresses.remotePort;
    this.localAddress = addresses.localAddress;
    this.localPort = addresses.localPort;
  }

  /** Hands on bytes that are valid during the call. */
  protected hand(buf: Buffer, start: number, end: number): void {
    if (this.lends && this.readableFlowing === true && this.readableLength === 0) {
      this.emit('data', buf.subarray(start, end));
    } else this.push(Buffer.from(buf.subarray(start, end)));
  }

  get remoteFamily(): string {
    return this.remoteAddress.includes(':') ? 'IPv6' : 'IPv4';
  }

  get connecting(): boolean {
    return false;
  }

  /** There is no kernel to tell. */
  setNoDelay(_on?: boolean): this {
    return this;
  }

  setKeepAlive(_on?: boolean, _ms?: number): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  /** Closes after all that was written is taken. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished || this.destroyed) this.destroy();
    else this.once('finish', () => void this.destroy());
  }

  resetAndDestroy(): this {
    this.cut = true;
    return this.destroy();
  }
}

/** The pipe as a transport. */
export function transportOf(pipe: PipeSocket): SocketTransport {
  return new SocketTransport(asSocket(pipe), null);
}

/** For those who want a socket. */
export function asSocket(pipe: PipeSocket): Socket {
  return pipe as unknown as Socket;
}
