/** Makes a ring and its memory, through the C library that Node is linked with (`node:ffi`, Node 26.9 and newer). */
import { Buffer } from 'node:buffer';
import { holds, letsGo } from './descriptors.ts';

/** Bytes of one slot for what is received. */
export const SLOT_SIZE = 16 * 1024;
/** Slots; a power of two. */
export const SLOTS = 128;
/** Submissions that may wait. */
export const ENTRIES = 1024;
const CQ_ENTRIES = 8192;
const OUT_SIZE = 256 * 1024;
/** `struct sockaddr_storage`. */
export const ADDRESS_SIZE = 128;

const SYS_SETUP = 425;
const SYS_ENTER = 426;
const SYS_REGISTER = 427;

const SETUP_CQSIZE = 1 << 3;
const SETUP_SUBMIT_ALL = 1 << 7;
const SETUP_TASKRUN_FLAG = 1 << 9;
const SETUP_SINGLE_ISSUER = 1 << 12;
const SETUP_DEFER_TASKRUN = 1 << 13;
const REGISTER_EVENTFD = 4;
const REGISTER_PBUF_RING = 22;
const ENTER_GETEVENTS = 1;

const PROT_READ_WRITE = 3;
const MAP_SHARED_POPULATE = 0x8001;
const MAP_PRIVATE_ANONYMOUS = 0x22;
const OFFSET_SQES = 0x1000_0000n;
const EFD_NONBLOCK_CLOEXEC = 0o2004000;

type Pointer = bigint;
type Symbols = Record<string, { return: string; arguments: string[] }>;

/** What of `node:ffi` is used. */
interface Ffi {
  /** null: of what the program itself is linked with. */
  dlopen(path: null, symbols: Symbols): { lib: unknown; functions: unknown };
  toArrayBuffer(at: Pointer, length: number, copy: boolean): ArrayBuffer;
  getRawPointer(of: Buffer): Pointer;
}

interface Libc {
  mmap(at: Pointer, length: bigint, protection: number, flags: number, fd: number, offset: bigint): Pointer;
  munmap(at: Pointer, length: bigint): number;
  eventfd(initial: number, flags: number): number;
  close(fd: number): number;
}

type Setup = (call: number, entries: number, params: Pointer) => number;
type Register = (call: number, fd: number, what: number, argument: Pointer, n: number) => number;
type Enter = (
  call: number,
  fd: number,
  n: number,
  least: number,
  flags: number,
  sigset: number,
  size: number,
) => number;

/** Memory that the kernel may write to: mapped, so that it is there as long as the ring, whatever becomes of the heap. */
export interface RingMemory {
  /** Both rings, and at which words of it their parts are (`struct io_sqring_offsets`, `struct io_cqring_offsets`). */
  readonly ring: Int32Array;
  readonly sqHead: number;
  readonly sqTail: number;
  readonly sqMask: number;
  readonly sqFlags: number;
  readonly cqHead: number;
  readonly cqTail: number;
  readonly cqMask: number;
  readonly cqFlags: number;
  readonly cqes: number;
  /** Submissions, 16 words each. */
  readonly sqes: Int32Array;
  /** What is received stands here: `SLOTS` times `SLOT_SIZE`. */
  readonly in: Buffer;
  readonly inAt: bigint;
  /** The kernel's list of free slots (`struct io_uring_buf_ring`). */
  readonly free: ArrayBuffer;
  /** What is to be sent stands here. */
  readonly out: Buffer;
  readonly outAt: bigint;
  /** Addresses of connections to be opened, one for each submission. */
  readonly addresses: Buffer;
  readonly addressesAt: bigint;
  /** An eventfd that becomes readable when the kernel has something to say; whoever reads it closes it. */
  readonly wake: number;
  /** io_uring_enter(2): hands over `n` submissions and lets the kernel complete what it can. */
  enter(n: number): void;
  /** Closes the ring, then frees its memory. */
  close(): void;
}

