/**
 * The DNS client against a name server in this process. Titles name the case of nginx-tests that asks for the same.
 */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { afterEach, describe, test } from 'node:test';
import type { ResolverConfig } from '../../src/config/model.ts';
import { Resolver } from '../../src/discovery/resolver.ts';
import type { ResolverEnv } from '../../src/discovery/resolver.ts';
import type { Resolution } from '../../src/discovery/types.ts';
import { a, aaaa, cname, config, encodeReply, FakeTime, settle, TestDns, until } from './dns-server.ts';
import type { Handler, TestReply } from './dns-server.ts';

const open: { close(): void | Promise<void> }[] = [];

afterEach(async () => {
  for (const item of open.splice(0).reverse()) {
    await item.close();
  }
});

async function server(handler: Handler, tcp = true): Promise<TestDns> {
  const dns = await new TestDns(handler).start(tcp);
  open.push({ close: () => dns.stop() });
  return dns;
}

interface Bench {
  resolver: Resolver;
  time: FakeTime;
  lines: string[];
}

function bench(settings: ResolverConfig, env: Partial<ResolverEnv> = {}): Bench {
  const time = new FakeTime();
  const lines: string[] = [];
  const resolver = new Resolver(settings, {
    clock: time,
    timers: time,
    random: () => 0,
    log: (_level, message) => lines.push(message),
    ...env,
  });
  open.push(resolver);
  return { resolver, time, lines };
}

/** Answers A queries with an address for every name, AAAA with nothing. */
function simple(address = '127.0.0.1', ttl = 3600): Handler {
  return ({ name, type }) => ({ answers: type === 'A' ? [a(name, address, ttl)] : [] });
}

function fileDescriptors(): number {
  return process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0;
}

function texts(resolution: Resolution): string[] | string {
  return resolution.ok ? resolution.addresses.map(({ address }) => address) : `${resolution.code}: ${resolution.text}`;
}

