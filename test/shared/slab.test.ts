/** The slab allocator: pieces never overlap, all memory comes back, and a death in the midst of things is survived. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Carver, MEASURE } from '../../src/shared/carver.ts';
import { NONE, PAGE, Slab, SLOT_SIZES } from '../../src/shared/slab.ts';

function slab(pages: number): Slab {
  const measured = new Carver(MEASURE);
  new Slab(measured, pages);
  const made = new Slab(new Carver(new SharedArrayBuffer(measured.size)), pages);
  made.clear();
  return made;
}

type Piece = [cell: number, bytes: number];

/** @throws when two pieces share a byte */
function checkApart(pieces: readonly Piece[], pages: number): void {
  const sorted = pieces.map(([cell, bytes]) => [cell * 8, cell * 8 + Slab.roomFor(bytes)] as const);
  sorted.sort((a, b) => a[0] - b[0]);
  let end = 0;
  for (const [from, to] of sorted) {
    assert.ok(from >= end && to <= pages * PAGE, `${from} to ${to} behind ${end}`);
    end = to;
  }
}

const sizes = fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 3 * PAGE }));

test('pieces are apart, whatever was taken and given before', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(sizes, fc.boolean(), fc.nat()), { maxLength: 120, size: 'max' }),
      fc.integer({ min: 1, max: 12 }),
      (steps, pages) => {
        const s = slab(pages);
        const held: Piece[] = [];
        for (const [bytes, gives, which] of steps) {
          if (gives && held.length > 0) s.give(held.splice(which % held.length, 1)[0]![0]);
          else {
            const cell = s.take(bytes);
            if (cell !== NONE) held.push([cell, bytes]);
          }
          checkApart(held, pages);
        }
        // What the allocator knows is what is held, also when it is made anew of that.
        for (let round = 0; round < 2; round++) {
          for (const [i, size] of SLOT_SIZES.entries()) {
            const mine = held.filter(([, bytes]) => bytes <= 2048 && Slab.roomFor(bytes) === size);
            const { used, free } = s.slotCounts(i);
            assert.equal(used, mine.length);
            const pagesOfSize = new Set(mine.map(([cell]) => Math.floor((cell * 8) / PAGE))).size;
            assert.equal(used + free, (pagesOfSize * PAGE) / size);
          }
          s.rebuild(held);
        }
        const more: Piece[] = [];
        for (let cell = s.take(64); cell !== NONE; cell = s.take(64)) more.push([cell, 64]);
        checkApart([...held, ...more], pages);
        assert.equal(s.freePages, 0);
        for (const [cell] of [...held, ...more]) s.give(cell);
        assert.equal(s.freePages, pages);
      },
    ),
  );
});

test('large pieces are runs of pages; what does not fit is refused and changes nothing', () => {
  const s = slab(4);
  const one = s.take(PAGE + 1);
  const two = s.take(PAGE);
  assert.equal(s.freePages, 1);
  assert.equal(s.take(2 * PAGE), NONE);
  s.give(one);
  assert.equal(s.take(3 * PAGE), NONE, 'three are free, but not in a row');
  assert.notEqual(s.take(2 * PAGE), NONE);
  s.give(two);
  assert.equal(s.freePages, 2);
});

test('requests and failures are counted by size', () => {
  const s = slab(1);
  for (let i = 0; i < 70; i++) s.take(60);
  const size64 = SLOT_SIZES.indexOf(64);
  assert.deepEqual(s.slotCounts(size64), { used: 64, free: 0 });
  assert.equal(s.counters[size64], 70);
  assert.equal(s.counters[SLOT_SIZES.length + size64], 6);
});
