import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { BAD, BAD_VERSION, DONE, MORE } from '../../../src/http/wire/outcomes.ts';
import { METHOD_CONNECT, METHOD_GET, METHOD_OTHER, RequestHead } from '../../../src/http/wire/request-head.ts';
import * as s from './support.ts';

function parse(text: string): [number, RequestHead] {
  const head = new RequestHead();
  const bytes = s.latin1(text);
  head.reset(bytes, 0);
  return [head.parse(bytes.length), head];
}

/** All that a head tells, without offsets. */
function told(result: number, head: RequestHead): unknown {
  if (result !== DONE) return [result];
  return {
    method: head.methodText(),
    target: head.target(),
    path: head.buf.latin1Slice(head.targetStart, head.pathEnd),
    args: head.argsStart < 0 ? null : head.args(),
    host: head.hostStart < 0 ? null : head.buf.latin1Slice(head.hostStart, head.hostEnd),
    complex: head.complex,
    version: head.version,
    line: head.requestLine(),
    fields: s.fieldsOf(head),
    end: head.pos - head.headStart,
  };
}

const targets = fc.oneof(
  fc.constantFrom(
    '/',
    '/a/b?c=d',
    '/%41',
    '//x',
    '/./a',
    '/a/../b',
    '/a#b',
    '/a?b#c',
    '/\x80',
    'http://h',
    'http://h/p?q',
    'http://h?q',
    'HTTPS://H:1/',
    '*',
    'h:443',
    'ftp:/x',
    '/a?/../%zz',
  ),
  fc.string({ unit: fc.constantFrom(...'/.%#?a:@ \t\x80'), maxLength: 12 }),
);
const lines = fc
  .tuple(
    fc.constantFrom('', '', '\r\n', '\n', '\r\n\r\n', '\r'),
    fc.oneof(fc.constantFrom('GET', 'HEAD', 'CONNECT', 'OPTIONS', 'get', 'X-Y', ''), s.token),
    targets,
    fc.constantFrom(
      ' HTTP/1.1',
      ' HTTP/1.0',
      ' HTTP/1.9',
      ' HTTP/2.0',
      ' HTTP/0.9',
      ' HTTP/11',
      ' http/1.1',
      '',
      ' ',
      ' HTTP/1.1 ',
      ' HTTP/1.',
      ' HTTP/1',
      ' HTTP/',
    ),
  )
  .map(([before, method, target, version]) => `${before}${method} ${target}${version}`);