describe('answers', () => {
  test('A and AAAA are asked for together and merged, IPv4 first', async () => {
    const dns = await server(({ name, type }) => ({
      answers: type === 'A' ? [a(name, '127.0.0.1', 60)] : [aaaa(name, '::1', 30), aaaa(name, 'fe80::a:0:0:1', 90)],
    }));
    const { resolver, time } = bench(config(dns));
    const resolution = await resolver.resolve('Example.COM.', 1000);
    assert.deepEqual(resolution, {
      ok: true,
      addresses: [
        { family: 4, address: '127.0.0.1' },
        { family: 6, address: '::1' },
        { family: 6, address: 'fe80::a:0:0:1' },
      ],
      validUntilMs: time.ms() + 30_000,
      ttlSec: 30,
    });
    assert.deepEqual(dns.asked, ['A example.com', 'AAAA example.com']);
    assert.notEqual(dns.queries[0]?.raw.readUInt16BE(2), 0);
    assert.equal(dns.queries[0]?.raw.readUInt16BE(2), 0x0100, 'recursion desired and nothing else');
  });

  for (const [title, ipv4, ipv6, expected] of [
    ['ipv4 only (http_resolver_ipv4.t)', true, false, ['127.0.0.1']],
    ['ipv6 only (http_resolver_ipv4.t)', false, true, ['::1']],
  ] as const) {
    test(title, async () => {
      const dns = await server(({ name, type }) => ({
        answers: type === 'A' ? [a(name, '127.0.0.1')] : [aaaa(name, '::1')],
      }));
      const { resolver } = bench({ ...config(dns), ipv4, ipv6 });
      assert.deepEqual(texts(await resolver.resolve('example.com', 1000)), [...expected]);
      assert.equal(dns.queries.length, 1);
    });
  }

  // Rows of http_resolver_aaaa.t: what A and AAAA answer (z nothing, n addresses, c CNAME, cn both, e error).
  const a1 = '127.0.0.201';
  const a2 = '127.0.0.202';
  const b1 = 'fe80::1';
  const b2 = 'fe80::2';
  const rows: Record<string, string[] | string> = {
    'z-z': '3: Host not found',
    'z-n': [b1],
    'z-c': [a1, b1],
    'z-cn': [b1, b2],
    'z-e': '2: Server failure',
    'n-z': [a1],
    'n-n': [a1, b1],
    'n-c': [a1],
    'n-cn': [a1, a2, b1, b2],
    'n-e': '2: Server failure',
    'c-z': '3: Host not found',
    'c-n': [b1],
    'c-c': [a1, b1],
    'c1-c2': [b1],
    'c-cn': [b1, b2],
    'c-e': '2: Server failure',
    'cn-z': [a1, a2],
    'cn-n': [a1, a2, b1, b2],
    'cn-c': [a1, a2],
    'cn-cn': [a1, a2, b1, b2],
    'cn-e': '2: Server failure',
    'e-z': '2: Server failure',
    'e-n': '2: Server failure',
    'e-c': '2: Server failure',
    'e-cn': '2: Server failure',
    // Of two errors the one that came last is told.
    'e-x': '3: Host not found',
    'x-z': '3: Host not found',
  };
  for (const [row, expected] of Object.entries(rows)) {
    test(`${row} (http_resolver_aaaa.t)`, async () => {
      const dns = await server(({ name, type }): TestReply => {
        const v4 = type === 'A';
        if (name === 'alias.net' || name === 'alias4.net' || name === 'alias6.net') {
          const only = name.slice(5, 6);
          return { answers: v4 ? (only === '6' ? [] : [a(name, a1)]) : only === '4' ? [] : [aaaa(name, b1)] };
        }
        const [first = '', second = ''] = (name.split('.')[0] ?? '').split('-');
        const part = v4 ? first : second;
        const addresses = (owner: string, both: boolean) =>
          v4 ? [a(owner, a1), ...(both ? [a(owner, a2)] : [])] : [aaaa(owner, b1), ...(both ? [aaaa(owner, b2)] : [])];
        switch (part) {
          case 'n':
            return {
              answers: addresses(name, row !== 'n-n' && !(v4 && row !== 'n-cn') && row !== 'z-n' && row !== 'c-n'),
            };
          case 'c':
            return { answers: [cname(name, 'alias.net')] };
          case 'c1':
            return { answers: [cname(name, 'alias4.net')] };
          case 'c2':
            return { answers: [cname(name, 'alias6.net')] };
          case 'cn':
            return { answers: [cname(name, 'alias.net'), ...addresses('alias.net', true)] };
          case 'e':
            return { rcode: 2 };
          case 'x':
            return { rcode: 3 };
          default:
            return {};
        }
      });
      const { resolver } = bench(config(dns));
      assert.deepEqual(texts(await resolver.resolve(`${row}.example.net`, 1000)), expected);
    });
  }

  test('a literal address needs no query', async () => {
    const dns = await server(() => null);
    const { resolver } = bench(config(dns));
    assert.deepEqual(texts(await resolver.resolve('010.0.0.1', 1000)), ['10.0.0.1']);
    assert.deepEqual(texts(await resolver.resolve('[::1]', 1000)), ['::1']);
    assert.equal(dns.queries.length, 0);
  });

  for (const bad of ['', '.', 'a..b', '.a', `${'a'.repeat(64)}.net`, 'a b.net', 'a\n.net', 'x.'.repeat(600)]) {
    test(`not a name: ${JSON.stringify(bad.slice(0, 20))}`, async () => {
      const dns = await server(simple());
      const { resolver, time } = bench(config(dns));
      const resolution = await resolver.resolve(bad, 1000);
      assert.equal(texts(resolution), '3: Host not found');
      assert.equal(!resolution.ok && resolution.validUntilMs, time.ms() + 10_000);
      assert.equal(dns.queries.length, 0);
    });
  }
});

