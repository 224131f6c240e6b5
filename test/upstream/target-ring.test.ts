import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 } from '../../src/upstream/crc32.ts';
import { buildTargetRing, mix, pointAfter } from '../../src/upstream/balancers/target_ring.ts';

const KEYS = Array.from({ length: 10_000 }, (_, i) => `key-${i}`);

/** The owner of each key, by address. */
function owners(members: readonly { address: string; weight: number }[]): string[] {
  const ring = buildTargetRing(members.map(({ address, weight }, slot) => ({ slot, key: address, weight })));
  return KEYS.map((key) => members[ring.owner[pointAfter(ring, mix(crc32(key)))]!]!.address);
}

const group = (n: number): { address: string; weight: number }[] =>
  Array.from({ length: n }, (_, i) => ({ address: `10.0.0.${i}:8000`, weight: 100 }));

const moved = (before: readonly string[], after: readonly string[]): number =>
  before.filter((owner, i) => owner !== after[i]).length / KEYS.length;

test('a target that comes or goes moves its own keys and no others', () => {
  for (const n of [2, 3, 5, 10, 50]) {
    const few = owners(group(n));
    const more = owners(group(n + 1));
    const added = `10.0.0.${n}:8000`;
    assert.ok(moved(few, more) <= 1 / (n + 1) + 0.05, `${n}: ${moved(few, more)}`);
    assert.ok(
      few.every((owner, i) => owner === more[i] || more[i] === added),
      `${n}: a key moved between those that stayed`,
    );
  }
});

test('shares follow weights; the order of targets does not matter', () => {
  const members = [
    { address: 'a:1', weight: 100 },
    { address: 'b:1', weight: 300 },
    { address: 'c:1', weight: 600 },
  ];
  const found = owners(members);
  for (const { address, weight } of members) {
    const share = found.filter((owner) => owner === address).length / KEYS.length;
    assert.ok(Math.abs(share - weight / 1000) < 0.05, `${address}: ${share}`);
  }
  assert.deepEqual(owners(members.toReversed()), found);
});
