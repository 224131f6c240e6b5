/** The tunnel's rules, without sockets: whatever happens to connections, bytes arrive once and in order, or it shows. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import fc from 'fast-check';
import type { SessionLimits } from '../../../src/net/tunnel/session-events.ts';
import { FRAME_UNIT, REASONS } from '../../../src/net/tunnel/wire.ts';
import { Simulation } from './simulation.ts';
import type { End } from './simulation.ts';

const LIMITS: SessionLimits = { maxLinks: 5, channelSize: 4, startLinks: 1, resumeMs: 10_000 };

let next = 0;
/** Bytes of which no two stretches are alike. */
function bytes(n: number): Buffer {
  const buf = Buffer.allocUnsafe(n);
  for (let i = 0; i < n; i++) {
    next = (next * 1_103_515_245 + 12_345) & 0x7fffffff;
    buf[i] = next >> 16;
  }
  return buf;
}

function arrived(from: End, at: End): void {
  assert.ok(Buffer.concat(from.written).equals(Buffer.concat(at.read)), 'all bytes, once, in order');
  assert.equal(at.endTold, 1);
}

test('bytes both ways over one connection, ends apart from each other, the connection is free again', () => {
  const sim = new Simulation(LIMITS);
  const { client, server } = sim;
  const [link] = sim.links;
  client.write(bytes(100_000));
  client.end();
  sim.pass(20);
  for (let i = 0; i < 10; i++) {
    link!.move(1e9);
    link!.other.move(1e9);
  }
  arrived(client, server);
  assert.equal(client.endTold, 0, 'the other direction is open');
  server.write(bytes(300_000));
  server.end();
  sim.settle();
  arrived(server, client);
  assert.deepEqual([client.result, server.result], [true, true]);
  assert.ok(link!.released && link!.other.released);
});

const action = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(fc.constant('move' as const), fc.nat(4), fc.boolean(), fc.nat(60_000)) },
  { weight: 3, arbitrary: fc.tuple(fc.constant('small' as const), fc.nat(4), fc.boolean(), fc.nat(40)) },
  { weight: 3, arbitrary: fc.tuple(fc.constant('write' as const), fc.nat(4), fc.boolean(), fc.nat(120_000)) },
  { weight: 2, arbitrary: fc.tuple(fc.constant('cut' as const), fc.nat(4), fc.boolean(), fc.nat(1)) },
  { weight: 2, arbitrary: fc.tuple(fc.constant('connect' as const), fc.nat(4), fc.boolean(), fc.nat(1)) },
  { weight: 2, arbitrary: fc.tuple(fc.constant('pass' as const), fc.nat(4), fc.boolean(), fc.nat(400)) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('hold' as const), fc.nat(4), fc.boolean(), fc.nat(1)) },
  { weight: 2, arbitrary: fc.tuple(fc.constant('take' as const), fc.nat(4), fc.boolean(), fc.nat(100_000)) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('end' as const), fc.nat(4), fc.boolean(), fc.nat(1)) },
);

type Action = typeof action extends fc.Arbitrary<infer A> ? A : never;

function act(sim: Simulation, [kind, at, up, n]: Action): void {
  const end = up ? sim.client : sim.server;
  switch (kind) {
    case 'move':
    case 'small':
      sim.move(at, up, n);
      break;
    case 'write':
      end.write(bytes(n));
      break;
    case 'cut':
      if (sim.links.length > 0) sim.cut(at % sim.links.length);
      break;
    case 'connect':
      sim.connect();
      break;
    case 'pass':
      sim.pass(n);
      break;
    case 'hold': {
      const link = sim.links[at % Math.max(1, sim.links.length)];
      const side = up ? link : link?.other;
      if (side === undefined) break;
      if (side.writable) side.writable = false;
      else side.owner.session.writable(side, sim.now);
      break;
    }
    case 'take':
      end.take(n);
      break;
    case 'end':
      end.end();
      break;
  }
}

test('over random splits, delays, orders and losses of connections all bytes arrive once and in order', () => {
  fc.assert(
    fc.property(
      fc.array(action, { minLength: 5, maxLength: 120 }),
      fc.integer({ min: 1, max: 6 }),
      fc.boolean(),
      (actions, channelSize, eager) => {
        const sim = new Simulation({ ...LIMITS, channelSize });
        sim.client.eager = sim.server.eager = eager;
        const window = Math.max(64 * 1024, LIMITS.maxLinks * channelSize * FRAME_UNIT);
        for (const one of actions) {
          act(sim, one);
          for (const end of [sim.client, sim.server]) assert.ok(end.unread <= window, 'no more than the window waits');
        }
        sim.client.end();
        sim.server.end();
        sim.settle();
        arrived(sim.client, sim.server);
        arrived(sim.server, sim.client);
        assert.deepEqual([sim.client.failure, sim.server.failure], [0, 0]);
        assert.deepEqual([sim.client.result, sim.server.result], [true, true]);
      },
    ),
    { numRuns: 400 },
  );
});

