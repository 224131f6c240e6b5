/** Services: SRV records and their targets (upstream_service.t of nginx-tests). */
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { Resolver } from '../../src/discovery/resolver.ts';
import { assembleService, rotateAddresses, serviceName } from '../../src/discovery/service.ts';
import type { TargetResult } from '../../src/discovery/service.ts';
import { failure } from '../../src/discovery/types.ts';
import type { FailureCode, ServiceRecord } from '../../src/discovery/types.ts';
import { a, aaaa, cname, config, FakeTime, srv, TestDns, until } from './dns-server.ts';
import type { Handler } from './dns-server.ts';

const open: { close(): void | Promise<void> }[] = [];

afterEach(async () => {
  for (const item of open.splice(0).reverse()) {
    await item.close();
  }
});

async function setUp(handler: Handler, validMs: number | null = null) {
  const dns = await new TestDns(handler).start();
  const time = new FakeTime();
  const lines: string[] = [];
  const resolver = new Resolver(
    { ...config(dns), validMs },
    { clock: time, timers: time, random: () => 0, log: (_level, message) => lines.push(message) },
  );
  open.push({ close: () => dns.stop() }, resolver);
  return { dns, time, lines, resolver };
}

function text({ address, port, weight, priority, target }: ServiceRecord): string {
  return `${address}:${port} w${weight} p${priority} ${target}`;
}

test('the name of a service', () => {
  assert.equal(serviceName('http', 'example.com'), '_http._tcp.example.com');
  assert.equal(serviceName('_http._udp', 'example.com'), '_http._udp.example.com');
  assert.equal(serviceName('http.v2', 'example.com'), 'http.v2.example.com');
});

describe('resolveService', () => {
  test('targets are resolved, A and AAAA; sorted by priority; weight 0 is 1; shortest time to live', async () => {
    const { dns, time, resolver } = await setUp(({ name, type }) => {
      if (type === 'SRV') {
        return {
          answers: [
            srv(name, '2 6 83 backup.net', 100),
            srv(name, '1 0 82 Main.NET.', 100),
            srv(name, '1 5 81 main.net', 100),
          ],
        };
      }
      return {
        answers:
          type === 'A'
            ? [a(name, name === 'main.net' ? '10.0.0.1' : '10.0.0.2', 50)]
            : name === 'main.net'
              ? [aaaa(name, '::1', 70)]
              : [],
      };
    });
    const resolution = await resolver.resolveService('http', 'Example.net', 1000);
    assert.ok(resolution.ok);
    assert.deepEqual(resolution.records.map(text), [
      '10.0.0.1:82 w1 p1 main.net',
      '::1:82 w1 p1 main.net',
      '10.0.0.1:81 w5 p1 main.net',
      '::1:81 w5 p1 main.net',
      '10.0.0.2:83 w6 p2 backup.net',
    ]);
    assert.equal(resolution.ttlSec, 50);
    assert.equal(resolution.validUntilMs, time.ms() + 50_000);
    assert.deepEqual(dns.asked, [
      'SRV _http._tcp.example.net',
      'A main.net',
      'AAAA main.net',
      'A backup.net',
      'AAAA backup.net',
    ]);
    await resolver.resolveService('http', 'example.net', 1000);
    assert.equal(dns.queries.length, 5, 'all of it is cached');
    time.advance(60_000);
    await resolver.resolveService('http', 'example.net', 1000);
    assert.deepEqual(dns.asked.slice(5), ['A main.net', 'AAAA main.net', 'A backup.net', 'AAAA backup.net']);
  });

  test('equal records give equal peers', async () => {
    const { resolver } = await setUp(({ name, type }) => ({
      answers:
        type === 'SRV' ? [srv(name, '1 5 80 x'), srv(name, '1 5 80 x')] : type === 'A' ? [a(name, '10.0.0.1')] : [],
    }));
    const resolution = await resolver.resolveService('http', 'y', 1000);
    assert.equal(resolution.ok && resolution.records.length, 2);
  });

  test('a service behind a CNAME', async () => {
    const { resolver } = await setUp(({ name, type }) => {
      if (type === 'SRV') {
        return { answers: [name === 'alias' ? srv(name, '1 5 80 x') : cname(name, 'alias', 9)] };
      }
      return { answers: type === 'A' ? [a(name, '10.0.0.1')] : [] };
    });
    const resolution = await resolver.resolveService('_http._tcp', 'y', 1000);
    assert.deepEqual(resolution.ok && resolution.records.map(text), ['10.0.0.1:80 w5 p1 x']);
    assert.equal(resolution.ok && resolution.ttlSec, 9);
  });

  test('cut off: over TCP', async () => {
    const { resolver } = await setUp(({ name, type, tcp }) => {
      if (type === 'SRV') {
        return { truncated: !tcp, answers: [srv(name, `1 1 80 ${tcp ? 'tcp' : 'udp'}`)] };
      }
      return { answers: type === 'A' ? [a(name, '10.0.0.1')] : [] };
    });
    const resolution = await resolver.resolveService('http', 'trunc', 1000);
    assert.deepEqual(resolution.ok && resolution.records.map(text), ['10.0.0.1:80 w1 p1 tcp']);
  });

  for (const [title, reply, code] of [
    ['no such name', { rcode: 3 }, 3],
    ['an empty answer', {}, 3],
    ['a failure', { rcode: 2 }, 2],
  ] as const) {
    test(title, async () => {
      const { time, resolver } = await setUp(() => reply, 4000);
      const resolution = await resolver.resolveService('http', 'x', 1000);
      assert.deepEqual(resolution, { ...failure(code, time.ms() + 4000), failed: [], partial: [] });
    });
  }

  test('a target of "." is no service', async () => {
    const { resolver } = await setUp(({ name }) => ({ answers: [srv(name, '0 0 0 .')] }));
    const resolution = await resolver.resolveService('http', 'x', 1000);
    assert.equal(!resolution.ok && resolution.code, 3);
  });

  test('a record that is cut off, or other records, are no answer', async () => {
    const { time, lines, resolver } = await setUp(({ name, count }) => {
      return count === 1
        ? { answers: [{ type: 'UNKNOWN_33', name, data: Buffer.from([0, 1, 0, 1]), ttl: 5 } as never] }
        : { answers: [a(name, '10.0.0.1')] };
    });
    const promise = resolver.resolveService('http', 'x', 8000);
    await until(() => lines.length === 1, 'log line');
    time.advance(5000);
    await until(() => lines.length === 3, 'more log lines');
    assert.deepEqual(lines, [
      'short DNS response',
      'unexpected RR type 1 in DNS response',
      'no SRV type in DNS response',
    ]);
    time.advance(3000);
    assert.equal((await promise).ok, false);
  });

  test('a target that does not answer: the timeout', async () => {
    const { dns, time, resolver } = await setUp(({ name, type }) => {
      return type === 'SRV'
        ? { answers: [srv(name, '1 1 80 good'), srv(name, '1 1 80 slow')] }
        : name === 'good'
          ? { answers: type === 'A' ? [a(name, '10.0.0.1')] : [] }
          : null;
    });
    const promise = resolver.resolveService('http', 'x', 1000);
    await until(() => dns.queries.length === 5, 'queries');
    await until(() => resolver.size.cached === 2, 'the good one');
    time.advance(1000);
    const resolution = await promise;
    assert.ok(!resolution.ok);
    assert.equal(resolution.code, 110);
    assert.deepEqual(resolution.partial.map(text), ['10.0.0.1:80 w1 p1 good']);
    assert.deepEqual(resolution.failed, [{ target: 'slow', code: 110, text: 'Operation timed out' }]);
  });

  test('cancelled while targets are asked for', async () => {
    const { dns, resolver } = await setUp(({ name, type }) =>
      type === 'SRV' ? { answers: [srv(name, '1 1 80 slow')] } : null,
    );
    let called = false;
    const cancel = resolver.lookupService('http', 'x', 1000, () => (called = true));
    await until(() => dns.queries.length === 3, 'queries');
    cancel();
    assert.equal(resolver.size.waiting, 0);
    resolver.close();
    assert.equal(called, false);
  });
});