describe('cache', () => {
  test('serves until the time to live ends, without regard to case (case, ttl of http_resolver.t)', async () => {
    const dns = await server(simple('127.0.0.1', 1));
    const { resolver, time } = bench(config(dns));
    await resolver.resolve('ttl.example.net', 1000);
    time.advance(999);
    assert.deepEqual(texts(resolver.cached('TTL.example.NET.') as Resolution), ['127.0.0.1']);
    assert.equal(dns.queries.length, 2);
    time.advance(1);
    assert.equal(resolver.cached('ttl.example.net'), null);
    dns.handler = () => ({ rcode: 2 });
    assert.equal(texts(await resolver.resolve('ttl.example.net', 1000)), '2: Server failure');
  });

  test('valid= overrides the time to live, both ways', async () => {
    const dns = await server(({ name, type }) => ({
      answers: type === 'A' ? [a(name, '127.0.0.1', name === 'short' ? 1 : 99)] : [],
    }));
    const { resolver, time } = bench({ ...config(dns), validMs: 5000 });
    for (const name of ['short', 'long']) {
      const resolution = await resolver.resolve(name, 1000);
      assert.equal(resolution.validUntilMs, time.ms() + 5000);
      assert.equal(resolution.ok && resolution.ttlSec, name === 'short' ? 1 : 99);
    }
    time.advance(4999);
    assert.notEqual(resolver.cached('short'), null);
    time.advance(1);
    assert.equal(resolver.cached('long'), null);
  });

  test('a time to live of 0 serves those who wait and nobody else (zero ttl of http_resolver.t)', async () => {
    const dns = await server(simple('127.0.0.1', 0));
    const { resolver } = bench(config(dns));
    const both = await Promise.all([resolver.resolve('ttl0', 1000), resolver.resolve('ttl0', 1000)]);
    assert.deepEqual(both.map(texts), [['127.0.0.1'], ['127.0.0.1']]);
    assert.equal(dns.queries.length, 2);
    await resolver.resolve('ttl0', 1000);
    assert.equal(dns.queries.length, 4);
    assert.equal(resolver.size.cached, 0);
  });

  test('a time to live with the highest bit is 0', async () => {
    const dns = await server(simple('127.0.0.1', 0x80000001));
    const { resolver } = bench(config(dns));
    const resolution = await resolver.resolve('negative', 1000);
    assert.equal(resolution.ok && resolution.ttlSec, 0);
  });

  test('errors are not cached; the next query goes to the next server (two ns of http_resolver.t)', async () => {
    const bad = await server(() => ({ rcode: 2 }));
    const good = await server(simple());
    const { resolver, time } = bench(config(bad, good));
    const first = await resolver.resolve('2.example.net', 1000);
    assert.equal(texts(first), '2: Server failure');
    assert.equal(first.validUntilMs, time.ms() + 10_000);
    assert.deepEqual(texts(await resolver.resolve('2.example.net', 1000)), ['127.0.0.1']);
    assert.deepEqual(texts(await resolver.resolve('2.example.net', 1000)), ['127.0.0.1']);
    assert.equal(bad.queries.length + good.queries.length, 4);
  });

  test('valid= is also how long a failure is to be believed', async () => {
    const dns = await server(() => ({ rcode: 3 }));
    const { resolver, time } = bench({ ...config(dns), validMs: 2000 });
    assert.equal((await resolver.resolve('no', 1000)).validUntilMs, time.ms() + 2000);
  });

  for (const [rcode, text] of [
    [2, '2: Server failure'],
    [3, '3: Host not found'],
    [4, '4: Unimplemented'],
    [5, '5: Operation refused'],
  ] as const) {
    test(`rcode ${rcode}`, async () => {
      const dns = await server(() => ({ rcode }));
      const { resolver } = bench(config(dns));
      assert.equal(texts(await resolver.resolve('x', 1000)), text);
    });
  }

  test('cached addresses start anywhere (many of http_resolver.t)', async () => {
    const dns = await server(({ name, type }) => ({
      answers:
        type === 'A'
          ? ['10.0.0.1', '10.0.0.2', '10.0.0.3'].map((text) => a(name, text))
          : ['::1', '::2'].map((text) => aaaa(name, text)),
    }));
    const draws: number[] = [];
    const { resolver } = bench(config(dns), { random: () => draws.shift() ?? 0 });
    assert.deepEqual(texts(await resolver.resolve('many', 1000)), ['10.0.0.1', '10.0.0.2', '10.0.0.3', '::1', '::2']);
    draws.push(0, 0.4, 0.6); // Start of all, of IPv4, of IPv6.
    assert.deepEqual(texts(resolver.cached('many') as Resolution), ['10.0.0.2', '10.0.0.3', '10.0.0.1', '::2', '::1']);
    draws.push(0.5, 0, 0); // The first address goes to place 2.
    assert.deepEqual(texts(resolver.cached('many') as Resolution), ['::1', '::2', '10.0.0.1', '10.0.0.2', '10.0.0.3']);
  });

  test('holds no more than its limit, the least recently used leaves', async () => {
    const dns = await server(simple());
    const { resolver, time } = bench(config(dns), { maxCached: 3 });
    for (const name of ['n1', 'n2', 'n3']) {
      await resolver.resolve(name, 1000);
    }
    time.advance(1500);
    resolver.cached('n1');
    await resolver.resolve('n4', 1000);
    assert.equal(resolver.size.cached, 3);
    assert.equal(resolver.cached('n2'), null);
    assert.notEqual(resolver.cached('n1'), null);
  });

  test('names nobody asks for leave', async () => {
    const dns = await server(simple());
    const { resolver, time } = bench(config(dns));
    await resolver.resolve('old', 1000);
    time.advance(31_000);
    await resolver.resolve('new', 1000);
    assert.equal(resolver.size.cached, 1);
  });
});

