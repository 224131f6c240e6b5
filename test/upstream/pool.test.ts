import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type IdleEntry, IdlePool } from '../../src/upstream/pool.ts';

class Connection {
  id: number;
  destroyed = false;
  idleEntry: IdleEntry<Connection> | null = null;
  constructor(id: number) {
    this.id = id;
  }
  destroy(): void {
    this.destroyed = true;
  }
}

describe('idle pool', () => {
  it('gives the newest of a peer and variant', () => {
    const pool = new IdlePool<Connection>({ connections: 8, timeoutMs: 1000 });
    const [a, b, c] = [new Connection(1), new Connection(2), new Connection(3)];
    pool.put(a, 'p', 'v', 0);
    pool.put(b, 'p', 'v', 1);
    pool.put(c, 'p', 'other', 2);
    assert.equal(pool.take('p', 'v'), b);
    assert.equal(pool.take('p', 'v'), a);
    assert.equal(pool.take('p', 'v'), null);
    assert.equal(pool.take('q', 'other'), null);
    assert.equal(pool.size, 1);
  });

  it('closes the least recently used over the limit when trimmed, the idle when their time is over, all at the end', () => {
    const pool = new IdlePool<Connection>({ connections: 2, timeoutMs: 1000 });
    const [a, b, c] = [new Connection(1), new Connection(2), new Connection(3)];
    pool.put(a, 'p', '', 0);
    pool.put(b, 'q', '', 10);
    pool.put(c, 'p', '', 20);
    assert.equal(pool.overfull, true);
    // Only what was over the limit all the time goes.
    pool.trim();
    assert.equal(pool.size, 3);
    pool.trim();
    assert.equal(pool.overfull, false);
    assert.deepEqual(
      [a, b, c].map((x) => x.destroyed),
      [true, false, false],
    );
    assert.equal(pool.nextSweep, 1010);
    pool.sweep(1009);
    assert.equal(pool.size, 2);
    pool.sweep(1010);
    assert.equal(b.destroyed, true);
    pool.closeAll();
    assert.equal(c.destroyed, true);
    assert.equal(pool.nextSweep, Infinity);
  });

  it('a burst that is used again at once closes nothing; twice the limit is never passed', () => {
    const pool = new IdlePool<Connection>({ connections: 2, timeoutMs: 1000 });
    const all = [1, 2, 3, 4, 5].map((n) => new Connection(n));
    pool.trim();
    for (const c of all.slice(0, 4)) pool.put(c, 'p', '', 0);
    for (let i = 0; i < 3; i++) pool.take('p', '');
    for (const c of all.slice(1, 4)) pool.put(c, 'p', '', 0);
    pool.trim();
    assert.deepEqual(
      all.map((c) => c.destroyed),
      [false, false, false, false, false],
    );
    pool.put(all[4]!, 'p', '', 0);
    assert.equal(pool.size, 4);
    assert.equal(all.filter((c) => c.destroyed).length, 1);
  });

  it('keepalive 0 keeps nothing', () => {
    const pool = new IdlePool<Connection>({ connections: 0, timeoutMs: 1000 });
    const a = new Connection(1);
    pool.put(a, 'p', '', 0);
    assert.equal(a.destroyed, true);
  });

  it('behaves as a list that is searched', () => {
    const op = fc.record({ kind: fc.nat(9), peer: fc.nat(2), variant: fc.constantFrom('a', 'b'), n: fc.nat(99) });
    fc.assert(
      fc.property(fc.array(op), fc.integer({ min: 1, max: 5 }), (ops, connections) => {
        const pool = new IdlePool<Connection>({ connections, timeoutMs: 50 });
        let plain: { c: Connection; key: string; at: number }[] = [];
        const busy: Connection[] = [];
        let now = 0;
        let id = 0;
        for (const { kind, peer, variant, n } of ops) {
          const key = `${peer}${variant}`;
          if (kind < 4) {
            const c = busy.pop() ?? new Connection(id++);
            pool.put(c, peer, variant, now);
            if (plain.length === 2 * connections) plain.shift();
            plain.push({ c, key, at: now });
          } else if (kind < 7) {
            const found = plain.findLast((e) => e.key === key)?.c ?? null;
            assert.equal(pool.take(peer, variant), found);
            plain = plain.filter((e) => e.c !== found);
            if (found) busy.push(found);
          } else if (kind === 7) {
            const e = plain[n % Math.max(1, plain.length)];
            if (!e) continue;
            assert.equal(pool.remove(e.c), true);
            assert.equal(pool.remove(e.c), false);
            plain = plain.filter((other) => other !== e);
          } else {
            now += n;
            pool.sweep(now);
            plain = plain.filter((e) => e.at + 50 > now);
          }
          assert.equal(pool.size, plain.length);
          assert.ok(plain.every((e) => !e.c.destroyed) && busy.every((c) => !c.destroyed));
        }
      }),
    );
  });
});
