/** A worker of threads.test.ts: many requests, and at the end (`hold`) some that are never given back. */
import { parentPort, workerData } from 'node:worker_threads';
import type { UpstreamConfig } from '../../src/config/model.ts';
import { Attempt, Group } from '../../src/upstream/group.ts';
import { OK } from './fixtures.ts';

export interface Job {
  config: UpstreamConfig;
  table: SharedArrayBuffer;
  workerId: number;
  picks: number;
  /** Go on for ever: to be killed. */
  endless: boolean;
  /** All threads wait here until the main thread lets them go. */
  gate: Int32Array;
}

const job = workerData as Job;
const group = new Group(job.config, job.table, {
  workerId: job.workerId,
  clock: { now: () => 1e9 },
  random: Math.random,
});
const counts = new Float64Array(job.config.servers.length);
const open = Array.from({ length: 7 }, () => new Attempt());

parentPort!.postMessage('ready');
Atomics.wait(job.gate, 0, 0);

for (let i = 0; i < job.picks || job.endless; i++) {
  const a = open[i % open.length]!;
  if (a.slot >= 0) group.done(a, OK);
  group.begin(a, { hashKey: String(i) }, 0);
  const slot = group.pick(a);
  if (slot >= 0) counts[slot]!++;
}
for (const a of open) group.done(a, OK);
parentPort!.postMessage(counts);
