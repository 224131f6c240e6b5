/** Every algorithm against the plain reference: identical sequences over random groups, failures, time and changes. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { BalancerConfig } from '../../src/config/model.ts';
import { Attempt, Group, type Outcome, updateServer } from '../../src/upstream/group.ts';
import { rig, type ServerInit, upstream } from './fixtures.ts';
import { Reference, type RefAttempt } from './reference.ts';

/** Random groups per algorithm; a soak sets more. */
const RUNS = Number(process.env.FC_RUNS ?? 300);

const BALANCERS: [string, BalancerConfig][] = [
  ['round robin', { kind: 'round_robin' }],
  ['hash', { kind: 'hash', key: '$k', consistent: false }],
  ['consistent hash', { kind: 'hash', key: '$k', consistent: true }],
  ['ip_hash', { kind: 'ip_hash' }],
  ['least_conn', { kind: 'least_conn' }],
  ['least_time header', { kind: 'least_time', mode: 'header', inflight: false }],
  ['least_time last_byte', { kind: 'least_time', mode: 'last_byte', inflight: false }],
  ['least_time header inflight', { kind: 'least_time', mode: 'header', inflight: true }],
  ['least_time last_byte inflight', { kind: 'least_time', mode: 'last_byte', inflight: true }],
  ['random', { kind: 'random', two: null }],
  ['random two', { kind: 'random', two: { kind: 'least_conn' } }],
];

const anyServer = fc.record({
  weight: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 6 }), fc.constant(50)),
  maxConns: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 3 })),
  maxFails: fc.integer({ min: 0, max: 3 }),
  failTimeoutSec: fc.integer({ min: 0, max: 5 }),
  backup: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, fc.constant(true)),
  down: fc.oneof({ weight: 6, arbitrary: fc.constant(false) }, fc.constant(true)),
  drain: fc.oneof({ weight: 6, arbitrary: fc.constant(false) }, fc.constant(true)),
  /** Shares the name of the server before it: several addresses of one name. */
  sameName: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, fc.constant(true)),
});

/** `n` picks among open attempts, servers and keys. */
type Op =
  | { op: 'begin'; n: number; maxTries: number }
  | { op: 'done'; n: number; failed: boolean; next: boolean; hadHeader: boolean; ms: number }
  | { op: 'retry'; n: number }
  | { op: 'header'; n: number; ms: number }
  | { op: 'wait'; ms: number }
  | { op: 'down'; n: number; down: boolean };

const n = fc.nat(1_000_000);
const anyOp: fc.Arbitrary<Op> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ op: fc.constant('begin' as const), n, maxTries: fc.nat(3) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      op: fc.constant('done' as const),
      n,
      failed: fc.boolean(),
      next: fc.oneof({ weight: 5, arbitrary: fc.constant(false) }, fc.constant(true)),
      hadHeader: fc.oneof({ weight: 5, arbitrary: fc.constant(true) }, fc.constant(false)),
      ms: fc.oneof(fc.nat(60), fc.nat(9000)),
    }),
  },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('retry' as const), n }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('header' as const), n, ms: fc.nat(300) }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('wait' as const), ms: fc.oneof(fc.nat(900), fc.nat(9000)) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('down' as const), n, down: fc.boolean() }) },
);

/** A random source that two can draw from alike. */
function lcg(seed: number): () => number {
  let x = seed >>> 0;
  return () => (x = (Math.imul(x, 1664525) + 1013904223) >>> 0) / 2 ** 32;
}

interface Open {
  real: Attempt;
  plain: RefAttempt;
}

