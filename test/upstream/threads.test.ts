/** Real threads on one table: exact totals, nothing in flight at the end, and threads that are killed. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import type { UpstreamConfig } from '../../src/config/model.ts';
import { Attempt, createTable, Group, reclaimWorker } from '../../src/upstream/group.ts';
import { LEAST_CONN, OK, rig, RR, upstream, weighted } from './fixtures.ts';
import type { Job } from './thread.ts';

interface Crew {
  table: SharedArrayBuffer;
  workers: Worker[];
  go(): void;
}

async function crew(config: UpstreamConfig, threads: number, picks: number, endless = false): Promise<Crew> {
  const table = createTable(config);
  const gate = new Int32Array(new SharedArrayBuffer(4));
  const workers = Array.from({ length: threads }, (_, workerId) => {
    const workerData: Job = { config, table, workerId, picks, endless, gate };
    return new Worker(new URL('thread.ts', import.meta.url), { workerData });
  });
  await Promise.all(workers.map((w) => once(w, 'message')));
  const go = (): void => {
    Atomics.store(gate, 0, 1);
    Atomics.notify(gate, 0);
  };
  return { table, workers, go };
}

const THREADS = 4;
const PICKS = 50_000;

describe('threads', () => {
  it(`round robin: ${THREADS} threads, ${PICKS} picks each, shares exact to one`, async () => {
    const config = upstream(RR, weighted([5, 3, 1, 1]));
    const { table, workers, go } = await crew(config, THREADS, PICKS);
    const results = workers.map((w) => once(w, 'message') as Promise<[Float64Array]>);
    go();
    const totals = [0, 0, 0, 0];
    for (const [counts] of await Promise.all(results)) counts.forEach((n, i) => (totals[i]! += n));
    assert.deepEqual(totals, [100_000, 60_000, 20_000, 20_000]);
    const peers = rig(config, Math.random, table).group.snapshot();
    assert.deepEqual(
      peers.map((p) => [p.conns, p.requests, p.currentWeight]),
      totals.map((n) => [0, n, 0]),
    );
  });

  for (const balancer of [LEAST_CONN, { kind: 'hash', key: 'k', consistent: true } as const]) {
    it(`${balancer.kind}: nothing is lost`, async () => {
      const config = upstream(
        balancer,
        weighted([5, 3, 1, 1]).map((s) => ({ ...s, maxConns: 9 })),
      );
      const { table, workers, go } = await crew(config, THREADS, 20_000);
      const results = workers.map((w) => once(w, 'message') as Promise<[Float64Array]>);
      go();
      let served = 0;
      for (const [counts] of await Promise.all(results)) for (const n of counts) served += n;
      const peers = rig(config, Math.random, table).group.snapshot();
      assert.ok(peers.every((p) => p.conns === 0));
      assert.equal(
        peers.reduce((n, p) => n + p.requests, 0),
        served,
      );
    });
  }

  it('a killed thread is taken out of the counts, wherever it died', async () => {
    for (let round = 0; round < 5; round++) {
      const config = upstream(round % 2 === 0 ? RR : LEAST_CONN, weighted([5, 3, 1, 1]));
      const { table, workers, go } = await crew(config, 2, 0, true);
      go();
      const { group } = rig(config, Math.random, table);
      // until both are at work; this thread (worker 0 of the test's own table handle) only looks
      while (group.snapshot().reduce((n, p) => n + p.requests, 0) < 5_000) await new Promise(setImmediate);
      await Promise.all(workers.map((w) => w.terminate()));
      reclaimWorker(table, 0);
      reclaimWorker(table, 1);
      assert.ok(group.snapshot().every((p) => p.conns === 0));
      const after = new Group(config, table, { workerId: 0, clock: { now: () => 1e9 }, random: Math.random });
      const counts = [0, 0, 0, 0];
      for (let i = 0; i < 1000; i++) {
        const a = new Attempt();
        after.begin(a, {}, 0);
        counts[after.pick(a)]!++;
        after.done(a, OK);
      }
      const shares = [500, 300, 100, 100];
      // what was in hand when the threads died may be missing from the sequence, no more than that
      counts.forEach((n, i) => assert.ok(Math.abs(n - shares[i]!) <= 5, String(counts)));
    }
  });

  it('the lock of a dead thread is taken over, its half-made index rebuilt', () => {
    const config = upstream(RR, weighted([2, 1]));
    const r = rig(config);
    assert.equal(r.serve(), 0);
    const dead = new Group(config, r.table, { workerId: 3, clock: r.clock, random: Math.random });
    const a = new Attempt();
    dead.begin(a, {}, 0);
    assert.equal(dead.pick(a), 1);
    new Int32Array(r.table)[3] = 5;
    reclaimWorker(r.table, 3);
    assert.deepEqual(
      [1, 2, 3, 4].map(() => r.serve()),
      [0, 0, 1, 0],
    );
    assert.ok(r.group.snapshot().every((p) => p.conns === 0));
  });
});
