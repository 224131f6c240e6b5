/**
 * Nanoseconds for one pick and its done, by balancer and size of the group: one thread, nobody failing, the clock
 * standing still; and with 64 requests in flight, as least_conn meets it.
 *
 *   node bench/micro/pick.ts
 */
import type { BalancerConfig } from '../../src/config/model.ts';
import { Attempt, createTable, Group, type Outcome } from '../../src/upstream/group.ts';
import { upstream } from '../../test/upstream/fixtures.ts';

const BALANCERS: [string, BalancerConfig][] = [
  ['round robin', { kind: 'round_robin' }],
  ['least_conn', { kind: 'least_conn' }],
  ['random', { kind: 'random', two: null }],
  ['random two', { kind: 'random', two: { kind: 'least_conn' } }],
  ['hash', { kind: 'hash', key: '$k', consistent: false }],
  ['hash consistent', { kind: 'hash', key: '$k', consistent: true }],
  ['ip_hash', { kind: 'ip_hash' }],
  ['ip_hash_active', { kind: 'address_hash', active: true }],
  ['fair', { kind: 'fair' }],
  ['least_time', { kind: 'least_time', mode: 'header', inflight: false }],
  ['least_time inflight', { kind: 'least_time', mode: 'header', inflight: true }],
];
const SIZES = [3, 100, 10_000];
const WEIGHTS: [string, (i: number) => number][] = [
  ['equal weights', () => 1],
  ['weights 1 to 5', (i) => 1 + (i % 5)],
];
const IN_FLIGHT = 64;
const OUTCOME: Outcome = { failed: false, next: false, hadHeader: true, headerMs: 5, responseMs: 7 };

function measure(balancer: BalancerConfig, size: number, weight: (i: number) => number, inFlight: number): number {
  const servers = Array.from({ length: size }, (_, i) => ({
    server: `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}:80`,
    weight: weight(i),
  }));
  const config = upstream(balancer, servers);
  const clock = { now: () => 1_000_000_000 };
  const group = new Group(config, createTable(config), { workerId: 0, clock, random: Math.random });
  const attempts = Array.from({ length: inFlight }, () => new Attempt());
  const keys = Array.from({ length: 4096 }, (_, i) => ({
    hashKey: `/path/of/some/length/${i}`,
    clientAddress: Uint8Array.of(10, i >> 8, i & 255, 1),
  }));
  let n = 0;
  const turn = (count: number): void => {
    for (let i = 0; i < count; i++) {
      const a = attempts[n % inFlight]!;
      if (a.slot >= 0) group.done(a, OUTCOME);
      group.begin(a, keys[n & 4095]!, 0);
      group.pick(a);
      n++;
    }
  };
  const scans = balancer.kind === 'least_time' && size > 1000;
  const count = scans ? 2_000 : 200_000;
  turn(count);
  let best = Infinity;
  for (let round = 0; round < 5; round++) {
    const start = process.hrtime.bigint();
    turn(count);
    best = Math.min(best, Number(process.hrtime.bigint() - start) / count);
  }
  return best;
}

console.log(`ns per begin + pick + done, best of 5 rounds, Node ${process.version}`);
for (const [title, weight] of WEIGHTS) {
  for (const inFlight of [1, IN_FLIGHT]) {
    console.log(`\n${title}, ${inFlight} in flight`);
    console.log(`| balancer | ${SIZES.map((n) => `${n} peers`).join(' | ')} |`);
    console.log(`| --- |${SIZES.map(() => ' ---: |').join('')}`);
    for (const [name, balancer] of BALANCERS) {
      const row = SIZES.map((size) => Math.round(measure(balancer, size, weight, inFlight)));
      console.log(`| ${name} | ${row.join(' | ')} |`);
    }
  }
}
