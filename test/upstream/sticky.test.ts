import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { StickyConfig, UpstreamConfig } from '../../src/config/model.ts';
import { cookieTime, stickyCookie } from '../../src/upstream/sticky/cookie.ts';
import { createLearnTable, LearnTable, reclaimLearner, reloadLearnTable } from '../../src/upstream/sticky/learn.ts';
import { maybeSid, routeError } from '../../src/upstream/sticky/sid.ts';
import { RR, TestClock, upstream } from './fixtures.ts';

type CookieConfig = Extract<StickyConfig, { mode: 'cookie' }>;

const COOKIE: CookieConfig = {
  mode: 'cookie',
  name: 'srv',
  expires: null,
  domain: null,
  httpOnly: false,
  secure: false,
  sameSite: null,
  path: null,
};

describe('sticky cookie', () => {
  const now = Date.UTC(2025, 11, 31, 23, 0, 0, 999);

  it('writes attributes in the order of nginx', () => {
    assert.equal(stickyCookie(COOKIE, 'abc', now), 'srv=abc');
    const all: CookieConfig = {
      ...COOKIE,
      expires: 3600,
      domain: 'd',
      httpOnly: true,
      secure: true,
      sameSite: 'Lax',
      path: '/p',
    };
    assert.equal(
      stickyCookie(all, 'abc', now, '.example.com', 'Lax'),
      'srv=abc; expires=Thu, 01-Jan-26 00:00:00 GMT; max-age=3600; domain=.example.com; httponly; secure; samesite=Lax; path=/p',
    );
  });

  it('knows the far future, and years after 2037', () => {
    assert.equal(
      stickyCookie({ ...COOKIE, expires: 'max' }, 's', now),
      'srv=s; expires=Thu, 31-Dec-37 23:55:55 GMT; max-age=315360000',
    );
    assert.equal(cookieTime(Date.UTC(2038, 0, 2, 3, 4, 5)), 'Sat, 02-Jan-2038 03:04:05 GMT');
  });

  it('makes an unknown samesite strict', () => {
    assert.equal(stickyCookie(COOKIE, 's', now, '', 'NONE'), 'srv=s; samesite=NONE');
    assert.equal(stickyCookie(COOKIE, 's', now, '', 'odd'), 'srv=s; samesite=strict');
  });
});

describe('sids', () => {
  it('are one to 32 bytes', () => {
    assert.deepEqual(['', 'a', 'x'.repeat(32), 'x'.repeat(33)].map(maybeSid), [false, true, true, false]);
    assert.deepEqual(['', 'a', 'x'.repeat(33)].map(routeError), ['route is empty', null, 'route is longer than 32']);
  });
});

describe('learned sessions', () => {
  const env = (clock: TestClock, workerId = 0) => ({ workerId, clock });

  it('holds about 4,000 a megabyte', () => {
    const table = new LearnTable(createLearnTable(1024 * 1024), env(new TestClock()));
    assert.ok(Math.abs(table.capacity - 4000) < 50, String(table.capacity));
  });

  it('is seen by all threads, and swept by age', () => {
    const clock = new TestClock(0);
    const buffer = createLearnTable(65536);
    const [one, two] = [new LearnTable(buffer, env(clock)), new LearnTable(buffer, env(clock, 1))];
    one.create('s1', 'A');
    clock.ms = 50;
    assert.equal(two.lookup('s1'), 'A');
    assert.equal(two.update('s1', 'B'), true);
    assert.equal(two.update('unknown', 'B'), false);
    one.create('s2', 'C');
    assert.equal(one.sweep(100), 100);
    clock.ms = 149;
    assert.equal(one.sweep(100), 1, 'a lookup does not refresh, an update does');
    clock.ms = 150;
    assert.equal(one.sweep(100), Infinity);
    assert.equal(one.lookup('s1'), '');
    assert.equal(one.size, 0);
  });

  it('drops the least recently used when it is full', () => {
    const clock = new TestClock(0);
    const table = new LearnTable(createLearnTable(262 * 3), env(clock));
    for (const id of ['a', 'b', 'c']) table.create(id, id);
    table.update('a', 'a');
    table.create('d', 'd');
    assert.deepEqual(
      ['a', 'b', 'c', 'd'].map((id) => table.lookup(id)),
      ['a', '', 'c', 'd'],
    );
  });

  it('behaves as a map in order of use, also after a thread died in it', () => {
    const op = fc.record({
      kind: fc.nat(9),
      id: fc.nat(12),
      sid: fc.string({ minLength: 1, maxLength: 32, unit: 'binary-ascii' }),
      ms: fc.nat(60),
    });
    fc.assert(
      fc.property(fc.array(op, { size: 'max', maxLength: 80 }), (ops) => {
        const clock = new TestClock(0);
        const buffer = createLearnTable(262 * 5);
        const table = new LearnTable(buffer, env(clock));
        const plain = new Map<string, { sid: string; last: number }>();
        for (const { kind, id: n, sid, ms } of ops) {
          const id = `id${n}`;
          // equal times have no order of their own once the lists had to be made anew
          clock.ms += 1 + (ms >> 3);
          if (kind < 4) {
            if (!plain.delete(id) && plain.size === 5) plain.delete([...plain.keys()][0]!);
            plain.set(id, { sid, last: clock.ms });
            table.create(id, sid);
          } else if (kind < 6) {
            const known = plain.delete(id);
            if (known) plain.set(id, { sid, last: clock.ms });
            assert.equal(table.update(id, sid), known);
          } else if (kind < 8) {
            assert.equal(table.lookup(id), plain.get(id)?.sid ?? '');
          } else if (kind === 8) {
            for (const [key, { last }] of plain) if (last + 40 <= clock.ms) plain.delete(key);
            table.sweep(40);
          } else {
            // as if worker 3 had died with the lock in its hands
            const words = new Int32Array(buffer);
            new LearnTable(buffer, env(clock, 3));
            words[3] = 5;
            reclaimLearner(buffer, 3);
          }
          assert.equal(table.size, plain.size);
        }
      }),
    );
  });

  it('survives a reload when zone and upstream are the same', () => {
    const learning = (name: string, zone: string): UpstreamConfig => ({
      ...upstream(RR, []),
      name,
      sticky: {
        mode: 'learn',
        create: ['c'],
        lookup: ['l'],
        zone: { name: zone, size: 65536 },
        timeoutMs: 1,
        header: false,
      },
    });
    const table = createLearnTable(65536);
    assert.equal(reloadLearnTable(table, learning('u', 'z'), learning('u', 'z')), table);
    assert.notEqual(reloadLearnTable(table, learning('u', 'z'), learning('u', 'y')), table);
    assert.notEqual(reloadLearnTable(table, learning('u', 'z'), learning('v', 'z')), table);
    assert.equal(reloadLearnTable(table, learning('u', 'z'), upstream(RR, [])), null);
  });
});
