import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KongRoute } from '../../../src/config/kong/model.ts';
import { Router } from '../../../src/http/kong/router.ts';
import { servicePath } from '../../../src/http/kong/target-uri.ts';

let made = 0;

function route(id: string, given: Partial<Omit<KongRoute, 'paths'>> & { paths?: string[] }): KongRoute {
  const { paths = [], ...rest } = given;
  return {
    id,
    name: id,
    createdAt: ++made,
    protocols: ['http', 'https'],
    methods: [],
    hosts: [],
    headers: [],
    snis: [],
    sources: [],
    destinations: [],
    stripPath: true,
    preserveHost: false,
    regexPriority: 0,
    pathHandling: 'v0',
    httpsRedirectStatusCode: 426,
    requestBuffering: true,
    responseBuffering: true,
    service: null,
    paths: paths.map((text) =>
      text.startsWith('~') ? { kind: 'regex', text: text.slice(1) } : { kind: 'prefix', text },
    ),
    ...rest,
  };
}

interface Asked {
  method?: string;
  host?: string;
  port?: number;
  path?: string;
  serverName?: string;
  headers?: Record<string, string[]>;
}

function ask(routes: KongRoute[], { headers = {}, ...given }: Asked): string | null {
  const request = { method: 'GET', host: 'h', port: 80, path: '/', serverName: '', ...given };
  return new Router(routes).find({ ...request, header: (name) => headers[name] ?? [] })?.route.id ?? null;
}

test('conditions: each that a route has must fit', () => {
  const table: [Parameters<typeof route>[1], Asked, boolean][] = [
    [{ hosts: ['h'] }, {}, true],
    [{ hosts: ['H'] }, {}, true],
    [{ hosts: ['other'] }, {}, false],
    [{ hosts: ['*.b.c'] }, { host: 'a.b.c' }, true],
    [{ hosts: ['*.b.c'] }, { host: '.b.c' }, false],
    [{ hosts: ['*.b.c'] }, { host: 'b.c' }, false],
    [{ hosts: ['a.*'] }, { host: 'a.b.c' }, true],
    [{ hosts: ['h:81'] }, {}, false],
    [{ hosts: ['h:81'] }, { port: 81 }, true],
    [{ methods: ['POST'] }, {}, false],
    [{ methods: ['GET'] }, {}, true],
    [{ paths: ['/a'] }, { path: '/ab' }, true],
    [{ paths: ['/a'] }, { path: '/b' }, false],
    [{ paths: ['~/a\\d+$'] }, { path: '/a12' }, true],
    [{ paths: ['~/a\\d+$'] }, { path: '/a12/x' }, false],
    [{ paths: ['~a'] }, { path: '/a' }, false],
    [{ headers: [{ name: 'X-V', values: ['One', 'two'] }] }, { headers: { 'x-v': ['one'] } }, true],
    [{ headers: [{ name: 'X-V', values: ['one'] }] }, { headers: { 'x-v': ['three'] } }, false],
    [{ headers: [{ name: 'X-V', values: ['one'] }] }, {}, false],
    [{ headers: [{ name: 'X-V', values: ['~*^v\\d$'] }] }, { headers: { 'x-v': ['V1'] } }, true],
    [{ paths: ['/'], snis: ['s'] }, { serverName: 's' }, true],
    [{ paths: ['/'], snis: ['s'] }, { serverName: 'x' }, false],
    [{ paths: ['/'], protocols: ['tcp'] }, {}, false],
  ];
  for (const [given, asked, fits] of table) {
    assert.equal(ask([route('r', given)], asked) !== null, fits, JSON.stringify([given, asked]));
  }
});

test('order: who says more goes first, whatever came first', () => {
  const asked = { host: 'a.b', path: '/a/b/c', headers: { 'x-v': ['1'], 'x-w': ['1'] } };
  const v = { name: 'X-V', values: ['1'] };
  const pairs: [Parameters<typeof route>[1], Parameters<typeof route>[1]][] = [
    [{ hosts: ['a.b'], paths: ['/a'] }, { paths: ['/a/b/c'] }],
    [{ hosts: ['a.b'] }, { paths: ['/a/b/c'] }],
    [{ headers: [v] }, { paths: ['/a'] }],
    [{ paths: ['/'] }, { methods: ['GET'] }],
    [{ hosts: ['a.b'] }, { hosts: ['*.b'] }],
    [{ headers: [v, { name: 'X-W', values: ['1'] }] }, { headers: [v] }],
    [{ paths: ['~/a'] }, { paths: ['/a/b/c'] }],
    [
      { paths: ['~/a'], regexPriority: 2 },
      { paths: ['~/a/b'], regexPriority: 1 },
    ],
    [{ paths: ['/a/b'] }, { paths: ['/a'] }],
  ];
  for (const [first, second] of pairs) {
    const text = JSON.stringify([first, second]);
    assert.equal(ask([route('second', second), route('first', first)], asked), 'first', text);
    assert.equal(ask([route('first', first), route('second', second)], asked), 'first', text);
  }
  assert.equal(ask([route('b', { paths: ['/'], createdAt: 2 }), route('a', { paths: ['/'], createdAt: 1 })], {}), 'a');
});

test('paths at the service', () => {
  // path, matched, base, strip, handling, result
  const table: [string, number, string | null, boolean, 'v0' | 'v1', string][] = [
    ['/a/b', 2, null, true, 'v0', '/b'],
    ['/a', 2, null, true, 'v0', '/'],
    ['/ab', 2, null, true, 'v0', '/b'],
    ['/a/b', 2, '/s', true, 'v0', '/s/b'],
    ['/a/b', 2, '/s/', true, 'v0', '/s/b'],
    ['/ab', 2, '/s', true, 'v0', '/s/b'],
    ['/a', 2, '/s/', true, 'v0', '/s'],
    ['/a/', 3, '/s', true, 'v0', '/s/'],
    ['/a/b', 2, '/s', false, 'v0', '/s/a/b'],
    ['/a/b', 2, null, false, 'v0', '/a/b'],
    ['/ab', 2, '/s', true, 'v1', '/sb'],
    ['/a/b', 2, '/s/', true, 'v1', '/s/b'],
    ['/a/b', 2, '/s', true, 'v1', '/s/b'],
  ];
  for (const [path, matched, base, strip, handling, result] of table) {
    assert.equal(
      servicePath(path, matched, base, strip, handling),
      result,
      JSON.stringify([path, base, strip, handling]),
    );
  }
});
