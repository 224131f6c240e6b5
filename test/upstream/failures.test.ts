/** Failure accounting and its consequences (spec 2.3, 2.4), and the distributions of nginx-tests (2.16). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Attempt, BUSY, type Group, type Outcome } from '../../src/upstream/group.ts';
import { FAILED, LEAST_CONN, OK, rig, RR, type Rig, upstream, weighted } from './fixtures.ts';

/** One try of a request of its own. */
function once(group: Group, outcome: Outcome): number {
  const a = new Attempt();
  group.begin(a, {}, 0);
  const slot = group.pick(a);
  group.done(a, outcome);
  return slot;
}

/** A request that fails over until it is answered; `fails` says whether a peer fails it. */
function request(group: Group, fails: (slot: number) => boolean): number {
  const a = new Attempt();
  group.begin(a, {}, 0);
  for (;;) {
    const slot = group.pick(a);
    if (slot === BUSY) return BUSY;
    const failed = fails(slot);
    group.done(a, failed ? FAILED : OK);
    if (!failed || a.triesLeft === 0) return failed ? BUSY : slot;
  }
}

function hold(group: Group): Attempt {
  const a = new Attempt();
  group.begin(a, {}, 0);
  group.pick(a);
  return a;
}

describe('failure accounting', () => {
  it('(a) is no sliding window: failures 5 s apart with fail_timeout=8s add up to max_fails=3', () => {
    const r = rig(
      upstream(RR, [
        { server: 'a:1', maxFails: 3, failTimeoutSec: 8 },
        { server: 'b:1', down: true },
      ]),
    );
    for (let i = 0; i < 3; i++) {
      assert.equal(once(r.group, FAILED), 0);
      r.clock.advance(5);
    }
    assert.equal(once(r.group, OK), BUSY);
  });

  it('a stream that connects after fail_timeout lets the others in at once, before it ends', () => {
    const r = rig(
      upstream(RR, [
        { server: 'a:1', failTimeoutSec: 1 },
        { server: 'b:1', backup: true },
      ]),
    );
    assert.equal(once(r.group, FAILED), 0);
    r.clock.advance(2);
    const first = hold(r.group);
    assert.equal(first.slot, 0);
    assert.equal(hold(r.group).slot, 1, 'one probe in a window');
    r.group.connected(first, 3);
    assert.equal(hold(r.group).slot, 0);
    assert.equal(hold(r.group).slot, 0);
  });

  it('(b) lets one probe through a window; its failure blocks again, its success clears', () => {
    const r = rig(
      upstream(RR, [
        { server: 'a:1', failTimeoutSec: 5 },
        { server: 'b:1', down: true },
      ]),
    );
    assert.equal(once(r.group, FAILED), 0);
    r.clock.advance(5);
    assert.equal(once(r.group, OK), BUSY, 'blocked while no more than fail_timeout has passed');
    r.clock.advance(1);
    const probe = hold(r.group);
    assert.equal(probe.slot, 0);
    assert.equal(once(r.group, OK), BUSY, 'the others wait for the probe');
    assert.equal(r.group.done(probe, FAILED), true);
    r.clock.advance(6);
    assert.equal(once(r.group, OK), 0);
    assert.equal(once(r.group, OK), 0, 'cleared');
  });

  it('(c) shrinks the effective weight at once, and recovers by one a round', () => {
    const r = rig(
      upstream(
        RR,
        weighted([10, 1]).map((s) => ({ ...s, maxFails: 5 })),
      ),
    );
    const effective = (): number => r.group.snapshot()[0]!.effectiveWeight;
    once(r.group, FAILED);
    assert.equal(effective(), 8);
    once(r.group, OK);
    assert.equal(effective(), 9);
    once(r.group, OK);
    once(r.group, OK);
    assert.equal(effective(), 10);
  });

  it('(d) with fail_timeout=0 blocks for the rest of the second', () => {
    const r = rig(
      upstream(RR, [
        { server: 'a:1', failTimeoutSec: 0 },
        { server: 'b:1', down: true },
      ]),
    );
    once(r.group, FAILED);
    assert.equal(once(r.group, OK), BUSY);
    r.clock.advance(1);
    assert.equal(once(r.group, OK), 0);
  });

  it('live check: weight=4 max_fails=2 fail_timeout=5 and weight=2, both refusing', () => {
    const r = rig(
      upstream(RR, [
        { server: 'a:1', weight: 4, maxFails: 2, failTimeoutSec: 5 },
        { server: 'b:1', weight: 2 },
      ]),
    );
    assert.deepEqual(
      [0, 0, 0, 0, 0].map(() => once(r.group, FAILED)),
      [0, 1, 0, BUSY, BUSY],
    );
    r.clock.advance(6);
    assert.equal(once(r.group, FAILED), 0);
    assert.equal(once(r.group, FAILED), BUSY);
  });

  it('a single peer is never blocked and never retried', () => {
    const r = rig(upstream(RR, [{ server: 'a:1' }]));
    for (let i = 0; i < 5; i++) {
      const a = hold(r.group);
      assert.equal(a.slot, 0);
      assert.equal(r.group.done(a, FAILED), false);
      assert.equal(a.triesLeft, 0);
    }
    const a = hold(r.group);
    r.group.done(a, FAILED);
    a.grantExtraTry();
    assert.equal(a.triesLeft, 1);
    assert.equal(r.group.pick(a), 0, 'after an error on a reused connection: the same address again');
  });

  it('a second server makes the group more than single, even when it is down', () => {
    const r = rig(upstream(RR, [{ server: 'a:1' }, { server: 'b:1', down: true }]));
    assert.equal(r.group.done(hold(r.group), FAILED), true);
    assert.equal(once(r.group, OK), BUSY);
  });

  it('counts tries: not down, capped, one less an attempt', () => {
    const r = rig(
      upstream(RR, [...weighted([1, 1, 1]), { server: 'd:1', down: true }, { server: 'e:1', backup: true }]),
    );
    const a = new Attempt();
    r.group.begin(a, {}, 0);
    assert.equal(a.triesLeft, 4);
    r.group.begin(a, {}, 2);
    assert.equal(a.triesLeft, 2);
    r.group.pick(a);
    r.group.done(a, FAILED);
    assert.equal(a.triesLeft, 1);
  });

  it('done without a peer does nothing', () => {
    const r = rig(upstream(RR, weighted([1, 1])));
    assert.equal(r.group.done(new Attempt(), FAILED), false);
  });
});

