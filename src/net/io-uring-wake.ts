/** How libuv tells that a ring has something to say: it reads an eventfd as it reads a pipe. */
import { Buffer } from 'node:buffer';
import { Socket } from 'node:net';
import type { SocketConstructorOpts } from 'node:net';

/** What Node keeps of libuv's pipes. */
interface PipeBinding {
  Pipe: new (type: number) => { open(fd: number): number };
  constants: { SOCKET: number };
}

/** Calls back whenever the eventfd is written to. It belongs to libuv from now on, and keeps no process alive. */
export function onWake(fd: number, wake: () => void): void {
  const binding = (process as unknown as { binding(name: string): PipeBinding }).binding('pipe_wrap');
  const pipe = new binding.Pipe(binding.constants.SOCKET);
  if (pipe.open(fd) !== 0) throw new Error('libuv takes no eventfd');
  const socket = new Socket({
    handle: pipe,
    onread: {
      buffer: Buffer.alloc(64),
      callback: () => {
        wake();
        return true;
      },
    },
  } as unknown as SocketConstructorOpts);
  socket.unref();
  socket.resume();
}
