/**
 * System calls on sockets that Node has no function for, through the C library that it is linked with (`node:ffi`, Node
 * 26.9 and newer). None of them waits. What fails says so by -1 and no more: whoever has to know why asks the ring, which
 * tells the reason, or lets Node do the same.
 */
import { Buffer } from 'node:buffer';

export type Address = bigint;

export interface LibC {
  /** socket(2): non-blocking, closed on exec. */
  socket(domain: number, type: number, protocol: number): number;
  setsockopt(fd: number, level: number, option: number, value: Address, length: number): number;
  getpeername(fd: number, address: Address, length: Address): number;
  getsockname(fd: number, address: Address, length: Address): number;
  shutdown(fd: number, how: number): number;
  dup(fd: number): number;
  close(fd: number): number;
  pipe2(fds: Address, flags: number): number;
  fcntl(fd: number, command: number, argument: number): number;
  read(fd: number, to: Address, n: bigint): number;
  /** Offsets are 0: none, as sockets and pipes have it. */
  splice(from: number, fromAt: 0, to: number, toAt: 0, n: number, flags: number): number;
}

/** What of `node:ffi` is used. */
interface Ffi {
  /** null: of what the program itself is linked with. */
  dlopen(path: null, symbols: Record<string, unknown>): { lib: unknown; functions: unknown };
  getRawPointer(of: Buffer): Address;
}

const int = 'i32';
const pointer = 'pointer';

/** Results that may be large are asked for as `i32`, too: nobody asks for more than that at a time. */
const SYMBOLS = {
  socket: { return: int, arguments: [int, int, int] },
  setsockopt: { return: int, arguments: [int, int, int, pointer, int] },
  getpeername: { return: int, arguments: [int, pointer, pointer] },
  getsockname: { return: int, arguments: [int, pointer, pointer] },
  shutdown: { return: int, arguments: [int, int] },
  dup: { return: int, arguments: [int] },
  close: { return: int, arguments: [int] },
  pipe2: { return: int, arguments: [pointer, int] },
  fcntl: { return: int, arguments: [int, int, int] },
  read: { return: int, arguments: [int, pointer, 'u64'] },
  // Its lengths are short enough for the numbers that are cheapest to pass, and null is 0 as well.
  splice: { return: int, arguments: [int, int, int, int, int, int] },
};

interface Loaded {
  readonly ffi: Ffi;
  /** As long as it is kept its functions may be called. */
  readonly lib: unknown;
  readonly functions: LibC;
}

function load(): Loaded | null {
  const get = (process as { getBuiltinModule?: (id: string) => unknown }).getBuiltinModule;
  const ffi = process.platform === 'linux' ? (get?.('node:ffi') as Ffi | undefined) : undefined;
  if (ffi === undefined) return null;
  const { lib, functions } = ffi.dlopen(null, SYMBOLS);
  return { ffi, lib, functions: functions as LibC };
}

const loaded = load();

/** Not there (null) where Node has no `node:ffi`: only who has a ring (`io-uring.ts`) may use it. */
export const libc: LibC = loaded?.functions as LibC;

/** Where a buffer's bytes are. They have to stay there: `Buffer.allocUnsafeSlow`, and the buffer has to be kept. */
export function addressOfBytes(buf: Buffer): Address {
  return loaded === null ? 0n : loaded.ffi.getRawPointer(buf);
}

/** A small piece of memory for arguments and results. */
export class Scratch {
  readonly bytes: Buffer;
  readonly at: Address;

  constructor(size: number) {
    this.bytes = Buffer.allocUnsafeSlow(size).fill(0);
    this.at = addressOfBytes(this.bytes);
  }
}
