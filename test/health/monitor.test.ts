/** The monitor in virtual time: who is probed when, what follows, and that nobody waits for anybody. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type HealthCheck, HealthMonitor } from '../../src/health/monitor.ts';
import type { Probe, ProbeOutcome, ProbeTarget } from '../../src/health/probe.ts';
import { addServer, createTable, Group, removeServer } from '../../src/upstream/group.ts';
import { address, RR, type ServerInit, upstream } from '../upstream/fixtures.ts';

const PASS: ProbeOutcome = { passed: true, stage: 'checking status code', error: null };
const FAIL: ProbeOutcome = { passed: false, stage: 'checking status code', error: null };

/** Time that moves when it is told, and all that happens in it. */
class World {
  ms = 0;
  readonly timers = new Set<{ at: number; fire: () => void }>();
  readonly logs: string[] = [];
  readonly probes: { at: number; target: ProbeTarget; closed: boolean }[] = [];
  changes = 0;
  random = 0.5;
  /** By address; a function may answer later. */
  answer: (target: ProbeTarget, report: (outcome: ProbeOutcome) => void) => void = (_, report) => report(PASS);
  readonly monitor = new HealthMonitor({
    now: () => this.ms,
    wall: () => 1_000_000_000 + this.ms,
    random: () => this.random,
    timer: (ms, fire) => {
      const timer = { at: this.ms + ms, fire };
      this.timers.add(timer);
      return () => this.timers.delete(timer);
    },
    log: (level, message) => void this.logs.push(`${level}: ${message}`),
    changed: () => void this.changes++,
  });

  check(init: Partial<HealthCheck> = {}): HealthCheck {
    return {
      id: 'check',
      name: 'm',
      intervalMs: 1000,
      jitterMs: 0,
      fails: 1,
      passes: 1,
      mandatory: false,
      port: null,
      kind: { open: (target) => this.#open(target) },
      ...init,
    };
  }

  #open(target: ProbeTarget): Probe {
    const runs: { at: number; target: ProbeTarget; closed: boolean }[] = [];
    return {
      run: (report) => {
        const run = { at: this.ms, target, closed: false };
        runs.push(run);
        this.probes.push(run);
        this.answer(target, report);
      },
      close: () => runs.forEach((run) => (run.closed = true)),
    };
  }

  pass(ms: number): void {
    const end = this.ms + ms;
    for (;;) {
      const next = [...this.timers].sort((a, b) => a.at - b.at)[0];
      if (next === undefined || next.at > end) break;
      this.ms = Math.max(this.ms, next.at);
      this.timers.delete(next);
      next.fire();
    }
    this.ms = end;
  }
}

function groupOf(servers: ServerInit[], mandatory = false): { table: SharedArrayBuffer; states: () => string[] } {
  const config = upstream(RR, servers);
  const table = createTable(config, { mandatory });
  const group = new Group(config, table, { workerId: 0, clock: { now: () => 1_000_000_000 }, random: Math.random });
  return { table, states: () => group.snapshot().map(({ state }) => state) };
}

const TWO = [{ server: '127.0.0.1:1' }, { server: '127.0.0.1:2' }];
const failing = (port: number) => (target: ProbeTarget, report: (outcome: ProbeOutcome) => void) =>
  report(target.port === port ? FAIL : PASS);