test('without any connection for too long, it ends with an error on both sides', () => {
  const sim = new Simulation(LIMITS);
  sim.client.write(bytes(1000));
  sim.move(0, true, 100);
  sim.cut(0);
  sim.pass(9_999);
  assert.deepEqual([sim.client.failure, sim.server.failure], [0, 0]);
  sim.pass(1);
  assert.deepEqual([sim.client.failure, sim.server.failure], [REASONS.lost, REASONS.lost]);
  assert.deepEqual([sim.client.result, sim.server.result], [false, false]);
});

test('a connection that comes back in time is all that is needed', () => {
  const sim = new Simulation(LIMITS);
  sim.client.write(bytes(30_000));
  sim.move(0, true, 20_000);
  sim.cut(0);
  sim.pass(9_000);
  assert.ok(sim.client.wanted > 0);
  sim.connect();
  sim.client.end();
  sim.server.end();
  sim.settle();
  arrived(sim.client, sim.server);
});

test('who reads nothing lets the other side send a window and no more', () => {
  const sim = new Simulation(LIMITS);
  sim.server.eager = false;
  for (let i = 0; i < 50; i++) sim.client.write(bytes(100_000));
  for (let i = 0; i < 400; i++) {
    sim.move(0, true, 1e9);
    sim.move(0, false, 1e9);
    sim.pass(5);
  }
  assert.ok(sim.server.unread >= 48 * 1024 && sim.server.unread <= 64 * 1024 + FRAME_UNIT, `${sim.server.unread}`);
  assert.equal(sim.server.session.held, 0);
});

test('one connection that does not move holds up the others after a window, and holds no more memory', () => {
  const sim = new Simulation({ ...LIMITS, channelSize: 8 });
  sim.connect();
  sim.connect();
  sim.client.write(bytes(5_000_000));
  for (let i = 0; i < 300; i++) {
    // The first one is stuck.
    for (const at of [1, 2]) sim.move(at, true, 1e9);
    for (const at of [0, 1, 2]) sim.move(at, false, 1e9);
    sim.pass(5);
  }
  assert.ok(sim.server.session.held <= 2 * 3 * 8 * FRAME_UNIT, `${sim.server.session.held}`);
  sim.client.end();
  sim.server.end();
  sim.settle();
  arrived(sim.client, sim.server);
});

test('more connections are asked for when those that there are do not take what there is, for a while', () => {
  for (const up of [true, false]) {
    const sim = new Simulation(LIMITS);
    const from = up ? sim.client : sim.server;
    from.write(bytes(2_000_000));
    assert.equal(sim.client.session.target, 1);
    sim.pass(300);
    sim.move(0, !up, 1e9);
    assert.equal(sim.client.session.target, 1, 'once is not enough');
    sim.pass(300);
    sim.move(0, !up, 1e9);
    sim.move(0, up, 10);
    if (!up) sim.move(0, up, 1e9);
    assert.equal(sim.client.session.target, 2);
    assert.ok(sim.client.wanted > 0);
  }
});

test('no more connections are asked for than allowed', () => {
  const sim = new Simulation({ ...LIMITS, maxLinks: 2 });
  sim.client.write(bytes(2_000_000));
  for (let i = 0; i < 10; i++) {
    sim.pass(300);
    sim.connect();
  }
  assert.equal(sim.client.session.target, 2);
  assert.equal(sim.links.length, 2);
});

test('who closes has all that was written delivered; the other side then hears that nobody reads', () => {
  const sim = new Simulation(LIMITS);
  sim.client.write(bytes(200_000));
  sim.server.write(bytes(200_000));
  sim.client.end();
  sim.client.session.close(sim.now);
  sim.settle();
  arrived(sim.client, sim.server);
  assert.equal(sim.server.failure, REASONS.cancelled);
});

test('an end by reset is seen at once', () => {
  const sim = new Simulation(LIMITS);
  sim.client.write(bytes(100));
  sim.client.session.reset(REASONS.cancelled);
  sim.settle();
  assert.equal(sim.server.failure, REASONS.cancelled);
  assert.ok(sim.server.session.closed);
});
