/**
 * Sending to a unix datagram socket (`/dev/log`), which node:dgram cannot.
 *
 * Three functions of the C library by node:ffi, which Node has on by default from 26.9 on; without it, or on a
 * system other than Linux, opening fails with an error that says what to use instead.
 */

export interface UnixDatagram {
  /** Sends one datagram without waiting. Throws when it was not taken. */
  send(message: Uint8Array): void;
  close(): void;
}

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
/** sizeof(sun_path): longer paths do not fit, a final zero included. */
const PATH_SIZE = 108;

interface LibC {
  socket(domain: number, type: number, protocol: number): number;
  connect(fd: number, address: Uint8Array, length: number): number;
  send(fd: number, message: Uint8Array, length: bigint, flags: number): bigint;
  close(fd: number): number;
}

let libc: LibC | null = null;

function loadLibC(): LibC {
  if (libc !== null) return libc;
  // Undefined where Node has no node:ffi.
  const ffi = process.platform === 'linux' ? process.getBuiltinModule('node:ffi') : undefined;
  if (ffi === undefined) {
    throw new Error('syslog over a unix socket needs Linux and Node 26.9 or newer; use server=ADDRESS:514 instead');
  }
  const { functions } = ffi.dlopen(null, {
    socket: { return: 'i32', arguments: ['i32', 'i32', 'i32'] },
    connect: { return: 'i32', arguments: ['i32', 'buffer', 'u32'] },
    send: { return: 'i64', arguments: ['i32', 'buffer', 'u64', 'i32'] },
    close: { return: 'i32', arguments: ['i32'] },
  });
  libc = functions as unknown as LibC;
  return libc;
}

/** `struct sockaddr_un`: the family in the machine's byte order (Linux on what Node runs on: little), then the path. */
function socketAddress(path: string): Uint8Array {
  const bytes = Buffer.from(path);
  if (bytes.length >= PATH_SIZE) throw new Error(`too long path "${path}" of a unix socket`);
  const address = Buffer.alloc(2 + PATH_SIZE);
  address.writeUInt16LE(AF_UNIX, 0);
  bytes.copy(address, 2);
  return address;
}

/**
 * @param path of a listening datagram socket
 * @throws Error when nothing listens there, or unix datagram sockets are not to be had
 */
export function openUnixDatagram(path: string): UnixDatagram {
  const c = loadLibC();
  const address = socketAddress(path);
  const connect = (): number => {
    const fd = c.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) throw new Error('socket() failed');
    if (c.connect(fd, address, address.length) === 0) return fd;
    c.close(fd);
    throw new Error(`connect() to unix:${path} failed`);
  };
  let fd = connect();
  return {
    send(message) {
      if (fd < 0) fd = connect();
      if (c.send(fd, message, BigInt(message.length), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0n) return;
      // The server may have been started anew: the next message connects again.
      c.close(fd);
      fd = -1;
      throw new Error(`send() to unix:${path} failed`);
    },
    close() {
      if (fd >= 0) c.close(fd);
      fd = -1;
    },
  };
}
