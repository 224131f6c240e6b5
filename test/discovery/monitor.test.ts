/** Re-resolution of servers (upstream_resolve.t, upstream_service.t of nginx-tests), on a clock run by hand. */
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { Monitor } from '../../src/discovery/monitor.ts';
import type { WatchOptions } from '../../src/discovery/monitor.ts';
import { Resolver } from '../../src/discovery/resolver.ts';
import { a, aaaa, config, FakeTime, srv, TestDns, until } from './dns-server.ts';
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
  const log = (level: string, message: string): void => void lines.push(`${level}: ${message}`);
  const resolver = new Resolver({ ...config(dns), validMs }, { clock: time, timers: time, random: () => 0, log });
  const monitor = new Monitor({ clock: time, timers: time, log });
  open.push({ close: () => dns.stop() }, resolver, monitor);
  const calls: { records: string[]; validForMs: number }[] = [];
  const errors: number[] = [];
  const watch = (options: Partial<WatchOptions> = {}): (() => void) =>
    monitor.watch(
      { key: 'u', resolver, host: 'example.net', service: null, timeoutMs: 30_000, ...options },
      (records, validUntilMs) => {
        const texts = records.map(({ address, port, target }) => `${address}:${port} ${target}`);
        calls.push({ records: texts, validForMs: validUntilMs - time.ms() });
      },
      ({ code }) => errors.push(code),
    );
  return { dns, time, lines, resolver, monitor, calls, errors, watch };
}