/** @throws when the kernel or this Node has none */
export function setUpRing(): RingMemory {
  const get = (process as { getBuiltinModule?: (id: string) => unknown }).getBuiltinModule;
  const ffi = get?.('node:ffi') as Ffi | undefined;
  if (ffi === undefined) throw new Error('this Node.js has no node:ffi (26.9 has)');

  // As long as libraries are kept, their functions may be called.
  const libraries: unknown[] = [];
  const load = (symbols: Symbols): unknown => {
    const { lib, functions } = ffi.dlopen(null, symbols);
    libraries.push(lib);
    return functions;
  };
  const int = 'i32';
  const libc = load({
    mmap: { return: 'pointer', arguments: ['pointer', 'u64', int, int, int, 'i64'] },
    munmap: { return: int, arguments: ['pointer', 'u64'] },
    eventfd: { return: int, arguments: ['u32', int] },
    close: { return: int, arguments: [int] },
  }) as Libc;
  const call = (...types: string[]): unknown =>
    (load({ syscall: { return: int, arguments: [int, ...types] } }) as { syscall: unknown }).syscall;
  const setup = call(int, 'pointer') as Setup;
  const register = call(int, int, 'pointer', int) as Register;
  const enter = call(int, int, int, int, int, int) as Enter;

  const mapped: [Pointer, bigint][] = [];
  const fds: number[] = [];
  const close = (): void => {
    for (const fd of fds) {
      letsGo(fd);
      libc.close(fd);
    }
    for (const [at, length] of mapped) libc.munmap(at, length);
    fds.length = mapped.length = libraries.length = 0;
  };
  const map = (length: number, flags: number, fd: number, offset: bigint): Pointer => {
    const at = libc.mmap(0n, BigInt(length), PROT_READ_WRITE, flags, fd, offset);
    if (BigInt.asIntN(64, at) === -1n) throw new Error('mmap() failed');
    mapped.push([at, BigInt(length)]);
    return at;
  };

  try {
    const params = Buffer.alloc(120);
    params.writeUInt32LE(CQ_ENTRIES, 4);
    params.writeUInt32LE(
      SETUP_CQSIZE | SETUP_SUBMIT_ALL | SETUP_TASKRUN_FLAG | SETUP_SINGLE_ISSUER | SETUP_DEFER_TASKRUN,
      8,
    );
    const fd = setup(SYS_SETUP, ENTRIES, ffi.getRawPointer(params));
    if (fd < 0) throw new Error('io_uring_setup() failed');
    fds.push(fd);
    holds(fd);
    const at = (field: number): number => params.readUInt32LE(field);
    // Both rings are one mapping since Linux 5.4.
    const length = Math.max(at(64) + ENTRIES * 4, at(100) + at(4) * 16);
    const ring = new Int32Array(ffi.toArrayBuffer(map(length, MAP_SHARED_POPULATE, fd, 0n), length, false));
    for (let i = 0; i < ENTRIES; i++) ring[(at(64) >> 2) + i] = i;
    const sqesAt = map(ENTRIES * 64, MAP_SHARED_POPULATE, fd, OFFSET_SQES);

    const inAt = map(SLOTS * SLOT_SIZE, MAP_PRIVATE_ANONYMOUS, -1, 0n);
    const freeAt = map(SLOTS * 16, MAP_PRIVATE_ANONYMOUS, -1, 0n);
    const buffers = Buffer.alloc(40);
    buffers.writeBigUInt64LE(freeAt, 0);
    buffers.writeUInt32LE(SLOTS, 8);
    if (register(SYS_REGISTER, fd, REGISTER_PBUF_RING, ffi.getRawPointer(buffers), 1) < 0)
      throw new Error('io_uring_register() of buffers failed');
    const outAt = map(OUT_SIZE, MAP_PRIVATE_ANONYMOUS, -1, 0n);
    const addressesAt = map(ENTRIES * ADDRESS_SIZE, MAP_PRIVATE_ANONYMOUS, -1, 0n);

    const wake = libc.eventfd(0, EFD_NONBLOCK_CLOEXEC);
    if (wake < 0) throw new Error('eventfd() failed');
    const descriptor = Buffer.alloc(4);
    descriptor.writeInt32LE(wake, 0);
    if (register(SYS_REGISTER, fd, REGISTER_EVENTFD, ffi.getRawPointer(descriptor), 1) < 0) {
      libc.close(wake);
      throw new Error('io_uring_register() of an eventfd failed');
    }
    return {
      ring,
      sqHead: at(40) >> 2,
      sqTail: at(44) >> 2,
      sqMask: ring[at(48) >> 2]!,
      sqFlags: at(56) >> 2,
      cqHead: at(80) >> 2,
      cqTail: at(84) >> 2,
      cqMask: ring[at(88) >> 2]!,
      cqes: at(100) >> 2,
      cqFlags: at(104) >> 2,
      sqes: new Int32Array(ffi.toArrayBuffer(sqesAt, ENTRIES * 64, false)),
      in: Buffer.from(ffi.toArrayBuffer(inAt, SLOTS * SLOT_SIZE, false)),
      inAt,
      free: ffi.toArrayBuffer(freeAt, SLOTS * 16, false),
      out: Buffer.from(ffi.toArrayBuffer(outAt, OUT_SIZE, false)),
      outAt,
      addresses: Buffer.from(ffi.toArrayBuffer(addressesAt, ENTRIES * ADDRESS_SIZE, false)),
      addressesAt,
      wake,
      enter: (n) => void enter(SYS_ENTER, fd, n, 0, ENTER_GETEVENTS, 0, 0),
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}
