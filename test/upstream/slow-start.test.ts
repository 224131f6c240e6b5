/** Slow start: shares of the traffic against the line, in virtual time; when it begins, and when it does not. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { BalancerConfig } from '../../src/config/model.ts';
import { addServer, Attempt, reloadTable, replaceResolved, updateServer } from '../../src/upstream/group.ts';
import { address, FAILED, LEAST_CONN, OK, RR, rig, type Rig, type ServerInit, upstream } from './fixtures.ts';

const SLOW_MS = 10_000;

function servers(weights: number[]): ServerInit[] {
  return weights.map((weight, i) => ({ server: `127.0.0.1:${8081 + i}`, weight, slowStartMs: SLOW_MS }));
}

/** Marks a peer unhealthy, lets some time pass, and lets it recover. */
function recover(r: Rig, slot: number): void {
  const { generation } = r.group.peer(slot);
  updateServer(r.table, slot, generation, { unhealthy: true }, r.clock.ms);
  for (let i = 0; i < 50; i++) r.serve();
  updateServer(r.table, slot, generation, { unhealthy: false }, r.clock.ms);
}

/**
 * Sends requests that each take `serviceMs` at a steady rate and returns the share of the watched peer in each tenth of
 * the slow start (and one more after it).
 */
function shares(r: Rig, slot: number, perMs: number, serviceMs: number): number[] {
  const busy: { attempt: Attempt; until: number }[] = [];
  const idle: Attempt[] = [];
  const result: number[] = [];
  const begin = r.clock.ms;
  for (let tenth = 0; tenth < 11; tenth++) {
    let mine = 0;
    let all = 0;
    for (let ms = 0; ms < SLOW_MS / 10; ms++) {
      r.clock.ms = begin + (tenth * SLOW_MS) / 10 + ms;
      while (busy.length > 0 && busy[0]!.until <= r.clock.ms) {
        const { attempt } = busy.shift()!;
        r.group.done(attempt, { ...OK, headerMs: serviceMs, responseMs: serviceMs });
        idle.push(attempt);
      }
      for (let i = 0; i < perMs; i++) {
        const attempt = idle.pop() ?? new Attempt();
        r.group.begin(attempt, {}, 0);
        if (r.group.pick(attempt) === slot) mine++;
        all++;
        busy.push({ attempt, until: r.clock.ms + serviceMs });
      }
    }
    result.push(mine / all);
  }
  return result;
}

/** What the line says for a tenth: the peer's weight grows from 0 to its own. */
function line(weights: number[], slot: number, tenth: number): number {
  const others = weights.reduce((sum, weight) => sum + weight, 0) - weights[slot]!;
  let sum = 0;
  for (let i = 0; i < 100; i++) {
    const weight = weights[slot]! * Math.min(1, (tenth + (i + 0.5) / 100) / 10);
    sum += weight / (weight + others);
  }
  return sum / 100;
}

function follows(balancer: BalancerConfig, weights: number[], perMs: number, serviceMs: number): void {
  const r = rig(upstream(balancer, servers(weights)));
  recover(r, 1);
  shares(r, 1, perMs, serviceMs).forEach((share, tenth) => {
    const wanted = line(weights, 1, tenth);
    assert.ok(Math.abs(share - wanted) <= 0.05, `tenth ${tenth}: ${share.toFixed(3)} instead of ${wanted.toFixed(3)}`);
  });
}

describe('the share grows in a line', () => {
  it('round robin', () => {
    follows(RR, [1, 1], 1, 1);
    follows(RR, [1, 1, 1, 1], 2, 5);
    follows(RR, [5, 3, 1], 2, 5);
  });

  it('least_conn, from one request at a time to hundreds', () => {
    follows(LEAST_CONN, [1, 1], 1, 1);
    follows(LEAST_CONN, [1, 1, 1], 2, 100);
    follows(LEAST_CONN, [2, 2, 1], 2, 200);
  });

  for (const inflight of [false, true]) {
    it(`least_time${inflight ? ' inflight' : ''}`, () => {
      follows({ kind: 'least_time', mode: 'header', inflight }, [1, 1], 1, 1);
      follows({ kind: 'least_time', mode: 'last_byte', inflight }, [1, 1, 1], 2, 100);
    });
  }

  it('with exact sums: the currents come out even when it is over', () => {
    const r = rig(upstream(RR, servers([7, 3, 5])));
    recover(r, 2);
    for (let i = 0; i < 20_000; i++) {
      r.clock.ms += 1;
      r.serve();
    }
    const sum = r.group.snapshot().reduce((total, peer) => total + peer.currentWeight, 0);
    assert.ok(Math.abs(sum) <= 15, String(sum));
    const counts = [0, 0, 0];
    for (let i = 0; i < 15_000; i++) counts[r.serve()]!++;
    assert.deepEqual(counts, [7000, 3000, 5000]);
  });
});

