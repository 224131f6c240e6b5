import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { BAD, DONE, MORE, NOT_HTTP } from '../../../src/http/wire/outcomes.ts';
import { ResponseHead } from '../../../src/http/wire/response-head.ts';
import * as s from './support.ts';

function parse(text: string): [number, ResponseHead] {
  const head = new ResponseHead();
  const bytes = s.latin1(text);
  head.reset(bytes, 0);
  return [head.parse(bytes.length), head];
}

function told(result: number, head: ResponseHead): unknown {
  if (result !== DONE) return [result];
  return [head.version, head.status, head.reason(), s.fieldsOf(head), head.mixed, head.eol, head.pos - head.headStart];
}

const lines = fc.oneof(
  fc.constantFrom(
    'HTTP/1.1 200 OK',
    'HTTP/1.0 404',
    'HTTP/1.1 500 ',
    'HTTP/1.1 100 \x80\t',
    'HTTP/2 200',
    'ICY 200 OK',
    'HTTP/1.1 99 x',
    'HTTP/1.1 2000',
    'HTTP/1.1  200',
    'HTTP/1.1200',
  ),
  fc.tuple(fc.nat(1100), s.value).map(([status, reason]) => `HTTP/1.1 ${status} ${reason}`),
);

describe('response head', () => {
  test('comes to the same for every split into reads, right or wrong', () => {
    fc.assert(
      fc.property(
        lines,
        s.fields,
        s.mutations,
        fc.constantFrom('\r\n', '\n'),
        s.cuts,
        (line, fields, mutations, eol, cuts) => {
          const bytes = s.latin1(`${s.mutate(`${line}${eol}${s.fieldLines(fields, eol)}${eol}`, mutations)}body`);
          const outcome = (at: readonly number[]): unknown => {
            const head = new ResponseHead();
            return told(s.parseInReads(head, bytes, at, true), head);
          };
          const whole = outcome([]);
          assert.deepEqual(outcome(cuts), whole);
          assert.deepEqual(outcome(s.everyByte(bytes)), whole);
        },
      ),
      { numRuns: 2000 },
    );
  });

  const right: [text: string, status: number, reason: string][] = [
    ['HTTP/1.1 200 OK\r\n\r\n', 200, 'OK'],
    ['HTTP/1.1 200\r\n\r\n', 200, ''],
    ['HTTP/1.1 200 \r\n\r\n', 200, ''],
    ['HTTP/1.0 404 Not here\n\n', 404, 'Not here'],
    ['HTTP/1.1 999 x: y\r\n\r\n', 999, 'x: y'],
  ];
  for (const [text, status, reason] of right) {
    test(`right: ${JSON.stringify(text)}`, () => {
      const [result, head] = parse(text);
      assert.deepEqual([result, head.status, head.reason()], [DONE, status, reason]);
    });
  }

  const wrong: [text: string, outcome: number][] = [
    ['HTTP/2.0 200 OK\r\n\r\n', NOT_HTTP],
    ['HTTP/1.1 20 OK\r\n\r\n', NOT_HTTP],
    ['HTTP/1.1 2000 OK\r\n\r\n', NOT_HTTP],
    ['HTTP/1.1 099 OK\r\n\r\n', NOT_HTTP],
    ['HTTP/1.1 -20 OK\r\n\r\n', NOT_HTTP],
    ['HTTP/1.1\t200 OK\r\n\r\n', NOT_HTTP],
    ['HTTP/1.1  200 OK\r\n\r\n', NOT_HTTP],
    [' HTTP/1.1 200 OK\r\n\r\n', NOT_HTTP],
    ['\r\nHTTP/1.1 200 OK\r\n\r\n', NOT_HTTP],
    ['http/1.1 200 OK\r\n\r\n', NOT_HTTP],
    ['<html>no head at all</html>', NOT_HTTP],
    ['HTTP/1.1 200 O\0K\r\n\r\n', BAD],
    ['HTTP/1.1 200 O\rK\r\n\r\n', BAD],
    ['HTTP/1.1 200 OK\r\nA : b\r\n\r\n', BAD],
    ['HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n', BAD],
    ['HTTP/1.1 200 OK\r\nA: b\rSet-Cookie: c\r\n\r\n', BAD],
    ['HTTP/1.1 200 OK\r\nno colon\r\n\r\n', BAD],
  ];
  for (const [text, outcome] of wrong) {
    test(`refused: ${JSON.stringify(text)}`, () => assert.equal(parse(text)[0], outcome));
  }

  test('a snapshot tells the same and does not depend on the bytes', () => {
    const [, head] = parse('HTTP/1.0 203 Sure\nA: b\r\nSet-Cookie: c\r\n\r\n');
    const copy = head.snapshot();
    const before = told(DONE, head);
    head.buf.fill(0x78);
    assert.deepEqual(told(DONE, copy), before);
    assert.equal(copy.get(1), null);
  });

  test('bytes behind `end` are not looked at', () => {
    const bytes = s.latin1('HTTP/1.1 200 OK\r\nA: b\r\n\r\n');
    for (let end = 0; end < bytes.length; end++) {
      const head = new ResponseHead();
      head.reset(bytes, 0);
      assert.equal(head.parse(end), MORE, `at ${end}`);
    }
  });
});
