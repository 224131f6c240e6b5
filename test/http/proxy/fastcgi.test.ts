/** FastCGI's records and answers, byte by byte. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, it } from 'node:test';
import { Output } from '../../../src/net/output.ts';
import { FastcgiChannel } from '../../../src/http/proxy/cgi/fastcgi-channel.ts';
import { PARAMS, putBegin, putEnd, putPair, putRecords, STDIN } from '../../../src/http/proxy/cgi/fastcgi-records.ts';
import type { OutgoingRequest } from '../../../src/http/proxy/upstream-channel.ts';
import type { Answer, Feed } from './channel.ts';
import { answerOf, attach, splits } from './channel.ts';

/** A record as a server sends it. */
function record(type: number, content: string, padding = 0, id = 1): string {
  const n = content.length;
  const header = [1, type, id >> 8, id & 255, n >> 8, n & 255, padding, 0];
  return String.fromCharCode(...header) + content + '\0'.repeat(padding);
}

const STDOUT = 6;
const STDERR = 7;
const END = record(3, '\0\0\0\0\0\0\0\0');
const HELLO = 'Status: 201 Made\r\nContent-Type: text/plain\r\n\r\n';

function feed(pieces: readonly Buffer[], options: Feed & { keepConn?: boolean; catchStderr?: string[] } = {}): Answer {
  const channel = new FastcgiChannel({
    keepConn: options.keepConn ?? true,
    catchStderr: options.catchStderr ?? [],
  });
  attach(channel);
  return answerOf(channel, pieces, options);
}

const once = (text: string, options: Parameters<typeof feed>[1] = {}): Answer =>
  feed([Buffer.from(text, 'latin1')], options);

describe('FastCGI requests', () => {
  const bytes = (write: (o: Output) => void): string => {
    const o = new Output();
    write(o);
    return o.buf.latin1Slice(0, o.length);
  };

  it('the beginning says whether the connection is kept', () => {
    assert.equal(
      bytes((o) => putBegin(o, true)),
      '\x01\x01\0\x01\0\x08\0\0\0\x01\x01\0\0\0\0\0',
    );
    assert.equal(bytes((o) => putBegin(o, false)).charCodeAt(10), 0);
  });

  it('lengths of one byte up to 127, of four beyond', () => {
    assert.equal(
      bytes((o) => putPair(o, 'A', 'b'.repeat(127))),
      `\x01\x7fA${'b'.repeat(127)}`,
    );
    assert.equal(
      bytes((o) => putPair(o, 'A', 'b'.repeat(128))),
      `\x01\x80\0\0\x80A${'b'.repeat(128)}`,
    );
  });

  it('records are padded to eight bytes and cut where they grow too long', () => {
    assert.equal(
      bytes((o) => putRecords(o, PARAMS, Buffer.from('abc'), 0, 3)),
      '\x01\x04\0\x01\0\x03\x05\0abc\0\0\0\0\0',
    );
    const long = bytes((o) => putRecords(o, STDIN, Buffer.alloc(70_000), 0, 70_000));
    assert.equal(long.length, 8 + 65_528 + 8 + (70_000 - 65_528));
    assert.equal(
      bytes((o) => putEnd(o, STDIN)),
      '\x01\x05\0\x01\0\0\0\0',
    );
  });

  it('a body at hand goes out with its end; a streamed one ends once', () => {
    const plan = { compose() {} };
    const channel = new FastcgiChannel({ keepConn: false, catchStderr: [] });
    const transport = attach(channel);
    const base = { plan, bodyLength: 3, first: Buffer.from('abc'), firstLength: 3 };
    channel.sendRequest(base as unknown as OutgoingRequest);
    channel.endBody();
    const whole = '\x01\x05\0\x01\0\x03\x05\0abc\0\0\0\0\0\x01\x05\0\x01\0\0\0\0';
    assert.equal(transport.written, whole);
    transport.written = '';
    channel.sendRequest({ ...base, bodyLength: -1, first: null, firstLength: 0 } as unknown as OutgoingRequest);
    channel.sendBody(Buffer.from('abc'), 0, 3);
    channel.endBody();
    assert.equal(transport.written, whole);
  });
});

