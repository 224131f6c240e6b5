/** The queue: order over workers, bounds, who leaves, who rings. Workers are groups of one thread here. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { UpstreamConfig } from '../../src/config/model.ts';
import {
  addServer,
  Attempt,
  BUSY,
  createTable,
  Group,
  reclaimWorker,
  reloadTable,
  updateServer,
  WAITING,
} from '../../src/upstream/group.ts';
import { H, Table } from '../../src/upstream/table/layout.ts';
import { address, FAILED, LEAST_CONN, OK, RR, type ServerInit, TestClock, upstream } from './fixtures.ts';

interface House {
  workers: Group[];
  table: SharedArrayBuffer;
  clock: TestClock;
  /** Wakes who was rung, until nobody is. */
  settle(): void;
  rings: number[];
}

function house(config: UpstreamConfig, count: number, table = createTable(config)): House {
  const clock = new TestClock();
  const rings: number[] = [];
  const workers = Array.from({ length: count }, (_, workerId) => {
    const ring = (id: number): void => void rings.push(id);
    return new Group(config, table, { workerId, clock, random: Math.random, ring });
  });
  const settle = (): void => {
    while (rings.length > 0) workers[rings.shift()!]!.wake();
  };
  return { workers, table, clock, settle, rings };
}

function queued(servers: ServerInit[], size: number, balancer = RR): UpstreamConfig {
  return { ...upstream(balancer, servers), queue: { size, timeoutMs: 60_000 } };
}

/** A request that notes its number when it gets a peer. */
class Waiter {
  readonly attempt = new Attempt();
  readonly group: Group;
  slot = WAITING;
  constructor(group: Group, number: number, log: number[]) {
    this.group = group;
    this.attempt.onTurn = () => {
      this.slot = group.pick(this.attempt);
      if (this.slot >= 0) log.push(number);
    };
    group.begin(this.attempt, {}, 0);
    this.attempt.onTurn();
  }
  done(failed = false): void {
    this.group.done(this.attempt, failed ? FAILED : OK);
  }
}

const ONE = [{ server: '127.0.0.1:8081', maxConns: 1 }];

describe('a request waits when nobody can be chosen', () => {
  it('first in, first out: 1,000 of four workers, one connection', () => {
    const { workers, settle } = house(queued(ONE, 1000), 4);
    const log: number[] = [];
    const all: Waiter[] = [];
    for (let i = 0; i <= 1000; i++) all.push(new Waiter(workers[(i * 7 + (i >> 3)) % 4]!, i, log));
    assert.deepEqual(log, [0]);
    for (let i = 0; i <= 1000; i++) {
      all[i]!.done();
      settle();
    }
    assert.deepEqual(
      log,
      Array.from({ length: 1001 }, (_, i) => i),
    );
  });

  it('in order with many connections too, however the workers are woken', () => {
    const servers = [1, 2, 3].map((n) => ({ server: `127.0.0.1:${8080 + n}`, maxConns: 3 }));
    const { workers, rings } = house(queued(servers, 1000, LEAST_CONN), 4);
    const log: number[] = [];
    const all: Waiter[] = [];
    for (let i = 0; i < 500; i++) all.push(new Waiter(workers[i % 4]!, i, log));
    assert.equal(log.length, 9);
    let ended = 0;
    while (ended < 500) {
      // some end, then all who were rung wake up, the last one first
      const upTo = Math.min(log.length, ended + 1 + (ended % 5));
      const before = log.length;
      for (; ended < upTo; ended++) all[log[ended]!]!.done();
      while (rings.length > 0) workers[rings.pop()!]!.wake();
      // turns go to the first in line, whoever of them is the fastest to take it
      const fresh = log.slice(before).sort((a, b) => a - b);
      fresh.forEach((number, i) => assert.equal(number, before + i));
    }
    assert.equal(log.length, 500);
  });

  it('newcomers do not pass those who wait', () => {
    const { workers, rings, settle } = house(queued(ONE, 10), 2);
    const log: number[] = [];
    const first = new Waiter(workers[0]!, 0, log);
    const second = new Waiter(workers[0]!, 1, log);
    first.done();
    assert.deepEqual(rings, [0]);
    const third = new Waiter(workers[1]!, 2, log);
    assert.equal(third.slot, WAITING);
    settle();
    assert.deepEqual(log, [0, 1]);
    second.done();
    settle();
    assert.deepEqual(log, [0, 1, 2]);
  });

  it('a full queue refuses and counts', () => {
    const { workers, table } = house(queued(ONE, 2), 1);
    const log: number[] = [];
    const slots = [0, 1, 2, 3, 4].map((i) => new Waiter(workers[0]!, i, log).slot);
    assert.deepEqual(slots, [0, WAITING, WAITING, BUSY, BUSY]);
    const t = new Table(table);
    assert.equal(t.head[H.queued], 2);
    assert.deepEqual(workers[0]!.queueSnapshot(), { size: 2, maxSize: 2, overflows: 2 });
  });

  it('who leaves makes room, at any place of the line, and gives its turn to the next', () => {
    const { workers, settle } = house(queued(ONE, 3), 1);
    const log: number[] = [];
    const all = [0, 1, 2, 3].map((i) => new Waiter(workers[0]!, i, log));
    workers[0]!.stopWaiting(all[2]!.attempt);
    workers[0]!.stopWaiting(all[2]!.attempt);
    const late = new Waiter(workers[0]!, 4, log);
    assert.equal(late.slot, WAITING);
    all[0]!.done();
    // it was rung and leaves before it wakes up
    workers[0]!.stopWaiting(all[1]!.attempt);
    settle();
    assert.deepEqual(log, [0, 3]);
    all[3]!.done();
    settle();
    assert.deepEqual(log, [0, 3, 4]);
  });
});