function run(balancer: BalancerConfig, servers: ServerInit[], ops: Op[], seed: number, sticky: boolean): void {
  const config = upstream(balancer, servers);
  const r = rig(config, lcg(seed));
  const second = new Group(config, r.table, { workerId: 1, clock: r.clock, random: Math.random });
  const sids = config.servers.map((_, i) => r.group.peer(i).sid);
  // slots are given out primaries and backups mixed, in order of configuration
  const ref = new Reference(config, sids, () => r.clock.ms, lcg(seed));
  // sums of elapsed times only make sense with true ones
  const inflight = balancer.kind === 'least_time' && balancer.inflight;
  let open: Open[] = [];
  const pick = (o: Open): void => {
    const expected = ref.pick(o.plain);
    const slot = r.group.pick(o.real);
    assert.equal(slot, expected?.index ?? -1);
    if (slot >= 0) open.push(o);
  };
  const idle: Open[] = [];
  for (const op of ops) {
    switch (op.op) {
      case 'begin': {
        const keys = {
          hashKey: op.n % 9 === 0 ? '' : String(op.n % 50),
          clientAddress: Uint8Array.of(127, op.n & 255, (op.n >> 8) & 255, 1),
          stickySid: sticky && op.n % 3 === 0 ? sids[op.n % sids.length]! : '',
        };
        const o = { real: new Attempt(), plain: ref.begin(keys, op.maxTries) };
        r.group.begin(o.real, keys, op.maxTries);
        assert.equal(o.real.triesLeft, o.plain.tries);
        pick(o);
        break;
      }
      case 'done': {
        if (open.length === 0) break;
        const o = open[op.n % open.length]!;
        open = open.filter((other) => other !== o);
        const ms = inflight ? r.clock.ms - o.real.selectedMs : op.ms;
        const outcome: Outcome = { ...op, next: op.next && !op.failed, headerMs: ms >> 1, responseMs: ms };
        // a request may end on any thread that knows the table, as far as the group is concerned
        assert.equal(r.group.done(o.real, outcome), ref.done(o.plain, outcome));
        assert.equal(o.real.triesLeft, o.plain.tries);
        idle.push(o);
        break;
      }
      case 'retry': {
        const o = idle.splice(op.n % Math.max(1, idle.length), 1)[0];
        if (o !== undefined) pick(o);
        break;
      }
      case 'header': {
        if (open.length === 0) break;
        const o = open[op.n % open.length]!;
        const ms = inflight ? r.clock.ms - o.real.selectedMs : op.ms;
        r.group.headerReceived(o.real, ms);
        ref.header(o.plain, ms);
        break;
      }
      case 'wait':
        r.clock.ms += op.ms;
        break;
      case 'down': {
        const i = op.n % servers.length;
        updateServer(r.table, i, r.group.peer(i).generation, { down: op.down });
        const peer = [...ref.primary, ...ref.backup].find((p) => p.index === i)!;
        peer.down = (peer.down & ~1) | (op.down ? 1 : 0);
      }
    }
  }
  compare(second, ref);
  for (const o of open)
    r.group.done(o.real, { failed: false, next: false, hadHeader: false, headerMs: 0, responseMs: 0 });
  assert.ok(r.group.snapshot().every((p) => p.conns === 0));
}

function compare(group: Group, ref: Reference): void {
  const real = group
    .snapshot()
    .map((p) => [p.slot, p.conns, p.fails, p.effectiveWeight, p.currentWeight, p.responseMs, p.headerMs]);
  const plain = [...ref.primary, ...ref.backup].map((p) => [
    p.index,
    p.conns,
    p.fails,
    p.effective,
    p.current,
    p.response,
    p.header,
  ]);
  assert.deepEqual(real, plain);
}

describe('the same sequences as the plain algorithm', () => {
  for (const [name, balancer] of BALANCERS) {
    for (const sticky of [false, true]) {
      it(`${name}${sticky ? ', sticky' : ''}`, () => {
        fc.assert(
          fc.property(
            fc.array(anyServer, { minLength: 1, maxLength: 9 }),
            fc.array(anyOp, { maxLength: 120, size: 'max' }),
            fc.nat(),
            (flags, ops, seed) => {
              const servers: ServerInit[] = flags.map(({ sameName, ...flag }, i) => {
                const server = `10.0.0.${i}:80`;
                const named = sameName && i > 0 ? `name${i >> 1}` : server;
                return {
                  ...flag,
                  server: named,
                  addresses: [{ text: server, family: 4, host: `10.0.0.${i}`, port: 80 }],
                };
              });
              servers[0]!.backup = false;
              run(balancer, servers, ops, seed, sticky);
            },
          ),
          { numRuns: Math.ceil(RUNS / (name === 'consistent hash' ? 3 : 1)) },
        );
      });
    }
  }
});