describe('assembleService', () => {
  const answer = { validUntilMs: 9000, ttlSec: 9 };

  function target(name: string, priority: number, weight: number, result: string[] | FailureCode): TargetResult {
    const srvTarget = { priority, weight, port: 80, target: name };
    return Array.isArray(result)
      ? {
          srv: srvTarget,
          resolution: {
            ok: true,
            addresses: result.map((address) => ({ family: 4, address })),
            validUntilMs: 5000,
            ttlSec: 5,
          },
        }
      : { srv: srvTarget, resolution: failure(result, 0) };
  }

  test('the first target is drawn by weight x addresses', () => {
    const results = [target('a', 1, 1, ['1']), target('b', 1, 1, ['2', '3']), target('c', 1, 3, ['4'])];
    const first = Array.from({ length: 6 }, (_, i) => {
      const resolution = assembleService(results, answer, 0, () => (i + 0.5) / 6);
      return resolution.ok ? resolution.records.map(({ address }) => address).join('') : '';
    });
    assert.deepEqual(first, ['1234', '2341', '2341', '4123', '4123', '4123']);
  });

  test('priorities stay apart', () => {
    const results = [
      target('a', 1, 1, ['1']),
      target('b', 1, 1, ['2']),
      target('c', 2, 1, ['3']),
      target('d', 2, 1, ['4']),
    ];
    const resolution = assembleService(results, answer, 0, () => 0.99);
    assert.deepEqual(resolution.ok && resolution.records.map(({ address }) => address), ['2', '1', '4', '3']);
  });

  test('a target that does not exist is left out', () => {
    const resolution = assembleService([target('a', 1, 1, 3), target('b', 2, 1, ['2'])], answer, 0, () => 0);
    assert.ok(resolution.ok);
    assert.deepEqual(resolution.records.map(text), ['2:80 w1 p2 b']);
    assert.deepEqual(resolution.failed, [{ target: 'a', code: 3, text: 'Host not found' }]);
    assert.equal(resolution.validUntilMs, 5000);
    assert.equal(resolution.ttlSec, 5);
  });

  for (const [title, codes, code] of [
    ['none exists', [3, 3], 3],
    ['one fails, one does not exist', [3, 2], 2],
    ['all fail', [5, 2], 5],
  ] as const) {
    test(title, () => {
      const resolution = assembleService(
        codes.map((each) => target('x', 1, 1, each)),
        answer,
        7,
        () => 0,
      );
      assert.ok(!resolution.ok);
      assert.equal(resolution.code, code);
      assert.equal(resolution.validUntilMs, 7);
    });
  }
});

test('rotateAddresses gives each place its turn', () => {
  const v4 = ['1', '2'].map((address) => ({ family: 4 as const, address }));
  const v6 = ['a'].map((address) => ({ family: 6 as const, address }));
  const orders = [0, 0.34, 0.67].map((draw) => {
    const draws = [draw, 0, 0];
    return rotateAddresses(v4, v6, () => draws.shift() ?? 0)
      .map(({ address }) => address)
      .join('');
  });
  assert.deepEqual(orders, ['12a', 'a12', '2a1']);
  assert.deepEqual(
    rotateAddresses([], [], () => 0.9),
    [],
  );
});