describe('CNAME', () => {
  test('alone: the target is asked for; both are cached (cname of http_resolver.t)', async () => {
    const dns = await server(({ name, type }) => {
      return {
        answers: name === 'alias' ? (type === 'A' ? [a(name, '127.0.0.1', 50)] : []) : [cname(name, 'alias', 20)],
      };
    });
    const { resolver, time } = bench(config(dns));
    const resolution = await resolver.resolve('name', 1000);
    assert.deepEqual(texts(resolution), ['127.0.0.1']);
    assert.equal(resolution.ok && resolution.ttlSec, 20);
    assert.deepEqual(dns.asked, ['A name', 'AAAA name', 'A alias', 'AAAA alias']);
    assert.deepEqual(texts(resolver.cached('name') as Resolution), ['127.0.0.1']);
    // The CNAME ends first: its name is asked for again, the target is still cached.
    time.advance(20_000);
    assert.equal(resolver.cached('name'), null);
    await resolver.resolve('name', 1000);
    assert.deepEqual(dns.asked.slice(4), ['A name', 'AAAA name']);
  });

  test('with addresses: valid as long as the shortest (cname-a-ttl2 of http_resolver.t)', async () => {
    const dns = await server(({ name, type }) => ({
      answers: type === 'A' ? [cname(name, 'other', 1), a('other', '127.0.0.1', 3600)] : [],
    }));
    const { resolver, time } = bench(config(dns));
    await resolver.resolve('name', 1000);
    time.advance(1000);
    assert.equal(resolver.cached('name'), null);
  });

  test('DNAME and records of unknown types are passed over', async () => {
    const dns = await server(({ name, type }) => ({
      answers:
        type === 'A'
          ? [
              { type: 'DNAME', name: 'example.com', data: 'example.net', ttl: 5 },
              { type: 'TXT', name, data: 'hello', ttl: 5 },
              a(name, '127.0.0.1'),
            ]
          : [],
    }));
    const { resolver, lines } = bench(config(dns));
    assert.deepEqual(texts(await resolver.resolve('alias.example.com', 1000)), ['127.0.0.1']);
    assert.deepEqual(lines, ['unexpected RR type 16 in DNS response']);
  });

  test('to a name over 255 octets (long2 of http_resolver.t)', async () => {
    const long = Array(4).fill('a'.repeat(63)).join('.');
    const dns = await server(({ name, type }) => {
      return { answers: name === 'long2' ? [cname(name, long)] : type === 'A' ? [a(name, '127.0.0.1')] : [] };
    });
    const { resolver } = bench(config(dns));
    assert.deepEqual(texts(await resolver.resolve('long2', 1000)), ['127.0.0.1']);
    assert.equal(dns.queries[2]?.name, long);
  });

  test('to the root is no name (cn03 of http_resolver_cname.t)', async () => {
    const dns = await server(({ name }) => ({ answers: [cname(name, '.')] }));
    const { resolver } = bench(config(dns));
    const both = await Promise.all([resolver.resolve('cn03', 1000), resolver.resolve('cn03', 1000)]);
    assert.deepEqual(both.map(texts), ['3: Host not found', '3: Host not found']);
  });

  test('to a name that is cached, or being asked for', async () => {
    let release = (): void => {};
    const gate = new Promise<void>((done) => (release = done));
    const dns = await server(async ({ name, type }) => {
      if (name === 'slow') {
        await gate;
      }
      return name.startsWith('to-')
        ? { answers: [cname(name, name.slice(3))] }
        : { answers: type === 'A' ? [a(name, '127.0.0.1')] : [] };
    });
    const { resolver } = bench(config(dns));
    await resolver.resolve('known', 1000);
    assert.deepEqual(texts(await resolver.resolve('to-known', 1000)), ['127.0.0.1']);
    const slow = resolver.resolve('slow', 1000);
    const two = [resolver.resolve('to-slow', 1000), resolver.resolve('to-slow', 1000)];
    await until(() => resolver.size.cached === 3, 'to-slow is known to be a CNAME');
    release();
    assert.deepEqual((await Promise.all([slow, ...two])).map(texts), [['127.0.0.1'], ['127.0.0.1'], ['127.0.0.1']]);
    assert.equal(dns.asked.filter((query) => query === 'A slow').length, 1);
  });

  test('a chain has 50 links at most (recurse of http_resolver_cname.t)', async () => {
    const dns = await server(({ name, type }) => {
      const [, prefix = '', number = '0'] = /^(\D+)(\d+)$/.exec(name) ?? [];
      return Number(number) < (prefix === 'ok' ? 50 : 51)
        ? { answers: [cname(name, `${prefix}${Number(number) + 1}`)] }
        : { answers: type === 'A' ? [a(name, '127.0.0.1')] : [] };
    });
    const { resolver } = bench(config(dns));
    assert.deepEqual(texts(await resolver.resolve('ok0', 1000)), ['127.0.0.1']);
    assert.deepEqual(texts(await resolver.resolve('ok0', 1000)), ['127.0.0.1'], 'from the cache');
    assert.equal(texts(await resolver.resolve('long0', 1000)), '3: Host not found');
    assert.equal(texts(await resolver.resolve('long0', 1000)), '3: Host not found', 'from the cache');
  });

  for (const ttl of [3600, 0]) {
    test(`a loop ends, ttl ${ttl}`, async () => {
      const dns = await server(({ name }) => ({ answers: [cname(name, name === 'one' ? 'two' : 'one', ttl)] }));
      const { resolver } = bench(config(dns));
      assert.equal(texts(await resolver.resolve('one', 1000)), '3: Host not found');
      assert.equal(resolver.size.pending, 0);
    });
  }

  test('the timeout is for the whole chain (CNAME timeout of http_resolver_cname.t)', async () => {
    const dns = await server(({ name }) => (name === 'cn01' ? { answers: [cname(name, 'cn02')] } : null));
    const { resolver, time } = bench(config(dns));
    const promise = resolver.resolve('cn01', 2000);
    await until(() => dns.queries.length === 4, 'queries for the target');
    time.advance(1999);
    assert.equal(resolver.size.waiting, 1);
    time.advance(1);
    assert.equal(texts(await promise), '110: Operation timed out');
  });
});