describe('request head', () => {
  test('comes to the same for every split into reads, right or wrong', () => {
    fc.assert(
      fc.property(
        lines,
        s.fields,
        s.mutations,
        fc.constantFrom('\r\n', '\n'),
        s.cuts,
        (line, fields, mutations, eol, cuts) => {
          const bytes = s.latin1(`${s.mutate(`${line}${eol}${s.fieldLines(fields, eol)}${eol}`, mutations)}GET`);
          const outcome = (at: readonly number[], moving: boolean): unknown => {
            const head = new RequestHead();
            head.skipInvalid = true;
            return told(s.parseInReads(head, bytes, at, moving), head);
          };
          const whole = outcome([], false);
          assert.deepEqual(outcome(cuts, true), whole);
          assert.deepEqual(outcome(s.everyByte(bytes), true), whole);
          assert.deepEqual(outcome(s.everyByte(bytes), false), whole);
        },
      ),
      { numRuns: 3000 },
    );
  });

  test('ten bytes of empty lines that end in CR', () => {
    // The length of what has come must not be taken for a byte.
    for (let n = 0; n < 30; n++) {
      const bytes = s.latin1(`${'\n'.repeat(n)}\rGET / HTTP/1.1\r\n\r\n`);
      const head = new RequestHead();
      assert.equal(s.parseInReads(head, bytes, s.everyByte(bytes)), BAD, `${n} empty lines`);
      assert.equal(s.parseInReads(new RequestHead(), bytes, []), BAD);
    }
  });

  const right: [text: string, expected: Record<string, unknown>][] = [
    ['GET / HTTP/1.1\r\n\r\n', { method: 'GET', target: '/', args: null, host: null, version: 11, complex: false }],
    ['\r\n\r\nGET / HTTP/1.0\r\n\r\n', { method: 'GET', version: 10, line: 'GET / HTTP/1.0' }],
    ['M-SEARCH_X /a?b?c HTTP/1.1\n\n', { method: 'M-SEARCH_X', path: '/a', args: 'b?c' }],
    ['GET /a? HTTP/1.1\r\n\r\n', { path: '/a', args: '' }],
    ['GET http://Host:80/a?b HTTP/1.1\r\n\r\n', { host: 'Host:80', target: '/a?b', path: '/a' }],
    ['GET http://h HTTP/1.1\r\n\r\n', { host: 'h', target: '', path: '' }],
    ['GET http://h?q=/ HTTP/1.1\r\n\r\n', { host: 'h', target: '?q=/', path: '', args: 'q=/' }],
    ['CONNECT h:443 HTTP/1.1\r\n\r\n', { host: 'h:443', target: '' }],
    ['GET /%41 HTTP/1.1\r\n\r\n', { complex: true }],
    ['GET //a HTTP/1.1\r\n\r\n', { complex: true }],
    ['GET /a/.b HTTP/1.1\r\n\r\n', { complex: true }],
    ['GET /a.b/c?/../%//./ HTTP/1.1\r\n\r\n', { complex: false }],
    // A fragment is no part of path or query (nginx: ngx_http_parse_complex_uri); the target goes on as it was sent.
    ['GET /a#b HTTP/1.1\r\n\r\n', { target: '/a#b', complex: true }],
    ['GET /a#b?c HTTP/1.1\r\n\r\n', { target: '/a#b?c', complex: true, args: null }],
    ['GET /a?b#c HTTP/1.1\r\n\r\n', { target: '/a?b#c', path: '/a', args: 'b' }],
  ];
  for (const [text, expected] of right) {
    test(`right: ${JSON.stringify(text)}`, () => {
      const [result, head] = parse(text);
      assert.equal(result, DONE);
      const all = told(result, head) as Record<string, unknown>;
      for (const [key, value] of Object.entries(expected)) assert.deepEqual(all[key], value, key);
    });
  }

  const wrong: [text: string, outcome: number][] = [
    // Tokens by RFC 9110, but no methods that anybody has; nginx refuses them.
    ['get / HTTP/1.1\r\n\r\n', BAD],
    ['GE7 / HTTP/1.1\r\n\r\n', BAD],
    [' GET / HTTP/1.1\r\n\r\n', BAD],
    ['GET  / HTTP/1.1\r\n\r\n', BAD],
    ['GET /  HTTP/1.1\r\n\r\n', BAD],
    ['GET\t/ HTTP/1.1\r\n\r\n', BAD],
    ['GET / HTTP/1.1 \r\n\r\n', BAD],
    ['GET / HTTP/1.1\rX\r\n\r\n', BAD],
    ['GET / HTTP/1.1\r\r\n\r\n', BAD],
    ['\rGET / HTTP/1.1\r\n\r\n', BAD],
    ['GET /\0 HTTP/1.1\r\n\r\n', BAD],
    ['GET /\x7f HTTP/1.1\r\n\r\n', BAD],
    ['GET /a\x0bb HTTP/1.1\r\n\r\n', BAD],
    ['GET /\ta HTTP/1.1\r\n\r\n', BAD],
    ['G(T / HTTP/1.1\r\n\r\n', BAD],
    ['G\x80T / HTTP/1.1\r\n\r\n', BAD],
    ['GET * HTTP/1.1\r\n\r\n', BAD],
    ['GET a HTTP/1.1\r\n\r\n', BAD],
    ['GET http:///a HTTP/1.1\r\n\r\n', BAD],
    ['GET http:/a HTTP/1.1\r\n\r\n', BAD],
    ['GET http://h#f HTTP/1.1\r\n\r\n', BAD],
    ['GET 1ttp://h/ HTTP/1.1\r\n\r\n', BAD],
    ['GET / http/1.1\r\n\r\n', BAD],
    ['GET / HTTP/1,1\r\n\r\n', BAD],
    ['GET / HTTP/+1.1\r\n\r\n', BAD],
    ['GET / HTTP/1.10\r\n\r\n', BAD],
    ['GET / HTTP/01.1\r\n\r\n', BAD],
    ['GET / HTTP/1.1\r\nA: b\n\r\n', BAD],
    ['GET /\r\n', BAD],
    ['GET /\n', BAD],
    ['GET / HTTP/2.0\r\n\r\n', BAD_VERSION],
    ['GET / HTTP/0.9\r\n\r\n', BAD_VERSION],
    ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', BAD],
  ];
  for (const [text, outcome] of wrong) {
    test(`refused: ${JSON.stringify(text)}`, () => assert.equal(parse(text)[0], outcome));
  }

  test('methods', () => {
    assert.equal(parse('GET / HTTP/1.1\r\n\r\n')[1].method, METHOD_GET);
    assert.equal(parse('Get / HTTP/1.1\r\n\r\n')[1].method, METHOD_OTHER);
    assert.equal(parse('GETT / HTTP/1.1\r\n\r\n')[1].method, METHOD_OTHER);
    assert.equal(parse('CONNECT a HTTP/1.1\r\n\r\n')[1].method, METHOD_CONNECT);
  });

  test('bytes behind `end` are not looked at', () => {
    const bytes = s.latin1('\r\nGET http://host/a?b HTTP/1.1\r\nA: b\r\n\r\n');
    for (let end = 0; end < bytes.length; end++) {
      const head = new RequestHead();
      head.reset(bytes, 0);
      assert.equal(head.parse(end), MORE, `at ${end}`);
    }
  });
});