describe('health monitor', () => {
  it('probes each server once an interval, whatever probes of others do', () => {
    const w = new World();
    const { table, states } = groupOf(TWO);
    w.answer = (target, report) => {
      if (target.port === 2) report(PASS);
    };
    w.monitor.follow([{ key: 'u', name: 'u', table, checks: [w.check()] }]);
    w.pass(10_000);
    const times = (port: number): number[] => w.probes.filter(({ target }) => target.port === port).map(({ at }) => at);
    assert.equal(times(1).length, 1, 'the one that hangs is not asked again');
    assert.deepEqual(
      times(2),
      Array.from({ length: 10 }, (_, i) => 500 + i * 1000),
    );
    assert.deepEqual(states(), ['up', 'up']);
  });

  it('keeps its pace when answers are slow, and adds the jitter', () => {
    const w = new World();
    const { table } = groupOf([TWO[0]!]);
    w.answer = (_, report) => void w.timers.add({ at: w.ms + 700, fire: () => report(PASS) });
    w.monitor.follow([{ key: 'u', name: 'u', table, checks: [w.check({ jitterMs: 200 })] }]);
    w.pass(5000);
    assert.deepEqual(
      w.probes.map(({ at }) => at),
      // half of what the jitter leaves to chance; ticks of 20 ms
      [500, 1580, 2660, 3740, 4820],
    );
  });

  it('is late only beyond the jitter, whose end is left to the thread', () => {
    const w = new World();
    const { table } = groupOf([TWO[0]!]);
    w.random = 0.999;
    w.monitor.follow([{ key: 'u', name: 'u', table, checks: [w.check({ jitterMs: 100 })] }]);
    w.pass(1500);
    const last = (): number => w.probes.at(-1)!.at;
    const due = last() + 1000 + 60;
    // the thread is busy when it is due, for as long as the jitter goes on
    w.pass(due - w.ms - 21);
    w.ms = due + 39;
    w.pass(0);
    assert.equal(last(), due + 39);
    assert.equal(w.monitor.lateness().tooLate, 0);
    w.pass(500);
    w.ms += 2000;
    w.pass(0);
    assert.equal(w.monitor.lateness().tooLate, 1);
  });

  it('changes states after fails and passes in a row, with the log of nginx', () => {
    const w = new World();
    const { table, states } = groupOf(TWO);
    w.monitor.follow([{ key: 'u', name: 'u', table, checks: [w.check({ fails: 3, passes: 2 })] }]);
    w.answer = failing(1);
    w.pass(2100);
    assert.deepEqual(states(), ['up', 'up']);
    w.pass(1000);
    assert.deepEqual(states(), ['unhealthy', 'up']);
    w.answer = failing(0);
    w.pass(1000);
    assert.deepEqual(states(), ['unhealthy', 'up']);
    w.pass(1000);
    assert.deepEqual(states(), ['up', 'up']);
    assert.equal(w.changes, 1);
    const place = 'health check "m" of peer 127.0.0.1:1 in upstream "u"';
    assert.deepEqual(w.logs, [
      `warn: peer is unhealthy while checking status code, ${place}`,
      `notice: peer is healthy while checking status code, ${place}`,
    ]);
    const { generation } = new Group(upstream(RR, TWO), table, {
      workerId: 1,
      clock: { now: () => 0 },
      random: Math.random,
    }).peer(0);
    const counters = w.monitor.counters('u')!(0, generation);
    assert.deepEqual(counters, { checks: 5, fails: 3, unhealthy: 1, lastPassed: true });
  });

  it('needs all of several checks', () => {
    const w = new World();
    const { table, states } = groupOf(TWO);
    const checks = [w.check(), w.check({ id: 'other', port: 99 })];
    w.answer = (target, report) => report(target.port === 99 && target.address === '127.0.0.1:1' ? FAIL : PASS);
    w.monitor.follow([{ key: 'u', name: 'u', table, checks }]);
    w.pass(3000);
    assert.deepEqual(states(), ['unhealthy', 'up']);
    assert.match(w.logs[0]!, /in upstream "u", port 99$/);
  });

  it('mandatory: nobody is let in before all checks have passed, at the start and later', () => {
    const w = new World();
    const { table, states } = groupOf(TWO, true);
    assert.deepEqual(states(), ['checking', 'checking']);
    const checks = [w.check({ mandatory: true, passes: 5 }), w.check({ id: 'b', mandatory: true, fails: 3 })];
    w.answer = failing(2);
    w.monitor.follow([{ key: 'u', name: 'u', table, checks }]);
    w.pass(100);
    assert.deepEqual(states(), ['up', 'unhealthy']);
    addServer(table, { server: 'c', address: address('127.0.0.1:3') });
    assert.deepEqual(states(), ['up', 'unhealthy', 'checking']);
    w.pass(200);
    assert.deepEqual(states(), ['up', 'unhealthy', 'up']);
  });

  it('follows servers that come and go', () => {
    const w = new World();
    const { table } = groupOf([TWO[0]!]);
    w.monitor.follow([{ key: 'u', name: 'u', table, checks: [w.check()] }]);
    w.pass(900);
    const slot = addServer(table, { server: 'c', address: address('127.0.0.1:3') });
    w.answer = () => {};
    w.pass(2000);
    const last = w.probes.find(({ target }) => target.address === '127.0.0.1:3')!;
    assert.equal(last.closed, false);
    removeServer(table, slot, 2);
    w.pass(100);
    assert.equal(last.closed, true);
    const counters = w.monitor.counters('u')!;
    assert.equal(counters(slot, 2), null);
    assert.equal(counters(0, 1)!.checks > 0, true);
  });

  it('keeps what it knows over a reload, by server and by check', () => {
    const w = new World();
    const first = groupOf(TWO);
    w.answer = failing(1);
    w.monitor.follow([{ key: 'u', name: 'u', table: first.table, checks: [w.check({ fails: 2 })] }]);
    w.pass(2000);
    assert.deepEqual(first.states(), ['unhealthy', 'up']);
    // the group has a new table, in which it is born without marks
    const second = groupOf([...TWO, { server: '127.0.0.1:4' }]);
    w.monitor.follow([{ key: 'u', name: 'u', table: second.table, checks: [w.check({ fails: 2 })] }]);
    assert.deepEqual(second.states(), ['unhealthy', 'up', 'up']);
    // another check is another check: what the first one said does not count
    w.monitor.follow([{ key: 'u', name: 'u', table: second.table, checks: [w.check({ id: 'new', fails: 2 })] }]);
    assert.deepEqual(second.states(), ['up', 'up', 'up']);
    w.pass(2000);
    assert.deepEqual(second.states(), ['unhealthy', 'up', 'up']);
    // without checks nobody is unhealthy by them
    w.monitor.follow([]);
    assert.deepEqual(second.states(), ['up', 'up', 'up']);
    const before = w.probes.length;
    w.pass(5000);
    assert.equal(w.probes.length, before);
  });

  it('spreads 3,000 checks over the second and is never late', () => {
    const w = new World();
    let seed = 1;
    const monitor = w.monitor;
    Object.defineProperty(w, 'random', { get: () => (seed = (seed * 16807) % 2147483647) / 2147483647 });
    const groups = Array.from({ length: 30 }, (_, i) => ({
      key: `u${i}`,
      name: `u${i}`,
      table: groupOf(Array.from({ length: 100 }, (__, k) => ({ server: `10.0.0.${i}:${k + 1}` }))).table,
      checks: [w.check()],
    }));
    monitor.follow(groups);
    // those of a tick of 20 ms go out together when it begins
    w.pass(980);
    assert.equal(w.probes.length, 3000);
    const ticks = new Map<number, number>();
    for (const { at } of w.probes) ticks.set(at, (ticks.get(at) ?? 0) + 1);
    assert.equal(ticks.size, 50);
    assert.ok(Math.max(...ticks.values()) < 100, `${Math.max(...ticks.values())} at once`);
    w.pass(10_000);
    assert.equal(w.probes.length, 33_000);
    assert.ok(monitor.latestMs <= 1, String(monitor.latestMs));

    // the thread stands still for a while: each is asked once, late, and then all go on at their own pace
    w.ms += 3500;
    w.pass(0);
    assert.equal(w.probes.length, 36_000);
    const again = w.probes.length;
    w.pass(1000);
    const after = new Map<number, number>();
    const later = w.probes.slice(again);
    for (const { at } of later) after.set(at, (after.get(at) ?? 0) + 1);
    assert.ok(Math.abs(later.length - 3000) < 100, `${later.length} probes`);
    // two ticks' worth in the first one
    assert.ok(Math.max(...after.values()) < 200, `${Math.max(...after.values())} at once`);
    monitor.close();
    assert.equal(w.timers.size, 0);
  });
});