describe('waiting', () => {
  test('requests for one name share a query; one that gives up does not disturb the others', async () => {
    const dns = await server(() => null);
    const { resolver, time } = bench(config(dns));
    const short = resolver.resolve('timeout', 1000);
    let cancelled = false;
    const cancel = resolver.lookup('timeout', 4000, () => (cancelled = true));
    const long = resolver.resolve('timeout', 4000);
    await until(() => dns.queries.length === 2, 'queries');
    cancel();
    time.advance(1000);
    assert.equal(texts(await short), '110: Operation timed out');
    assert.equal(resolver.size.waiting, 1);
    time.advance(3000);
    assert.equal(texts(await long), '110: Operation timed out');
    assert.equal(dns.queries.length, 2);
    assert.equal(cancelled, false);
    // A query nobody waits for is forgotten at the time of its resend.
    assert.equal(resolver.size.pending, 1);
    time.advance(1000);
    assert.equal(resolver.size.pending, 0);
    assert.deepEqual(time.delays, []);
  });

  test('an answer that comes when nobody waits any more is cached', async () => {
    let release = (): void => {};
    const gate = new Promise<void>((done) => (release = done));
    const dns = await server(async (query) => {
      await gate;
      return simple()(query);
    });
    const { resolver, time } = bench(config(dns));
    const promise = resolver.resolve('late', 1000);
    time.advance(1000);
    await promise;
    release();
    await until(() => resolver.cached('late') !== null, 'the late answer');
  });

  test('what is not answered is sent again every 5 s, to the next server (resend of http_resolver.t)', async () => {
    const silent = await server(({ type }) => (type === 'AAAA' ? {} : null));
    const dead = await server(() => null);
    const good = await server(simple());
    const { resolver, time } = bench(config(silent, dead, good));
    const promise = resolver.resolve('resend', 30_000);
    await until(() => silent.queries.length === 2, 'first server');
    await settle();
    time.advance(4999);
    time.advance(1);
    await until(() => dead.queries.length === 1, 'second server');
    time.advance(5000);
    assert.deepEqual(texts(await promise), ['127.0.0.1']);
    assert.deepEqual([...dead.asked, ...good.asked], ['A resend', 'A resend'], 'AAAA had been answered');
    assert.equal(dead.queries[0]?.id, good.queries[0]?.id);
  });

  test('too many names at one time', async () => {
    const dns = await server(() => null);
    const { resolver, lines } = bench(config(dns), { maxPending: 2 });
    void resolver.resolve('one', 1000);
    void resolver.resolve('two', 1000);
    assert.equal(texts(await resolver.resolve('three', 1000)), '2: Server failure');
    assert.equal(texts(await resolver.resolve('four', 1000)), '2: Server failure');
    assert.deepEqual(lines, ['too many names are being resolved (2), three is not']);
    assert.deepEqual(resolver.size, { pending: 2, cached: 0, waiting: 2 });
  });

  test('close ends all waits and closes all sockets', async () => {
    const before = fileDescriptors();
    const dns = await server(({ tcp }) => (tcp ? null : { truncated: true }));
    const { resolver, time } = bench(config(dns));
    const promise = resolver.resolve('name', 1000);
    await until(() => dns.openConnections === 1, 'TCP');
    resolver.close();
    assert.equal(texts(await promise), '110: Operation timed out');
    await until(() => dns.openConnections === 0, 'TCP closed');
    assert.deepEqual(time.delays, []);
    assert.equal(texts(await resolver.resolve('name', 1000)), '110: Operation timed out');
    resolver.close();
    // The two sockets of the test's server were open before too.
    await until(() => fileDescriptors() <= before + 2, 'file descriptors closed');
  });

  test('a callback that throws harms nobody else', async () => {
    const dns = await server(simple());
    const { resolver, lines } = bench(config(dns));
    resolver.lookup('name', 1000, () => {
      throw new Error('mine');
    });
    assert.deepEqual(texts(await resolver.resolve('name', 1000)), ['127.0.0.1']);
    assert.match(lines[0] ?? '', /^callback of a resolver failed: Error: mine/);
  });

  test('counts', async () => {
    const dns = await server((query) => (query.name === 'no' ? { rcode: 3 } : simple()(query)));
    const { resolver } = bench(config(dns));
    await resolver.resolve('yes', 1000);
    await resolver.resolve('yes', 1000);
    await resolver.resolve('no', 1000);
    await resolver.resolveService('http', 'no', 1000);
    assert.deepEqual(resolver.counters.requests, { name: 2, srv: 1 });
    assert.equal(resolver.counters.responses.noerror, 1);
    assert.equal(resolver.counters.responses.nxdomain, 2);
  });
});

