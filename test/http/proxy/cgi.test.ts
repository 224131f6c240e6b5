/** SCGI and uwsgi, byte by byte. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, it } from 'node:test';
import { Output } from '../../../src/net/output.ts';
import { CgiChannel } from '../../../src/http/proxy/cgi/cgi-channel.ts';
import { putText } from '../../../src/http/proxy/cgi/scgi-plan.ts';
import { putPair } from '../../../src/http/proxy/cgi/uwsgi-plan.ts';
import type { Answer, Feed } from './channel.ts';
import { answerOf, attach, splits } from './channel.ts';

function feed(pieces: readonly Buffer[], options: Feed = {}): Answer {
  const channel = new CgiChannel();
  attach(channel);
  return answerOf(channel, pieces, options);
}

const once = (text: string, options: Feed = {}): Answer => feed([Buffer.from(text, 'latin1')], options);

describe('CGI answers', () => {
  it('fields and a body until the connection ends, however they are cut', () => {
    for (const pieces of splits('Status: 404 Not There\r\nX: y\r\n\r\nbody')) {
      const answer = feed(pieces, { ends: 'end' });
      assert.deepEqual([answer.status, answer.reason, answer.body, answer.done], [404, 'Not There', 'body', true]);
      assert.deepEqual([answer.reusable, answer.failure], [false, '']);
    }
  });

  it('a status line instead of the field', () => {
    for (const pieces of splits('HTTP/1.1 418 Teapot\r\nContent-Length: 2\r\n\r\nok')) {
      const answer = feed(pieces);
      assert.deepEqual([answer.status, answer.reason, answer.body, answer.done], [418, 'Teapot', 'ok', true]);
    }
    assert.equal(once('H: y\r\n\r\n', { ends: 'end' }).status, 200);
  });

  it('lengths', () => {
    const long = once('Content-Length: 2\r\n\r\nbody');
    assert.deepEqual([long.body, long.done, long.extra], ['bo', true, true]);
    assert.match(once('Content-Length: 9\r\n\r\nbody', { ends: 'end' }).failure, /^cut: upstream prematurely closed/);
    assert.match(once('Content-Length: 2\r\nContent-Length: 2\r\n\r\n').failure, /^invalid: .*"Content-Length"/);
    const head = once('Content-Length: 2\r\n\r\n', { headOnly: true });
    assert.deepEqual([head.done, head.contentLength, head.body], [true, 2, '']);
  });

  it('what is no answer', () => {
    assert.match(once('nonsense\r\n\r\n').failure, /^invalid: upstream sent invalid header/);
    assert.match(once('X: y\r\n', { ends: 'end' }).failure, /^error: upstream prematurely closed/);
  });
});

it('parameters are told apart by length or by NUL, whatever they hold', () => {
  const bytes = (write: (o: Output) => void): string => {
    const o = new Output();
    write(o);
    return o.buf.latin1Slice(0, o.length);
  };
  assert.equal(
    bytes((o) => putPair(o, 'NAME', 'x'.repeat(300))),
    `\x04\0NAME\x2c\x01${'x'.repeat(300)}`,
  );
  assert.equal(
    bytes((o) => putText(o, 'NAME', 'a\0SCGI\x000')),
    'NAME\0a\0',
  );
});
