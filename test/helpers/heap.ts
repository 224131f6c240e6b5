/** What the program still holds once garbage was collected in all its threads (heap-probe.ts tells). */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { within } from './wait.ts';

/** Bytes. */
export interface Held {
  /** What is reachable in the heaps of all threads. */
  heap: number;
  /** What they hold outside of them, as V8 counts. */
  external: number;
  /** What `malloc` has given out: of OpenSSL and libuv, too. 0: not known here. */
  native: number;
}

/** What a program that is to be measured is started with. @param path of a socket to make */
export function measuredEnv(path: string): NodeJS.ProcessEnv {
  const probe = pathToFileURL(fileURLToPath(new URL('heap-probe.ts', import.meta.url)));
  return {
    NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --import=${probe.href}`.trim(),
    HEADRACE_TEST_HEAP: path,
    // It holds some 8 MiB until it is written, two seconds after the start.
    NODE_DISABLE_COMPILE_CACHE: '1',
  };
}

/** Has it collect, and asks. @param threads how many it has, the main one among them */
export async function heldBy(path: string, threads: number): Promise<Held> {
  const socket = connect(path);
  let text = '';
  socket.setEncoding('utf8').on('data', (data: string) => (text += data));
  const ended = new Promise<void>((resolve, reject) => {
    socket.on('error', reject);
    socket.on('close', () => resolve());
  });
  socket.write(String(threads));
  await within('what the program holds', ended);
  return JSON.parse(text) as Held;
}

/** What a connection may leave behind for good, in bytes: nothing; so little is lost in what a program warms up. */
const EACH = 256;
const NOISE = 640 * 1024;
const NATIVE_NOISE = 768 * 1024;

/** Nothing was left behind between any two of these, with `each` things between two neighbours. @param most bytes for each */
export function assertFlat(rounds: readonly Held[], each: number, most: number = EACH): void {
  assert.ok(rounds.length > 1);
  for (const [i, before] of rounds.entries()) {
    for (const [j, after] of rounds.entries()) {
      if (j <= i) continue;
      const n = each * (j - i);
      for (const [what, noise] of [
        ['heap', NOISE],
        ['external', NOISE],
        ['native', NATIVE_NOISE],
      ] as const) {
        const grown = after[what] - before[what];
        assert.ok(
          grown < noise + most * n,
          `${what} grew by ${grown} bytes with ${n}: ${before[what]}, ${after[what]}`,
        );
      }
    }
  }
}

/** For diagnostics. @param resident bytes */
export function table(rounds: readonly Held[], resident: readonly number[] = []): string {
  const mib = (numbers: readonly number[]): string => numbers.map((n) => (n / 1048576).toFixed(1)).join(' ');
  return (
    `heap ${mib(rounds.map(({ heap }) => heap))}; external ${mib(rounds.map(({ external }) => external))}; ` +
    `native ${mib(rounds.map(({ native }) => native))}; resident ${mib(resident)} MiB`
  );
}
