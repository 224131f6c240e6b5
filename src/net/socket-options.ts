/** Options and addresses of sockets that no socket of Node stands for (`ring-transport.ts`). Linux. */
import { Buffer } from 'node:buffer';
import { formatIpv6, parseIpv4, parseIpv6 } from '../config/address.ts';
import { libc, Scratch } from './libc.ts';

export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;

/** Level and name. */
export type SocketOption = readonly [level: number, name: number];

const SOL_SOCKET = 1;
const IPPROTO_TCP = 6;
export const NO_DELAY: SocketOption = [IPPROTO_TCP, 1];
export const LINGER: SocketOption = [SOL_SOCKET, 13];
const KEEP_ALIVE: SocketOption = [SOL_SOCKET, 9];
const KEEP_IDLE: SocketOption = [IPPROTO_TCP, 4];

const value = new Scratch(8);
/** `struct sockaddr_storage`, then its length. */
const address = new Scratch(136);
const LENGTH = 128;
const lengthAt = address.at + BigInt(LENGTH);

/** @param second of those that have two numbers (`struct linger`) */
export function setOption(fd: number, [level, name]: SocketOption, first: number, second: number | null = null): void {
  value.bytes.writeInt32LE(first, 0);
  value.bytes.writeInt32LE(second ?? 0, 4);
  libc.setsockopt(fd, level, name, value.at, second === null ? 4 : 8);
}

/** @param idleMs from the last bytes to the first probe, milliseconds; 0: as the system has it */
export function setKeepAlive(fd: number, on: boolean, idleMs: number): void {
  setOption(fd, KEEP_ALIVE, on ? 1 : 0);
  if (on && idleMs >= 1000) setOption(fd, KEEP_IDLE, Math.floor(idleMs / 1000));
}

/** One end of a connection. */
export interface End {
  /** Empty for unix sockets. */
  readonly address: string;
  readonly port: number;
}

const NOWHERE: End = { address: '', port: 0 };

export function remoteEnd(fd: number): End {
  return endOf((at, length) => libc.getpeername(fd, at, length));
}

export function localEnd(fd: number): End {
  return endOf((at, length) => libc.getsockname(fd, at, length));
}

function endOf(ask: (at: bigint, length: bigint) => number): End {
  const { bytes, at } = address;
  bytes.writeInt32LE(LENGTH, LENGTH);
  if (ask(at, lengthAt) !== 0) return NOWHERE;
  const family = bytes.readUInt16LE(0);
  const port = bytes.readUInt16BE(2);
  if (family === AF_INET) return { address: `${bytes[4]}.${bytes[5]}.${bytes[6]}.${bytes[7]}`, port };
  return family === AF_INET6 ? { address: formatIpv6([...bytes.subarray(8, 24)]), port } : NOWHERE;
}

/**
 * `struct sockaddr` of where a connection is to go; the machine is little-endian, as all are that Node runs on under
 * Linux. null: it is no address in numbers, or one with a zone.
 */
export function socketAddress(host: string, port: number, path: string | null): Buffer | null {
  if (path !== null) {
    const name = Buffer.from(path);
    // The path ends with a zero byte; one that does not fit is refused by Node, with a reason.
    if (name.length > 107) return null;
    const unix = Buffer.alloc(2 + name.length + 1);
    unix.writeUInt16LE(AF_UNIX, 0);
    name.copy(unix, 2);
    return unix;
  }
  const v4 = parseIpv4(host);
  if (v4 !== null) {
    const inet = Buffer.alloc(16);
    inet.writeUInt16LE(AF_INET, 0);
    inet.writeUInt16BE(port, 2);
    inet.set(v4, 4);
    return inet;
  }
  const v6 = parseIpv6(host);
  if (v6 === null) return null;
  const inet6 = Buffer.alloc(28);
  inet6.writeUInt16LE(AF_INET6, 0);
  inet6.writeUInt16BE(port, 2);
  inet6.set(v6, 8);
  return inet6;
}
