/** Addresses of clients. */
import type { Ends } from './transport.ts';

export interface ClientAddress {
  /** Text without brackets; `unix:` for unix sockets. */
  text: string;
  port: number;
  /** 4 or 16 bytes; empty for unix sockets. */
  bytes: Uint8Array;
}

const UNIX_BYTES = new Uint8Array(0);

/** The client's address; its bytes are made when a balancer asks for them. */
export class SocketAddress implements ClientAddress {
  readonly text: string;
  readonly port: number;
  #bytes: Uint8Array | null = null;

  constructor(text: string, port: number) {
    this.text = text;
    this.port = port;
  }

  get bytes(): Uint8Array {
    return (this.#bytes ??= addressBytes(this.text));
  }
}

/** 4 or 16 bytes of an address; none for unix sockets. */
export function addressBytes(text: string): Uint8Array {
  if (text.startsWith('unix:') || text === '') return UNIX_BYTES;
  if (!text.includes(':')) return Uint8Array.from(text.split('.'), Number);
  const [head = '', tail] = text.replace(/%.*$/, '').split('::');
  const groups = (part: string): number[] =>
    part === ''
      ? []
      : part.split(':').flatMap((g) => {
          if (g.includes('.')) {
            const [a = 0, b = 0, c = 0, d = 0] = g.split('.').map(Number);
            return [a * 256 + b, c * 256 + d];
          }
          return [Number.parseInt(g, 16)];
        });
  const left = groups(head);
  const right = tail === undefined ? [] : groups(tail);
  const all = [...left, ...new Array<number>(Math.max(0, 8 - left.length - right.length)).fill(0), ...right];
  return Uint8Array.from(all.flatMap((g) => [g >> 8, g & 255]));
}

/** @param unix the connection came over a unix socket */
export function addressOf(ends: Ends, unix: boolean): ClientAddress {
  if (unix) return new SocketAddress('unix:', 0);
  const text = ends.remoteAddress ?? '';
  return new SocketAddress(
    text.startsWith('::ffff:') && text.includes('.') ? text.slice(7) : text,
    ends.remotePort ?? 0,
  );
}