describe('distributions of nginx-tests', () => {
  const count = (r: Rig, n: number, fails: (slot: number) => boolean = () => false): number[] => {
    const counts = r.group.snapshot().map(() => 0);
    for (let i = 0; i < n; i++) {
      const slot = request(r.group, fails);
      if (slot >= 0) counts[slot]!++;
    }
    return counts;
  };

  it('upstream.t: 15 and 15; each third of one dropped: 6 and 24', () => {
    const servers = weighted([1, 1]).map((s) => ({ ...s, maxFails: 3 }));
    assert.deepEqual(count(rig(upstream(RR, servers)), 30), [15, 15]);
    let seen = 0;
    assert.deepEqual(
      count(rig(upstream(RR, servers)), 30, (slot) => slot === 0 && ++seen % 3 === 0),
      [6, 24],
    );
  });

  it('least_conn.t: two parked on one, the next ten go to the other', () => {
    const r = rig(upstream(LEAST_CONN, weighted([1, 1])));
    const parked = [1, 2, 3, 4].map(() => hold(r.group));
    const first = parked.filter((a) => a.slot === 0);
    for (const a of parked) if (a.slot === 1) r.group.done(a, OK);
    assert.equal(first.length, 2);
    assert.deepEqual(count(r, 10), [0, 10]);
  });

  it('max_conns: single 3, then busy; backup takes the rest; 1 and 1; the same address twice', () => {
    const slots = (servers: Parameters<typeof upstream>[1], n: number): number[] => {
      const r = rig(upstream(RR, servers));
      return Array.from({ length: n }, () => hold(r.group).slot);
    };
    assert.deepEqual(slots([{ server: 'a:1', maxConns: 3 }], 4), [0, 0, 0, BUSY]);
    assert.deepEqual(
      slots(
        [
          { server: 'a:1', maxConns: 2 },
          { server: 'b:1', backup: true },
        ],
        4,
      ),
      [0, 0, 1, 1],
    );
    assert.deepEqual(
      slots(
        [
          { server: 'a:1', maxConns: 1 },
          { server: 'b:1', maxConns: 1 },
        ],
        3,
      ),
      [0, 1, BUSY],
    );
    assert.deepEqual(
      slots(
        [
          { server: 'a:1', maxConns: 1 },
          { server: 'a:1', maxConns: 1 },
        ],
        3,
      ),
      [0, 1, BUSY],
    );
    assert.deepEqual(slots([{ server: 'a:1', maxConns: 1, weight: 5 }, { server: 'b:1' }], 4), [0, 1, 1, 1]);
  });

  it('sticky_drain.t: the bound go to a draining peer, the others never', () => {
    const r = rig(upstream(RR, [{ server: '127.0.0.1:8081', drain: true }, { server: '127.0.0.1:8082' }]));
    const stickySid = r.group.peer(0).sid;
    assert.deepEqual(
      [1, 2, 3].map(() => r.serve({ stickySid })),
      [0, 0, 0],
    );
    assert.deepEqual(
      [1, 2, 3].map(() => r.serve()),
      [1, 1, 1],
    );
  });

  it('keeps shares exact over whole rounds', () => {
    const r = rig(upstream(RR, weighted([7, 1, 4, 4, 2])));
    assert.deepEqual(count(r, 18 * 50), [350, 50, 200, 200, 100]);
  });

  it('an empty group is busy', () => {
    const r = rig(upstream(RR, [{ server: 'name', resolve: true }]));
    assert.equal(r.serve(), BUSY);
  });
});
