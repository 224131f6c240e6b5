/**
 * Loaded into every thread of the program before it starts (`measured` of helpers/headrace.ts): collects garbage when it is
 * asked to, and tells what is left. Nothing of it runs meanwhile.
 *
 * Resident memory says little of leaks: heaps grow until collecting is worth while, and give back when they like. What is
 * reachable after a collection, and what `malloc` has given out, are exact.
 */
import { Buffer } from 'node:buffer';
import { rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { BroadcastChannel, isMainThread } from 'node:worker_threads';
import type { Held } from './heap.ts';

interface Reply {
  id: number;
  heap: number;
  external: number;
}

setFlagsFromString('--expose-gc');
// Some time or other it would take away some megabytes: of what was compiled and has not run for a while.
setFlagsFromString('--no-flush-bytecode');
const collect = runInNewContext('gc') as () => void;
const channel = new BroadcastChannel('headrace-test-heap');

async function measure(id: number): Promise<Reply> {
  // What the first collection finalizes may free more; handles are freed a turn after that.
  for (let i = 0; i < 4; i++) {
    collect();
    await sleep(50);
  }
  const { heapUsed, external } = process.memoryUsage();
  return { id, heap: heapUsed, external };
}

if (isMainThread) {
  const path = process.env.HEADRACE_TEST_HEAP!;
  let id = 0;
  let replies: Reply[] = [];
  listen((reply) => {
    if ((reply as Reply).id === id) replies.push(reply as Reply);
  });
  const native = mallocUse();
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', (data) => {
      const threads = Number(data.toString());
      replies = [];
      channel.postMessage(++id);
      void (async () => {
        replies.push(await measure(id));
        while (replies.length < threads && !socket.destroyed) await sleep(20);
        const held: Held = {
          heap: replies.reduce((sum, reply) => sum + reply.heap, 0),
          external: replies.reduce((sum, reply) => sum + reply.external, 0),
          native: native(),
        };
        // Not by its end, which the other side would see while the descriptor is still there to be counted.
        socket.write(JSON.stringify(held), () => socket.destroy());
      })();
    });
  });
  server.listen(path).unref();
  process.once('exit', () => rmSync(path, { force: true }));
} else {
  listen((id) => void (async () => channel.postMessage(await measure(id as number)))());
}
(channel as unknown as { unref(): void }).unref();

function listen(take: (message: unknown) => void): void {
  channel.addEventListener('message', (event) => take((event as MessageEvent).data));
}

/** What `malloc` has given out, by mallinfo2(3) of glibc; 0 where it cannot be had. */
function mallocUse(): () => number {
  interface Ffi {
    dlopen(path: null, symbols: object): { functions: { mallinfo2(at: bigint): bigint } };
    getRawPointer(of: Buffer): bigint;
  }
  try {
    if (process.platform !== 'linux' || process.arch !== 'x64') return () => 0;
    const ffi = process.getBuiltinModule('node:ffi' as 'node:fs') as unknown as Ffi;
    // On x86-64 a large structure is returned where a hidden first argument points to.
    const signature = { mallinfo2: { return: 'pointer', arguments: ['pointer'] } };
    const loaded = ffi.dlopen(null, signature);
    const numbers = Buffer.alloc(80);
    return () => {
      loaded.functions.mallinfo2(ffi.getRawPointer(numbers));
      const at = (index: number): number => Number(numbers.readBigUInt64LE(index * 8));
      return at(4) + at(7); // hblkhd: by mmap; uordblks: from its arenas
    };
  } catch {
    return () => 0;
  }
}