describe('answers that are not to be trusted', () => {
  const cases: { title: string; reply: (good: Buffer) => TestReply; line: RegExp }[] = [
    { title: 'wrong id', reply: () => ({ id: 0x1111 }), line: /^wrong ident 4369 in DNS response for name, expect 7$/ },
    {
      title: 'format error (fe-id)',
      reply: () => ({ id: 42, rcode: 1 }),
      line: /^DNS error \(1: Format error\), query id:42$/,
    },
    {
      title: 'format error, id',
      reply: () => ({ rcode: 1 }),
      line: /^DNS error \(1: Format error\), query id:7, name:"name"$/,
    },
    { title: 'rcode 9', reply: () => ({ rcode: 9 }), line: /^DNS error \(9: Unknown error\), query id:7$/ },
    {
      title: 'other name',
      reply: () => ({ question: { name: 'evil', type: 'A' } }),
      line: /^unexpected DNS response for evil$/,
    },
    {
      title: 'other type',
      reply: () => ({ question: { name: 'name', type: 'MX' } }),
      line: /^unknown query type 15 in/,
    },
    {
      title: 'SRV',
      reply: () => ({ question: { name: 'name', type: 'SRV' } }),
      line: /^unexpected DNS response for name$/,
    },
    {
      title: 'other class',
      reply: () => ({ question: { name: 'name', type: 'A', class: 'CH' } }),
      line: /^unknown query class 3/,
    },
    { title: 'no question', reply: () => ({ question: null }), line: /^invalid number of questions in DNS response$/ },
    { title: 'opcode', reply: () => ({ flags: 0x0980 }), line: /^invalid UDP DNS response 7 fl:8980$/ },
    { title: 'reserved bits', reply: () => ({ flags: 0x01c0 }), line: /^invalid UDP DNS response 7 fl:81C0$/ },
    {
      title: 'a query',
      reply: (good) => ({ raw: patch(good, 2, 0x01) }),
      line: /^invalid UDP DNS response 7 fl:0180$/,
    },
    { title: 'empty', reply: () => ({ raw: Buffer.alloc(0) }), line: /^short DNS response$/ },
    { title: 'header only', reply: (good) => ({ raw: good.subarray(0, 12) }), line: /^short DNS response$/ },
    { title: 'cut off', reply: (good) => ({ raw: good.subarray(0, -1) }), line: /^short DNS response$/ },
    {
      title: 'pointer as question',
      reply: (good) => ({ raw: patch(good, 12, 0xc0) }),
      line: /^unexpected compression pointer/,
    },
    { title: 'root as question', reply: (good) => ({ raw: patch(good, 12, 0) }), line: /^zero-length domain name/ },
    {
      title: 'A of 16 octets',
      reply: () => ({ answers: [aaaa('name', '::1')] }),
      line: /^unexpected AAAA record in DNS response$/,
    },
    {
      title: 'A of 3 octets',
      reply: (good) => ({ raw: patch(good, good.length - 5, 3) }),
      line: /^invalid A record in DNS response$/,
    },
    {
      title: 'class of a record',
      reply: () => ({ answers: [{ ...a('name', '127.0.0.9'), class: 'CH' } as ReturnType<typeof a>] }),
      line: /^unexpected RR class 3 in DNS response$/,
    },
    {
      title: 'only other records',
      reply: () => ({ answers: [{ type: 'NS', name: 'name', data: 'ns', ttl: 5 }] }),
      line: /^unexpected RR type 2/,
    },
    {
      // c0 0c of the target points to itself.
      title: 'CNAME that loops',
      reply: () => ({
        answers: [{ type: 'UNKNOWN_5', name: 'name', data: Buffer.from([0xc0, 0x26]), ttl: 5 } as never],
      }),
      line: /^compression pointers loop in DNS response$/,
    },
    {
      title: 'CNAME that leads out',
      reply: () => ({ answers: [{ type: 'UNKNOWN_5', name: 'name', data: Buffer.from([9, 65]), ttl: 5 } as never] }),
      line: /^name is out of DNS response$/,
    },
    {
      title: 'CNAME with a label of an unknown kind',
      reply: () => ({ answers: [{ type: 'UNKNOWN_5', name: 'name', data: Buffer.from([0x80, 65]), ttl: 5 } as never] }),
      line: /^invalid label type in DNS response$/,
    },
  ];
  for (const { title, reply, line } of cases) {
    test(title, async () => {
      const dns = await server((query) => {
        const good = { answers: [a(query.name, '127.0.0.1')] };
        return query.count === 1 ? reply(encodeReply(query, good)) : good;
      });
      const { resolver, time, lines } = bench({ ...config(dns), ipv6: false }, { randomId: () => 7 });
      const promise = resolver.resolve('name', 8000);
      await until(() => lines.length >= 1, 'a log line');
      assert.match(lines[0] ?? '', line);
      time.advance(5000);
      if (title === 'only other records') {
        // Counts as answered, as in nginx: it ends by the timeout.
        assert.deepEqual(lines[1], 'no A or CNAME types in DNS response');
        time.advance(3000);
        assert.equal(texts(await promise), '110: Operation timed out');
        return;
      }
      assert.deepEqual(texts(await promise), ['127.0.0.1'], 'asked again after 5 s');
    });
  }

  test('random bytes never do more than a log line', async () => {
    let seed = 12345;
    const random = (): number => (seed = (seed * 1103515245 + 12345) % 0x80000000) / 0x80000000;
    const dns = await server((query) => {
      const good = encodeReply(query, { answers: [cname(query.name, 'other'), a('other', '127.0.0.1')] });
      const replies: TestReply[] = [];
      // Not more at one time: the system's buffer for a socket holds some 250.
      for (let i = 0; i < 60; i++) {
        const raw = Buffer.from(good.subarray(0, Math.ceil(random() * good.length)));
        for (let n = 0; n < 3; n++) {
          raw[Math.floor(random() * raw.length)] = Math.floor(random() * 256);
        }
        // The id stays wrong in half of them; the others may be taken for the answer.
        raw[0] = i & 1 ? 0xff : 0;
        replies.push({ raw });
      }
      return [...replies, { answers: query.type === 'A' ? [a(query.name, '127.0.0.1')] : [] }];
    });
    const { resolver, time, lines } = bench(config(dns), { randomId: () => 7 });
    for (let round = 0; round < 30; round++) {
      const promise = resolver.resolve(`fuzz${round}`, 4000);
      await until(() => dns.queries.length >= 2 * (round + 1), 'queries');
      await settle();
      time.advance(5000);
      await promise;
    }
    assert.ok(lines.length > 1000);
    assert.deepEqual(
      lines.filter((line) => !/DNS (response|error)/.test(line)),
      [],
    );
  });

  test('a server that was not asked may not answer', async () => {
    const asked = await server(() => null);
    let other: TestReply | null = null;
    const second = await server((query) => [
      other ?? {},
      ...(query.type === 'A' ? [{ answers: [a(query.name, '10.0.0.1')] }] : []),
    ]);
    const { resolver, lines } = bench({ ...config(asked, second), ipv6: false }, { randomId: () => 7 });
    const first = resolver.resolve('victim', 1000);
    await until(() => asked.queries.length === 1, 'query');
    other = { question: { name: 'victim', type: 'A' }, answers: [a('victim', '6.6.6.6')] };
    await resolver.resolve('bait', 1000);
    assert.ok(lines.includes('unexpected DNS response for victim'));
    assert.equal(resolver.cached('victim'), null);
    resolver.close();
    await first;
  });

  test('ids are drawn for each query', async () => {
    const dns = await server(simple());
    const { resolver } = bench(config(dns), { random: undefined });
    await Promise.all(Array.from({ length: 20 }, (_, i) => resolver.resolve(`n${i}`, 5000)));
    assert.ok(new Set(dns.queries.map(({ id }) => id)).size > 30);
  });
});