describe('FastCGI answers', () => {
  it('head and body over several records, however they are cut', () => {
    const text =
      record(STDOUT, HELLO.slice(0, 20), 4) +
      record(STDERR, 'a warning.\n', 5) +
      record(STDOUT, HELLO.slice(20) + 'one', 1) +
      record(STDOUT, 'two') +
      record(STDOUT, '') +
      END;
    for (const pieces of splits(text)) {
      const answer = feed(pieces);
      assert.deepEqual([answer.status, answer.reason, answer.body], [201, 'Made', 'onetwo']);
      assert.deepEqual(answer.fields, ['Status: 201 Made', 'Content-Type: text/plain']);
      assert.deepEqual([answer.done, answer.reusable, answer.failure], [true, true, '']);
      assert.ok(answer.messages[0]!.startsWith('error: FastCGI sent in stderr: "a'));
    }
    assert.deepEqual(once(text).messages, [
      'error: FastCGI sent in stderr: "a warning" while reading response header from upstream',
    ]);
  });

  it('a status of its own, Location, or 200', () => {
    const status = (head: string): number => once(record(STDOUT, `${head}\r\n`) + END).status;
    assert.equal(status('X: y\r\n'), 200);
    assert.equal(status('Location: /x\r\n'), 302);
    assert.equal(status('Status: 404\r\nLocation: /x\r\n'), 404);
    assert.equal(status('Status: 99\r\n'), 0);
    assert.equal(status('Status: abc\r\n'), 0);
  });

  it('the request ends the answer, or the connection, if it was to be closed or standard output was', () => {
    const head = record(STDOUT, 'X: y\r\n\r\nbody');
    for (const rest of [record(STDOUT, '') + END, END]) {
      const answer = once(head + rest, { keepConn: false });
      assert.deepEqual([answer.body, answer.done, answer.reusable], ['body', true, false]);
    }
    assert.equal(once(head + record(STDOUT, '')).done, false);
    const ended = once(head, { keepConn: false, ends: 'end' });
    assert.deepEqual([ended.body, ended.done, ended.failure], ['body', true, '']);
    const closed = once(head + record(STDOUT, ''), { ends: 'end' });
    assert.deepEqual([closed.body, closed.done, closed.failure, closed.reusable], ['body', true, '', false]);
  });

  it('what breaks off', () => {
    const head = record(STDOUT, 'Content-Length: 10\r\n\r\nbody');
    assert.match(once(head, { ends: 'end' }).failure, /^cut: upstream prematurely closed connection/);
    assert.match(once(head + END).failure, /^cut: upstream prematurely closed FastCGI request/);
    assert.match(once(head + record(STDOUT, '')).failure, /^cut: upstream prematurely closed FastCGI stdout/);
    const kept = once(record(STDOUT, 'X: y\r\n\r\nbody'), { ends: 'end' });
    assert.match(kept.failure, /^cut: upstream prematurely closed connection/);
    assert.equal(kept.body, 'body');
  });

  it('what is no answer', () => {
    assert.match(
      once('HTTP/1.1 200 OK\r\n\r\n').failure,
      /^invalid: upstream sent unsupported FastCGI protocol version: 72/,
    );
    assert.match(once(record(9, '')).failure, /invalid FastCGI record type: 9/);
    assert.match(once(record(STDOUT, 'x', 0, 2)).failure, /unexpected FastCGI request id: 2/);
    assert.match(once(END).failure, /unexpected FastCGI record: 3/);
    assert.match(once(record(STDOUT, '')).failure, /prematurely closed FastCGI stdout/);
    assert.match(once(record(STDOUT, 'no colon here\r\n\r\n')).failure, /sent invalid header/);
    assert.match(once(record(STDOUT, 'Content-Length: 1x\r\n\r\n')).failure, /invalid "Content-Length"/);
    assert.match(once(record(STDOUT, `X: ${'y'.repeat(200)}`), { limit: 100 }).failure, /too big header/);
  });

  it('more than was announced is not passed on, and ends the connection', () => {
    const answer = once(record(STDOUT, 'Content-Length: 2\r\n\r\nbody') + END);
    assert.deepEqual([answer.body, answer.done, answer.extra, answer.reusable], ['bo', true, true, false]);
    const none = once(record(STDOUT, 'Status: 304\r\n\r\nbody') + END);
    assert.deepEqual([none.body, none.done, none.extra], ['', true, true]);
  });

  it('HEAD does not wait for a body', () => {
    const answer = once(record(STDOUT, 'Content-Length: 10\r\n\r\n'), { headOnly: true });
    assert.deepEqual([answer.done, answer.contentLength, answer.reusable], [true, 10, false]);
  });

  it('bytes behind the end of a request end the connection', () => {
    const text = record(STDOUT, 'X: y\r\n\r\n') + record(STDOUT, '');
    assert.equal(once(text + END).reusable, true);
    assert.equal(once(`${text}${END}x`).reusable, false);
    assert.equal(once(text + record(3, '\0\0\0\0\0\0\0\0', 3)).reusable, true);
  });

  it('fastcgi_catch_stderr makes an answer invalid', () => {
    const text = record(STDERR, 'PHP Fatal error: x') + record(STDOUT, 'X: y\r\n\r\n') + END;
    assert.match(once(text, { catchStderr: ['nothing', 'Fatal error'] }).failure, /^invalid: FastCGI stderr/);
    assert.equal(once(text, { catchStderr: ['nothing'] }).failure, '');
  });
});