describe('who may come next is told', () => {
  const down = [{ server: '127.0.0.1:8081' }, { server: '127.0.0.1:8082' }];

  it('when a server recovers: all of them, in order', () => {
    const { workers, table, clock, settle } = house(queued(down, 100), 2);
    const log: number[] = [];
    const set = (unhealthy: boolean): void => {
      for (const slot of [0, 1]) updateServer(table, slot, workers[0]!.peer(slot).generation, { unhealthy }, clock.ms);
    };
    set(true);
    for (let i = 0; i < 50; i++) new Waiter(workers[i % 2]!, i, log);
    assert.deepEqual(log, []);
    set(false);
    for (const worker of workers) worker.poll();
    settle();
    assert.deepEqual(
      log.toSorted((a, b) => a - b),
      Array.from({ length: 50 }, (_, i) => i),
    );
    // each worker serves its own in their order
    for (const rest of [0, 1])
      assert.deepEqual(
        log.filter((i) => i % 2 === rest),
        log.filter((i) => i % 2 === rest).toSorted((a, b) => a - b),
      );
  });

  it('when a server is added', () => {
    const { workers, table, settle } = house(queued(ONE, 100), 1);
    const log: number[] = [];
    for (let i = 0; i < 4; i++) new Waiter(workers[0]!, i, log);
    addServer(table, { server: 'b', address: address('127.0.0.1:9000'), maxConns: 2 });
    workers[0]!.poll();
    settle();
    assert.deepEqual(log, [0, 1, 2]);
  });

  it('when fail_timeout has passed: one finds out, then the others', () => {
    const { workers, clock, settle } = house(queued(down, 100), 1);
    const log: number[] = [];
    for (const i of [0, 1]) new Waiter(workers[0]!, i, log).done(true);
    const rest = [2, 3, 4, 5].map((i) => new Waiter(workers[0]!, i, log));
    workers[0]!.poll();
    settle();
    assert.deepEqual(log, [0, 1]);
    clock.advance(11);
    workers[0]!.poll();
    settle();
    assert.deepEqual(log, [0, 1, 2, 3]);
    rest[0]!.done();
    settle();
    assert.deepEqual(log, [0, 1, 2, 3, 4, 5]);
  });

  it('one whose peers have all been tried holds nobody up', () => {
    const servers = [
      { server: '127.0.0.1:8081', maxConns: 1, maxFails: 0 },
      { server: '127.0.0.1:8082', maxConns: 1, maxFails: 0 },
    ];
    const { workers, settle } = house(queued(servers, 100), 1);
    const log: number[] = [];
    const a = new Waiter(workers[0]!, 0, log);
    const b = new Waiter(workers[0]!, 1, log);
    a.done(true);
    // it may go to the second peer only, which is taken
    a.attempt.onTurn!();
    assert.equal(a.slot, WAITING);
    settle();
    assert.equal(a.slot, WAITING);
    const c = new Waiter(workers[0]!, 2, log);
    settle();
    assert.equal(c.slot, 0);
    b.done();
    settle();
    assert.equal(a.slot, 1);
  });
});

describe('the line outlives', () => {
  it('a worker: its requests leave, the others keep their order', () => {
    const { workers, table, settle } = house(queued(ONE, 100), 3);
    const log: number[] = [];
    const all = Array.from({ length: 30 }, (_, i) => new Waiter(workers[i % 3]!, i, log));
    reclaimWorker(table, 0);
    workers[1]!.poll();
    settle();
    const served = all.filter((_, i) => i % 3 !== 0);
    for (const waiter of served) {
      waiter.done();
      settle();
    }
    assert.deepEqual(log, [0, ...Array.from({ length: 30 }, (_, i) => i).filter((i) => i % 3 !== 0)]);
  });

  it('a reload that leaves its size; another size is another table', () => {
    const config = queued(ONE, 5);
    const table = createTable(config);
    assert.equal(reloadTable(table, queued(ONE, 5)), table);
    assert.notEqual(reloadTable(table, queued(ONE, 6)), table);
  });
});