function patch(message: Buffer, at: number, value: number): Buffer {
  const copy = Buffer.from(message);
  copy[at] = value;
  return copy;
}

describe('TCP', () => {
  test('is used for what was cut off, one connection for both queries (tcp of http_resolver.t)', async () => {
    const dns = await server(({ name, type, tcp }) => {
      const answers = type === 'A' ? [a(name, tcp ? '127.0.0.1' : '127.0.0.201')] : [];
      return { truncated: !tcp, answers };
    });
    const { resolver, time } = bench(config(dns));
    assert.deepEqual(texts(await resolver.resolve('tcp', 1000)), ['127.0.0.1']);
    assert.deepEqual(
      dns.queries.map(({ tcp }) => tcp),
      [false, false, true, true],
    );
    assert.equal(dns.openConnections, 1);
    time.advance(5000);
    await until(() => dns.openConnections === 0, 'idle connection closed');
  });

  test('large answers', async () => {
    const addresses = Array.from({ length: 3000 }, (_, i) => `10.1.${i >> 8}.${i & 255}`);
    const dns = await server(({ name, type, tcp }) => {
      return tcp && type === 'A' ? { answers: addresses.map((text) => a(name, text)) } : { truncated: !tcp };
    });
    const { resolver } = bench(config(dns));
    assert.deepEqual(texts(await resolver.resolve('big', 1000)), addresses);
  });

  test('an answer cut off over TCP is none', async () => {
    const dns = await server(({ count, name }) => ({ truncated: count < 3, answers: [a(name, '127.0.0.1')] }));
    const { resolver, time, lines } = bench({ ...config(dns), ipv6: false });
    const promise = resolver.resolve('tcp', 8000);
    await until(() => lines.length > 0, 'log line');
    assert.match(lines[0] ?? '', /^invalid TCP DNS response \d+ fl:8380$/);
    time.advance(5000);
    assert.deepEqual(texts(await promise), ['127.0.0.1']);
    assert.equal(dns.queries[2]?.tcp, true, 'stays with TCP');
  });

  test('refused: the next server is asked at once', async () => {
    const udpOnly = await server(() => ({ truncated: true }), false);
    const good = await server(({ name, type, tcp }) => ({
      truncated: !tcp,
      answers: type === 'A' ? [a(name, '127.0.0.1')] : [],
    }));
    const { resolver, lines } = bench(config(udpOnly, good));
    assert.deepEqual(texts(await resolver.resolve('tcp', 1000)), ['127.0.0.1']);
    const where = `127.0.0.1:${udpOnly.port}`;
    assert.equal(
      lines[0],
      `connect() to ${where} failed (111: Connection refused) while resolving, resolver: ${where}`,
    );
  });
});

