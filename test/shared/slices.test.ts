/** Long work in slices: others have their turn, and all of it is done. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inTurn, runSliced, SLICE_MS } from '../../src/shared/slices.ts';

/** Keeps the thread busy. */
function spend(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

test('timers have their turn between slices', async () => {
  let steps = 0;
  let ticks = 0;
  const work = function* (): Generator<void> {
    for (; steps < 20; steps++) {
      spend(SLICE_MS);
      yield;
    }
  };
  const timer = setInterval(() => ticks++, 1);
  await runSliced(work());
  clearInterval(timer);
  assert.equal(steps, 20);
  // each step fills a slice: there are as many turns as steps
  assert.ok(ticks >= 10, `${ticks} turns for others`);
});

test('however much is under way, a turn has one slice', async () => {
  const order: string[] = [];
  const done = new Promise<void>((resolve) => {
    inTurn(() => order.push('a'));
    inTurn(() => order.push('b'));
    setImmediate(() => {
      order.push('other');
      inTurn(() => {
        order.push('c');
        resolve();
      });
    });
  });
  await done;
  assert.deepEqual(order, ['a', 'other', 'b', 'c']);
});

test('it is given up when nobody wants it, and says what went wrong', async () => {
  let steps = 0;
  const endless = function* (): Generator<void> {
    for (;;) {
      steps++;
      yield;
    }
  };
  await runSliced(endless(), () => steps < 5);
  assert.equal(steps, 5);
  const broken = function* (): Generator<void> {
    yield;
    throw new Error('no more');
  };
  await assert.rejects(runSliced(broken()), /no more/);
});
