/** Readings without a lock: what is relied on stood there together. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { ChangeMark, CHANGING } from '../../src/shared/change-mark.ts';

const WORDS = 64;

test('a reading is relied on only if no change was under way, or began, or is over', () => {
  const head = new Int32Array(new SharedArrayBuffer(8));
  const mark = new ChangeMark(head, 1);
  const before = mark.read();
  assert.equal(mark.unchanged(before), true);
  mark.begin();
  assert.equal(mark.read(), CHANGING);
  assert.equal(mark.unchanged(before), false);
  mark.end();
  assert.equal(mark.unchanged(before), false);
  assert.equal(mark.unchanged(mark.read()), true);
  // The changes of one who died, and of one who took his lock over.
  mark.begin();
  mark.begin();
  assert.equal(mark.read(), CHANGING);
  mark.end();
  assert.equal(mark.unchanged(mark.read()), true);
  // It counts round and round.
  head[1] = -2;
  const last = mark.read();
  assert.equal(mark.unchanged(last), true);
  mark.begin();
  mark.end();
  assert.equal(head[1], 0);
  assert.equal(mark.unchanged(last), false);
  assert.equal(mark.unchanged(mark.read()), true);
});

const WRITER = `
  const { workerData, parentPort } = require('node:worker_threads');
  import(workerData.module).then(({ ChangeMark }) => {
    const words = new Int32Array(workerData.memory);
    const mark = new ChangeMark(words, 0);
    parentPort.postMessage('begun');
    for (let n = 1; Atomics.load(words, 1) === 0; n++) {
      mark.begin();
      for (let i = 2; i < words.length; i++) words[i] = n;
      mark.end();
      // Readers have their turn, too.
      for (let i = 0; i < 200; i++) Atomics.load(words, 1);
    }
  });
`;

test('beside a thread that writes all the time', async (t) => {
  const memory = new SharedArrayBuffer((2 + WORDS) * 4);
  const words = new Int32Array(memory);
  const mark = new ChangeMark(words, 0);
  const module = new URL('../../src/shared/change-mark.ts', import.meta.url).href;
  const writer = new Worker(WRITER, { eval: true, workerData: { memory, module } });
  await once(writer, 'message');
  const end = performance.now() + 20_000;
  const seen = new Set<number>();
  let torn = 0;
  for (let good = 0; (good < 100_000 || seen.size < 50) && performance.now() < end;) {
    const begun = mark.read();
    if (begun === CHANGING) continue;
    const first = words[2]!;
    let same = true;
    for (let i = 3; i < words.length; i++) if (words[i] !== first) same = false;
    if (!mark.unchanged(begun)) continue;
    good++;
    seen.add(first);
    if (!same) torn++;
  }
  Atomics.store(words, 1, 1);
  await writer.terminate();
  assert.equal(torn, 0);
  t.diagnostic(`${seen.size} different states`);
  assert.ok(seen.size >= 50, 'it did write meanwhile');
});
