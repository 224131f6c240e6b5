/** Opens plain connections: by the thread's ring, if it has one, else by libuv. */
import type { Buffer } from 'node:buffer';
import { connect } from 'node:net';
import { clock } from './clock.ts';
import type { IoUring } from './io-uring.ts';
import { kernelPipe } from './kernel-pipe.ts';
import { libc } from './libc.ts';
import { RingTransport } from './ring-transport.ts';
import { NO_DELAY, setKeepAlive, setOption, socketAddress } from './socket-options.ts';
import { readHook, SocketTransport } from './socket-transport.ts';
import type { Transport, TransportOwner } from './transport.ts';
import { writeBatch } from './write-batch.ts';

export interface ConnectOptions {
  readonly host: string;
  readonly port: number;
  /** Path of a unix socket; host and port are ignored. */
  readonly path: string | null;
  localAddress: string | null;
  /** 0: any. */
  localPort: number;
  keepAlive: boolean;
  /** Each message is one write, and the next one waits for its answer: no need to tell the kernel not to wait for more. */
  oneWrite?: true;
  /** @internal The address as the kernel wants it: made once for those who dial with the same options again. */
  target?: Buffer | null;
}

const SOCK_STREAM_NONBLOCK_CLOEXEC = 0o2004001;

let ring: IoUring | null = null;

/** All plain connections of the thread that are made from now on use the ring. */
export function useRing(given: IoUring): void {
  ring = given;
  writeBatch.useRing(given);
  // Made at the beginning, so that a thread's descriptors are those of its connections from then on.
  kernelPipe();
}

/** The ring that connections of this thread use; null: none. */
export function ringInUse(): IoUring | null {
  return ring;
}

/** Opens a connection; `onConnect` is called once, unless `owner.onClose` comes first. */
export function dial(options: ConnectOptions, owner: TransportOwner, onConnect: () => void): Transport {
  const transport = ring === null ? null : dialByRing(ring, options, onConnect);
  if (transport === null) return dialByLibuv(options, owner, onConnect);
  transport.owner = owner;
  return transport;
}

/** @returns null: libuv can do it, or say why it cannot be done */
function dialByRing(by: IoUring, options: ConnectOptions, onConnect: () => void): RingTransport | null {
  if (options.localAddress !== null) return null;
  const { host, port, path, keepAlive } = options;
  const address = (options.target ??= socketAddress(host, port, path));
  if (address === null) return null;
  const fd = libc.socket(address.readUInt16LE(0), SOCK_STREAM_NONBLOCK_CLOEXEC, 0);
  if (fd < 0) return null;
  if (path === null) {
    if (options.oneWrite !== true) setOption(fd, NO_DELAY, 1);
    if (keepAlive) setKeepAlive(fd, true, 0);
  }
  const transport = new RingTransport(by, fd);
  transport.connect(address, onConnect);
  return transport;
}

function dialByLibuv(options: ConnectOptions, owner: TransportOwner, onConnect: () => void): Transport {
  const hook = readHook();
  const common = { onread: hook.onread, noDelay: true, allowHalfOpen: true, highWaterMark: 1 << 20 };
  const socket =
    options.path !== null
      ? connect({ ...common, path: options.path })
      : connect({
          ...common,
          host: options.host,
          port: options.port,
          keepAlive: options.keepAlive,
          autoSelectFamily: false,
          ...(options.localAddress === null
            ? null
            : { localAddress: options.localAddress, localPort: options.localPort }),
        });
  const transport = new SocketTransport(socket, hook);
  transport.owner = owner;
  socket.once('connect', () => {
    clock.update();
    onConnect();
  });
  return transport;
}
