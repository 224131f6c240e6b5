/** What the page makes of frames: rates, quantiles, what is wrong. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { bytes, count, duration, many, percent, rate, span } from '../../dashboard/src/format.ts';
import { calm } from '../../dashboard/src/series.ts';
import { Model } from '../../dashboard/src/model.ts';
import type { Counted } from '../../dashboard/src/model/counted.ts';
import { allProblems } from '../../dashboard/src/problems.ts';
import { PAST } from '../../dashboard/src/series.ts';
import { BUCKET_BOUNDS, P, quantileOf, STATES } from '../../src/admin/dashboard/frame.ts';
import type { Frame, GroupFrame, PeerFrame } from '../../src/admin/dashboard/frame.ts';

const NODE = {
  version: '1',
  pid: 1,
  host: 'here',
  startedAt: 500,
  loadedAt: 500,
  generation: 1,
  file: '/nginx.conf',
};

interface Said {
  state?: (typeof STATES)[number];
  requests?: number;
  failed?: number;
  times?: number[];
  backup?: boolean;
}

function peer(id: number, { state = 'up', requests = 0, failed = 0, times = [] }: Said): PeerFrame {
  const frame = Array.from({ length: P.hist + BUCKET_BOUNDS.length + 1 }, () => 0);
  frame[P.id] = id;
  frame[P.state] = STATES.indexOf(state);
  frame[P.requests] = requests;
  frame[P.responses + 4] = failed;
  for (const [i, n] of times.entries()) frame[P.hist + i] = n;
  return frame;
}

function group(name: string, peers: Said[], queue: [number, number] = [0, 0], withInfo = true): GroupFrame {
  const info = {
    door: 'http' as const,
    name,
    method: 'round robin',
    sticky: '',
    zone: name,
    queueSize: 10,
    checked: false,
    stateFile: false,
    names: [],
    peers: peers.map(({ backup = false }, id) => ({
      id,
      address: `10.0.0.${id}:80`,
      name: `10.0.0.${id}`,
      backup,
      resolved: false,
      weight: 1,
      maxConns: 0,
      maxFails: 1,
      failTimeoutSec: 10,
      slowStartMs: 0,
    })),
  };
  const data = { peers: peers.map((said, id) => peer(id, said)), queue, zombies: 0 };
  return { key: `http ${name}`, ...(withInfo ? { info } : null), data };
}

function frame(now: number, groups: GroupFrame[], full = false, requests = 0): Frame {
  return {
    now,
    ...(full ? { full, node: NODE, write: { api: '/api' } } : null),
    process: { rss: 1, cpuMs: 0, accepted: 0, active: 0, idle: 0, requests, current: 0, respawned: 0 },
    workers: [],
    zones: [],
    counted: [],
    groups,
  };
}

describe('the model', () => {
  it('makes rates of counters, and of what is missing nothing new', () => {
    const model = new Model();
    model.take(frame(1000, [group('a', [{ requests: 100 }, { requests: 7 }])], true, 50));
    model.take(frame(2000, [group('a', [{ requests: 140 }, { requests: 7 }], [0, 0], false)], false, 90));
    const a = model.groups.get('http a')!;
    assert.deepEqual([a.rps.at(-1), a.peers[0]!.rps.at(-1), a.peers[1]!.rps.at(-1)], [40, 40, 0]);
    assert.equal(model.rps.at(-1), 40);
    model.take(frame(4000, [], false, 90));
    assert.equal(a.rps.at(-1), 0, 'a group that is not in the frame is as it was');
    model.take(frame(4500, [group('a', [{ requests: 10 }, { requests: 7 }], [0, 0], false)]));
    assert.equal(a.peers[0]!.rps.at(-1), 20, 'a counter that went back was made anew');
    assert.equal(calm(a.rps), (40 + 0 + 20) / 3);
  });

  it('keeps every series as long as its moments, whoever comes when', () => {
    const model = new Model();
    model.take(frame(0, [], true));
    for (let i = 1; i < PAST + 30; i++) {
      const groups = i < 5 ? [] : [group('late', i < 9 ? [{}] : [{}, {}])];
      model.take(frame(i * 1000, groups));
      const late = model.groups.get('http late');
      const lengths = [model.rps, ...(late === undefined ? [] : [late.rps, late.times.p95, late.peers.at(-1)!.ms])];
      for (const series of lengths) assert.equal(series.length, model.moments.length, `frame ${i}`);
    }
    assert.equal(model.moments.length, PAST);
  });

  it('forgets with a full frame what is not in it, and with another process all', () => {
    const model = new Model();
    model.take(frame(1000, [group('a', [{}]), group('b', [{}])], true));
    model.take(frame(2000, [group('b', [{ requests: 5 }])], true));
    assert.deepEqual([...model.groups.keys()], ['http b']);
    assert.equal(model.groups.get('http b')!.rps.at(-1), 5);
    const other = frame(3000, [group('b', [{ requests: 9 }])], true);
    model.take({ ...other, node: { ...NODE, startedAt: 900 } });
    assert.deepEqual(model.moments, []);
    assert.deepEqual(model.groups.get('http b')!.rps, []);
  });

  it('begins with what the server remembers', () => {
    const model = new Model();
    const known = { rps: [1, null, 3], errors: [0, 0, 1], p50: [null, null, 5], p95: [null, null, 9] };
    const past = {
      moments: [7, 8, 9],
      all: known,
      connections: [4, 5, 6],
      cpu: [null, 0.5, 1],
      groups: { 'http a': known },
    };
    model.take({ ...frame(10_000, [group('a', [{}]), group('b', [{}])], true), past });
    const series = (key: string): (number | null)[] => model.groups.get(key)!.rps;
    assert.deepEqual(model.moments, [7, 8, 9]);
    assert.deepEqual([series('http a'), series('http b')], [known.rps, [null, null, null]]);
    model.take(frame(11_000, [group('a', [{ requests: 4 }], [0, 0], false)]));
    assert.deepEqual(model.moments, [7, 8, 9, 11]);
    assert.deepEqual(
      [series('http a'), series('http b')],
      [
        [1, null, 3, 4],
        [null, null, null, 0],
      ],
    );
    assert.deepEqual(model.groups.get('http a')!.times.p95, [null, null, 9, null]);
    assert.deepEqual(model.connections, [4, 5, 6, 0]);
    for (const all of [model.rps, model.p50, model.cpu]) assert.equal(all.length, 4);
    // What the page knows itself is better.
    model.take({ ...frame(12_000, [group('a', [{ requests: 4 }])], true), past });
    assert.equal(model.moments.length, 5);
  });

  it('knows a server by number and address', () => {
    const model = new Model();
    model.take(frame(1000, [group('a', [{ requests: 5 }])], true));
    const before = model.groups.get('http a')!.peers[0];
    const again = group('a', [{ requests: 6 }]);
    again.info!.peers[0]!.weight = 3;
    model.take(frame(2000, [again]));
    assert.equal(model.groups.get('http a')!.peers[0], before);
    assert.equal(before!.info.weight, 3);
    const another = group('a', [{ requests: 6 }]);
    another.info!.peers[0]!.address = '10.9.9.9:80';
    model.take(frame(3000, [another]));
    assert.notEqual(model.groups.get('http a')!.peers[0], before);
  });

  it('tells response times of the last seconds', () => {
    const model = new Model();
    model.take(frame(1000, [group('a', [{ times: [1000] }])], true));
    model.take(frame(2000, [group('a', [{ times: [1000, 0, 10] }], [0, 0], false)]));
    const { times } = model.groups.get('http a')!;
    assert.equal(times.over(0.5), 17.5, 'in the middle of 10 to 25, and what was before does not count');
    assert.ok(times.over(0.95)! <= 25);
    for (let i = 3; i < 14; i++) model.take(frame(i * 1000, []));
    assert.equal(times.over(0.5), null);
  });
});

it('caches, limits and resolvers have rates of their own', () => {
  const model = new Model();
  const answers = (responses: number): Record<string, number> => ({ responses, bytes: 0 });
  const cache = (hit: number, stale: number, miss: number): Frame['counted'][number] => ({
    key: 'http/caches c',
    path: 'http/caches',
    name: 'c',
    value: { size: 4096, cold: false, hit: answers(hit), stale: answers(stale), miss: answers(miss) },
  });
  const resolver = (asked: number, good: number, timedout: number): Frame['counted'][number] => ({
    key: 'resolvers r',
    path: 'resolvers',
    name: 'r',
    value: { requests: { name: asked, srv: 0 }, responses: { noerror: good, nxdomain: 1, timedout } },
  });
  model.take({ ...frame(1000, [], true), counted: [cache(5, 0, 2), resolver(1, 0, 0)] });
  model.take({ ...frame(3000, []), counted: [cache(9, 2, 4), resolver(4, 2, 1)] });
  const [c, r] = [...model.counted.values()] as [Counted, Counted];
  assert.deepEqual([c.rate('hit'), c.rate('fetched')], [3, 1]);
  assert.deepEqual([r.rate('asked'), r.rate('answered'), r.rate('failed')], [1.5, 1, 0.5]);
  model.take({ ...frame(4000, [], true), counted: [] });
  assert.equal(model.counted.size, 0);
});

describe('quantiles', () => {
  it('lie in the bucket that holds them, and grow with their share', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(50), { minLength: 15, maxLength: 15 }),
        fc.double({ min: 0.01, max: 1, noNaN: true }),
        (n, q) => {
          const value = quantileOf(n, q);
          const all = n.reduce((sum, one) => sum + one, 0);
          if (all === 0) return value === null;
          let rank = q * all;
          const bucket = n.findIndex((one) => (one > 0 && rank <= one ? true : ((rank -= one), false)));
          const from = bucket <= 0 ? 0 : BUCKET_BOUNDS[bucket - 1]!;
          return value! >= from && value! <= (BUCKET_BOUNDS[bucket] ?? from) && value! <= quantileOf(n, 1)!;
        },
      ),
    );
  });
});

describe('what is wrong', () => {
  const wrong = (groups: GroupFrame[], later?: GroupFrame[]): string[] => {
    const model = new Model();
    model.take(frame(1000, groups, true));
    if (later !== undefined) model.take(frame(2000, later));
    return allProblems(model).map(({ severity, group: about, title }) => `${severity} ${about?.info.name} ${title}`);
  };

  it('comes in order of what it costs', () => {
    assert.deepEqual(
      wrong([
        group('a', [{}, { state: 'draining' }, { state: 'down' }]),
        group('b', [{}, { state: 'unhealthy' }, { state: 'unavail' }]),
        group('c', [{ state: 'down' }, { state: 'unhealthy' }]),
        group('d', [{}, {}]),
        group('e', []),
      ]),
      [
        'critical c has no server that takes requests',
        'critical e has no servers',
        'warning b 2 of 3 servers are out',
        'note a 2 servers taken out by hand',
      ],
    );
  });

  it('when only backups are left', () => {
    const model = new Model();
    model.take(frame(1000, [group('a', [{ state: 'unhealthy' }, { backup: true }])], true));
    const [first] = allProblems(model);
    assert.equal(first!.title, '1 of 2 servers is out');
    assert.match(first!.detail, /^10\.0\.0\.0:80 unhealthy\. Only backup servers are left\.$/);
    assert.deepEqual(wrong([group('a', [{ state: 'down' }, { backup: true }])]), [
      'warning a only backup servers are left',
      'note a 1 server taken out by hand',
    ]);
  });

  it('when requests wait, are refused, or fail', () => {
    assert.deepEqual(wrong([group('a', [{}], [3, 0])]), ['warning a 3 requests wait for a server']);
    assert.deepEqual(wrong([group('a', [{}], [10, 4])], [group('a', [{}], [10, 9])]), ['critical a its queue is full']);
    assert.deepEqual(wrong([group('a', [{}])], [group('a', [{ requests: 100, failed: 20 }])]), [
      'warning a 20\u202f% of its answers are 5xx',
    ]);
    assert.deepEqual(wrong([group('a', [{}])], [group('a', [{ requests: 100, failed: 2 }])]), []);
  });
});

it('numbers are short', () => {
  assert.deepEqual([0, 7, 1234, 9994, 12_345, 123_456, 1_234_567_890].map(count), [
    '0',
    '7',
    '1,234',
    '9,994',
    '12.3k',
    '123k',
    '1235M',
  ]);
  assert.deepEqual([0, 0.01, 0.34, 9.94, 9.96, 1500].map(rate), ['0', '<0.1', '0.3', '9.9', '10', '1,500']);
  const plain = (text: string): string => text.replaceAll('\u202f', ' ');
  assert.deepEqual([null, 0, 0.25, 12.4, 1234, 12_345].map(duration).map(plain), [
    '–',
    '0 ms',
    '0.3 ms',
    '12 ms',
    '1.2 s',
    '12 s',
  ]);
  assert.deepEqual([0, 999, 1000, 65_536, 1e12].map(bytes).map(plain), ['0 B', '999 B', '1.0 kB', '66 kB', '1.0 TB']);
  assert.deepEqual([4000, 150_000, 12_000_000, 2e8].map(span).map(plain), ['4 s', '2 min', '3 h 20 min', '2 d 7 h']);
  assert.deepEqual([0, 0.004, 0.126].map(percent).map(plain), ['0 %', '0.4 %', '13 %']);
  assert.deepEqual([many(1, 'server'), many(2, 'server')], ['1 server', '2 servers']);
});
