/**
 * Nanoseconds for one look-up of a keyval zone, by type and number of pairs: one thread, nobody else at the lock. Beside it a
 * Map of the same keys, which no other thread could see.
 *
 *   node bench/micro/keyval.ts
 */
import type { KeyvalType } from '../../src/config/model-variables.ts';
import { createKeyvalZone, DONE, KeyvalStore } from '../../src/keyval/store.ts';

const SIZES = [10, 10_000, 100_000];
const TURNS = 300_000;

const keyOf: Record<KeyvalType, (i: number) => string> = {
  string: (i) => `user-${i}.example.com`,
  prefix: (i) => `/path/of/${i}/`,
  ip: (i) => `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`,
};

function nanoseconds(keys: readonly string[], get: (key: string) => string | null | undefined): number {
  let best = Infinity;
  let found = 0;
  for (let round = 0; round < 7; round++) {
    const start = process.hrtime.bigint();
    for (let i = 0; i < TURNS; i++) if (get(keys[(i * 7919) % keys.length]!) !== null) found++;
    const ns = Number(process.hrtime.bigint() - start) / TURNS;
    if (round > 1) best = Math.min(best, ns);
  }
  if (found === 0) throw new Error('nothing was found');
  return best;
}

const line = (...cells: (string | number)[]): void =>
  console.log(cells.map((cell, i) => (i === 0 ? String(cell).padEnd(24) : String(cell).padStart(10))).join(''));

line('ns a look-up', ...SIZES);
for (const type of ['string', 'prefix', 'ip'] as const) {
  const hits: string[] = [];
  const misses: string[] = [];
  for (const size of SIZES) {
    const store = new KeyvalStore(createKeyvalZone(size * 128 + 65536, type, 4), 0);
    const keys = Array.from({ length: size }, (_, i) => keyOf[type](i));
    for (const key of keys)
      if (store.add(key, 'green', { at: 0, own: false }, 0) !== DONE) throw new Error(`no room for ${key}`);
    // Behind the key something that prefixes allow; strings of their own, as a request's are.
    const asked = keys.map((key) => Buffer.from(type === 'prefix' ? `${key}index.html` : key).latin1Slice());
    const others = keys.map((_, i) =>
      Buffer.from(type === 'ip' ? keyOf.ip(i + 0x800000) : `other-${i}.test`).latin1Slice(),
    );
    hits.push(nanoseconds(asked, (key) => store.get(key, 1)).toFixed(0));
    misses.push(nanoseconds([...others, keys[0]!], (key) => store.get(key, 1)).toFixed(0));
  }
  line(type, ...hits);
  line(`${type}, not found`, ...misses);
}
const maps = SIZES.map((size) => {
  const keys = Array.from({ length: size }, (_, i) => keyOf.string(i));
  const map = new Map(keys.map((key) => [key, 'green']));
  const asked = keys.map((key) => Buffer.from(key).latin1Slice());
  return nanoseconds(asked, (key) => map.get(key)).toFixed(0);
});
line('Map', ...maps);
