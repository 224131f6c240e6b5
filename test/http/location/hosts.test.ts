import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { hostPort, validateHost } from '../../../src/variables/host-table.ts';
import { Site } from '../variables/site.ts';

test('hosts: what is valid, and what becomes of it', () => {
  const cases: [string, string | null][] = [
    ['example.com', 'example.com'],
    ['EXAMPLE.com:80', 'example.com'],
    ['example.com.', 'example.com'],
    ['example.com.:80', 'example.com'],
    ['a..b', null],
    ['.', null],
    ['..', null],
    ['', null],
    [':80', null],
    ['a b', null],
    ['a/b', null],
    ['a\\b', null],
    ['a@b', null],
    ['ho_st', 'ho_st'],
    ['%41', '%41'],
    ['a:', 'a'],
    ['a:65535', 'a'],
    ['a:65536', null],
    ['a:x', null],
    ['a:1:2', null],
    ['a:-1', null],
    ['[::1]', '[::1]'],
    ['[::1]:80', '[::1]'],
    ['[FE80::1]', '[fe80::1]'],
    ['[::1', null],
    ['[::1]x', null],
    ['[::1]:x', null],
    ['[a%b]', null],
    ['[', null],
    ['x[::1]', null],
    ['\xe4', null],
    ['a\0', null],
    ["!$&'()*+,;=~", "!$&'()*+,;=~"],
    ['1.2.3.4', '1.2.3.4'],
  ];
  for (const [text, expected] of cases) assert.equal(validateHost(text), expected, JSON.stringify(text));
});

test('a valid host is valid again and comes out as it is', () => {
  const text = fc.string({
    unit: fc.constantFrom('a', 'B', '.', ':', '[', ']', '8', '%', '-', '/', ' '),
    maxLength: 12,
  });
  fc.assert(
    fc.property(text, (host) => {
      const valid = validateHost(host);
      if (valid === null) return;
      assert.equal(validateHost(valid.startsWith('[') ? valid : `${valid}:80`), valid);
      assert.doesNotMatch(valid, /[A-Z/ ]/);
      assert.ok(valid.length > 0);
    }),
    { numRuns: 3000 },
  );
});

test('ports of hosts', () => {
  for (const [text, port] of [
    ['a', 0],
    ['a:81', 81],
    ['a:', 0],
    ['[::1]:443', 443],
    ['[::1]', 0],
  ] as const) {
    assert.equal(hostPort(text), port, text);
  }
});

test('virtual servers: exact, wildcards, expressions in order, the default', async () => {
  const server = (names: string) =>
    `server { listen 127.0.0.1:8080; server_name ${names}; return 200 "$server_name $sub $1"; }`;
  const site = await Site.of(
    [
      'first',
      '*.wild.test .dot.test',
      'www.pre.*',
      '~^(?<sub>.+)\\.re\\.test$ ~^x(\\d+)',
      '~^x',
      '"" ',
      'long.wild.test',
    ]
      .map(server)
      .join('\n'),
  );
  const cases: [string | null, string][] = [
    ['first', 'first  '],
    ['unknown', 'first  '],
    ['a.wild.test', '*.wild.test  '],
    ['wild.test', 'first  '],
    ['dot.test', '*.wild.test  '],
    ['q.dot.test', '*.wild.test  '],
    ['long.wild.test', 'long.wild.test  '],
    ['www.pre.org', 'www.pre.*  '],
    ['www.pre.a.b', 'www.pre.*  '],
    ['a.b.re.test', '~^(?<sub>.+)\\.re\\.test$ a.b a.b'],
    ['x12', '~^(?<sub>.+)\\.re\\.test$  12'],
    ['xa', '~^x  '],
    [null, '  '],
    ['A.WILD.test.', '*.wild.test  '],
  ];
  for (const [host, expected] of cases) {
    assert.equal(await site.body('/', { host, version: host === null ? '1.0' : '1.1' }), expected, String(host));
  }
});