describe('it begins', () => {
  const early = (r: Rig, slot: number): number => {
    let mine = 0;
    for (let i = 0; i < 1000; i++) {
      r.clock.ms += 1;
      if (r.serve() === slot) mine++;
    }
    return mine;
  };
  const slow = (r: Rig, slot: number): void => {
    const mine = early(r, slot);
    assert.ok(mine > 0 && mine < 100, `${mine} of 1000 in the first tenth`);
  };

  it('when fail_timeout has passed, from nothing', () => {
    const r = rig(upstream(RR, servers([1, 1])));
    const attempt = new Attempt();
    for (let slot = -1; slot !== 1;) {
      r.group.begin(attempt, {}, 0);
      slot = r.group.pick(attempt);
      r.group.done(attempt, slot === 1 ? FAILED : OK);
    }
    r.clock.ms = (Math.floor(r.clock.ms / 1000) + 10) * 1000 + 999;
    assert.equal(r.serve(), 0);
    slow(r, 1);
  });

  it('when it was down, draining or being checked', () => {
    for (const bit of ['down', 'drain', 'checking'] as const) {
      const r = rig(upstream(RR, servers([1, 1])));
      updateServer(r.table, 1, r.group.peer(1).generation, { [bit]: true }, r.clock.ms);
      assert.equal(early(r, 1), 0);
      updateServer(r.table, 1, r.group.peer(1).generation, { [bit]: false }, r.clock.ms);
      slow(r, 1);
    }
  });

  it('for servers that are added, resolved, or new in a configuration; not for those of the first one', () => {
    const config = upstream(RR, [...servers([1]), { server: 'names:80', resolve: true, slowStartMs: SLOW_MS }]);
    const r = rig(config);
    replaceResolved(r.table, config, 1, [{ host: '10.0.0.1', family: 4 }], r.clock.ms);
    slow(r, 1);
    r.clock.advance(20);
    const slot = addServer(
      r.table,
      { server: '10.0.0.2:80', address: address('10.0.0.2:80'), slowStartMs: SLOW_MS },
      r.clock.ms,
    );
    slow(r, slot);

    const first = rig(upstream(RR, servers([1, 1])));
    assert.equal(early(first, 1), 500);
    const next = upstream(RR, servers([1, 1, 1]));
    reloadTable(first.table, next, first.clock.ms);
    slow(first, 2);
  });

  it('once: a change of weight or a reload goes on with it', () => {
    const r = rig(upstream(RR, servers([1, 1])));
    recover(r, 1);
    early(r, 1);
    updateServer(r.table, 1, r.group.peer(1).generation, { maxConns: 9 }, r.clock.ms);
    reloadTable(r.table, r.config, r.clock.ms);
    const mine = early(r, 1);
    assert.ok(mine > 80 && mine < 200, String(mine));
  });
});

describe('it is not for', () => {
  it('a single server', () => {
    const r = rig(upstream(RR, servers([1])));
    recover(r, 0);
    assert.equal(r.serve(), 0);
  });

  it('a group in which all others are away: the slow one takes all', () => {
    const r = rig(upstream(RR, servers([1, 1])));
    recover(r, 1);
    updateServer(r.table, 0, r.group.peer(0).generation, { down: true }, r.clock.ms);
    for (let i = 0; i < 20; i++) assert.equal(r.serve(), 1);
  });

  it('peers that all recover at once: they share evenly from the first request', () => {
    const r = rig(upstream(RR, servers([1, 1, 1])));
    for (const slot of [0, 1, 2]) recover(r, slot);
    const counts = [0, 0, 0];
    for (let i = 0; i < 300; i++) counts[r.serve()]!++;
    for (const count of counts) assert.ok(Math.abs(count - 100) <= 10, String(counts));
  });
});