describe('sockets that fail', () => {
  test('UDP refused: the next server is asked at once', async () => {
    const gone = await server(() => null);
    const good = await server(simple());
    const settings = config(gone, good);
    await gone.stop();
    open.shift();
    const { resolver, lines } = bench(settings);
    assert.deepEqual(texts(await resolver.resolve('name', 1000)), ['127.0.0.1']);
    assert.match(
      lines[0] ?? '',
      /^(send|recv)\(\) failed \(111: Connection refused\) while resolving, resolver: 127\.0\.0\.1:\d+$/,
    );
  });

  test('UDP refused by the only server: asked once more, then every 5 s, until the timeout', async () => {
    const gone = await server(() => null);
    const settings = config(gone);
    await gone.stop();
    open.length = 0;
    const { resolver, time, lines } = bench(settings);
    const promise = resolver.resolve('name', 8000);
    await until(() => lines.length === 2, 'two refusals');
    await settle();
    assert.equal(lines.length, 2);
    time.advance(5000);
    await until(() => lines.length === 4, 'two more');
    time.advance(3000);
    assert.equal(texts(await promise), '110: Operation timed out');
  });

  test('a server that comes back is used again', async () => {
    const gone = await server(() => null);
    const settings = config(gone);
    await gone.stop();
    open.length = 0;
    const { resolver, time, lines } = bench(settings);
    const promise = resolver.resolve('name', 8000);
    await until(() => lines.length === 2, 'two refusals');
    const back = new TestDns(simple());
    await back.start(true, gone.port);
    open.push({ close: () => back.stop() });
    time.advance(5000);
    assert.deepEqual(texts(await promise), ['127.0.0.1']);
  });
});
