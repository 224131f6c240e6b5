import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { IoUring } from '../../src/net/io-uring.ts';
import { RingReader } from '../../src/net/ring-reader.ts';

/** A reader of a source that is paused, with what it took. */
function paused(): { reader: RingReader; source: { paused: boolean }; taken: string[]; cancelled: number[] } {
  const taken: string[] = [];
  const cancelled: number[] = [];
  const ring = {
    receive: () => 7,
    cancel: (token: number) => void cancelled.push(token),
  } as unknown as IoUring;
  const source = {
    descriptor: 5,
    paused: false,
    gone: false,
    take: (buf: Buffer, start: number, end: number) => void taken.push(buf.latin1Slice(start, end)),
    pull: () => -1,
    over() {},
  };
  const reader = new RingReader(ring, source);
  reader.start();
  source.paused = true;
  reader.pause();
  return { reader, source, taken, cancelled };
}

test('what arrives before a receive has ended is given out when the source goes on', async () => {
  const { reader, source, taken, cancelled } = paused();
  reader.received(Buffer.from('-one-'), 1, 4);
  assert.deepEqual([taken, cancelled], [[], [7]]);
  source.paused = false;
  reader.resume();
  await turn();
  assert.deepEqual(taken, ['one']);
});

test('what waits is not kept once the socket is let go of', async () => {
  const { reader, source, taken, cancelled } = paused();
  reader.received(Buffer.from('one'), 0, 3);
  reader.letGo();
  source.paused = false;
  reader.resume();
  await turn();
  assert.deepEqual([taken, cancelled], [[], [7, 7]]);
});