describe('Monitor', () => {
  test('first after 1 ms, then 1 s after the end of each answer', async () => {
    let address = '127.0.0.201';
    const { dns, time, calls, watch } = await setUp(({ name, type }) => ({
      answers: type === 'A' ? [a(name, address, 10)] : [aaaa(name, 'fe80::1', 20)],
    }));
    watch();
    assert.deepEqual(time.delays, [1]);
    time.advance(1);
    await until(() => calls.length === 1, 'first answer');
    assert.deepEqual(calls[0], { records: ['127.0.0.201:0 example.net', 'fe80::1:0 example.net'], validForMs: 10_000 });
    address = '127.0.0.202';
    assert.deepEqual(time.delays, [11_000]);
    time.advance(10_999);
    assert.equal(dns.queries.length, 2);
    time.advance(1);
    await until(() => calls.length === 2, 'second answer');
    assert.deepEqual(calls[1]?.records, ['127.0.0.202:0 example.net', 'fe80::1:0 example.net']);
  });

  test('valid= decides when; no validity left: after 1 s', async () => {
    const handler: Handler = ({ name, type }) => ({ answers: type === 'A' ? [a(name, '10.0.0.1', 0)] : [] });
    const with5 = await setUp(handler, 5000);
    with5.watch();
    with5.time.advance(1);
    await until(() => with5.calls.length === 1, 'answer');
    assert.deepEqual(with5.time.delays, [6000]);
    const zero = await setUp(handler);
    zero.watch();
    zero.time.advance(1);
    await until(() => zero.calls.length === 1, 'answer');
    assert.deepEqual(zero.time.delays, [1000]);
  });

  test('after a reload: at the end of what is still valid', async () => {
    const { time, watch } = await setUp(() => null);
    watch({ initialValidUntilMs: time.ms() + 7000 });
    watch({ initialValidUntilMs: time.ms() - 5 });
    assert.deepEqual(time.delays, [1, 7000]);
  });

  for (const [timeoutMs, retryMs] of [
    [30_000, 30_000],
    [200, 1000],
  ] as const) {
    test(`a failure keeps the records, next try after ${retryMs} ms`, async () => {
      const { time, calls, errors, lines, watch, dns } = await setUp(() => ({ rcode: 2 }));
      watch({ timeoutMs });
      time.advance(1);
      await until(() => errors.length === 1, 'failure');
      assert.deepEqual(calls, []);
      assert.deepEqual(errors, [2]);
      assert.deepEqual(lines, ['error: example.net could not be resolved (2: Server failure)']);
      assert.deepEqual(time.delays, [retryMs]);
      dns.handler = ({ name, type }) => ({ answers: type === 'A' ? [a(name, '10.0.0.1')] : [] });
      time.advance(retryMs);
      await until(() => calls.length === 1, 'recovery');
    });
  }

  test('a timeout', async () => {
    const { dns, time, errors, lines, watch } = await setUp(() => null);
    watch({ timeoutMs: 1000 });
    time.advance(1);
    await until(() => dns.queries.length === 2, 'queries');
    time.advance(1000);
    assert.deepEqual(errors, [110]);
    assert.deepEqual(lines, ['error: example.net could not be resolved (110: Operation timed out)']);
  });

  for (const [title, reply] of [
    ['a name that does not exist', { rcode: 3 }],
    ['an empty answer', {}],
  ] as const) {
    test(`${title}: no records; again after 10 s, or valid=`, async () => {
      for (const [validMs, delayMs] of [
        [null, 11_000],
        [1000, 2000],
      ] as const) {
        const { time, calls, errors, lines, watch } = await setUp(() => reply, validMs);
        watch();
        time.advance(1);
        await until(() => calls.length === 1, 'answer');
        assert.deepEqual(calls[0]?.records, []);
        assert.deepEqual(errors, []);
        assert.deepEqual(lines, ['error: example.net could not be resolved (3: Host not found)']);
        assert.deepEqual(time.delays, [delayMs]);
      }
    });
  }

  test('a service', async () => {
    const { dns, time, calls, errors, lines, watch } = await setUp(({ name, type }) => ({
      answers:
        type === 'SRV'
          ? [srv(name, '1 5 8080 t.net', 10), srv(name, '2 5 81 u.net', 10)]
          : type === 'A'
            ? [a(name, '10.0.0.1', 20)]
            : [],
    }));
    const good = dns.handler;
    watch({ service: 'http' });
    time.advance(1);
    await until(() => calls.length === 1, 'answer');
    assert.deepEqual(calls[0], { records: ['10.0.0.1:8080 t.net', '10.0.0.1:81 u.net'], validForMs: 10_000 });

    // The SRV answer fails.
    dns.handler = (query) => (query.type === 'SRV' ? { rcode: 2 } : good(query));
    time.advance(11_000);
    await until(() => errors.length === 1, 'failure');
    assert.deepEqual(lines.splice(0), ['error: service http of example.net could not be resolved (2: Server failure)']);

    // A target fails: the old records stay.
    dns.handler = (query) => (query.name === 'u.net' ? { rcode: 5 } : good(query));
    time.advance(30_000);
    await until(() => errors.length === 2, 'failure of a target');
    assert.deepEqual(lines.splice(0), [
      'error: u.net could not be resolved (5: Operation refused) while resolving service http of example.net',
      'error: service http of example.net could not be resolved (5: Operation refused)',
    ]);
    assert.equal(calls.length, 1);

    // A target does not exist: it is left out.
    dns.handler = (query) => (query.name === 'u.net' ? { rcode: 3 } : good(query));
    time.advance(30_000);
    await until(() => calls.length === 2, 'answer without the target');
    assert.deepEqual(calls[1]?.records, ['10.0.0.1:8080 t.net']);
    assert.deepEqual(lines.splice(0), [
      'error: u.net could not be resolved (3: Host not found) while resolving service http of example.net',
    ]);

    // No service any more.
    dns.handler = () => ({});
    time.advance(11_000);
    await until(() => calls.length === 3, 'no records');
    assert.deepEqual(calls[2]?.records, []);
    assert.deepEqual(lines, ['error: service http of example.net could not be resolved (3: Host not found)']);
  });

  test('a group without records takes what there is of a service', async () => {
    const { time, calls, errors, watch } = await setUp(({ name, type }) => {
      if (type === 'SRV') {
        return { answers: [srv(name, '1 5 80 t.net'), srv(name, '1 5 80 broken.net')] };
      }
      return name === 'broken.net' ? { rcode: 2 } : { answers: type === 'A' ? [a(name, '10.0.0.1')] : [] };
    });
    watch({ service: 'http' });
    time.advance(1);
    await until(() => errors.length === 1, 'failure');
    assert.deepEqual(calls, [{ records: ['10.0.0.1:80 t.net'], validForMs: 0 }]);
    assert.deepEqual(time.delays, [30_000]);
  });

  test('no resolver', async () => {
    const { time, lines, watch } = await setUp(() => null);
    watch({ resolver: null });
    assert.deepEqual(lines, ['error: no resolver defined to resolve example.net']);
    assert.deepEqual(time.delays, []);
  });

  test('stop: no more queries, no more calls, no timers', async () => {
    const { dns, time, calls, errors, monitor, watch } = await setUp(() => null);
    const stop = watch({ timeoutMs: 1000 });
    watch({ timeoutMs: 1000, host: 'other.net' })();
    time.advance(1);
    await until(() => dns.queries.length === 2, 'queries of the first');
    assert.equal(monitor.status().length, 1);
    stop();
    assert.equal(monitor.status().length, 0);
    time.advance(60_000);
    assert.deepEqual([calls, errors, time.delays], [[], [], []]);
  });

  test('a watcher that throws is watched on; one that stops itself is not', async () => {
    const { time, lines, monitor, resolver } = await setUp(({ name, type }) => ({
      answers: type === 'A' ? [a(name, '10.0.0.1', 5)] : [],
    }));
    let thrown = 0;
    let stopped = 0;
    const options = { key: 'u', resolver, host: 'example.net', service: null, timeoutMs: 1000 };
    monitor.watch(options, () => {
      thrown++;
      throw new Error('mine');
    });
    const stop = monitor.watch(options, () => {
      stopped++;
      stop();
    });
    time.advance(1);
    await until(() => thrown === 1 && stopped === 1, 'both');
    assert.match(lines[0] ?? '', /^alert: taking over the addresses of example.net failed: Error: mine/);
    assert.deepEqual(time.delays, [6000]);
  });

  test('status', async () => {
    const { time, errors, monitor, watch } = await setUp(() => ({ rcode: 5 }));
    watch({ key: 'http/u/example.net' });
    time.advance(1);
    await until(() => errors.length === 1, 'failure');
    const [status] = monitor.status();
    assert.equal(status?.key, 'http/u/example.net');
    assert.equal(status?.lastFailure?.text, 'Operation refused');
  });
});
