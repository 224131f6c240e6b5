/** memcached's answers, byte by byte. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MemcachedChannel } from '../../../src/http/proxy/memcached/memcached-channel.ts';
import { escapeKey } from '../../../src/http/proxy/memcached/memcached-plan.ts';
import type { OutgoingRequest } from '../../../src/http/proxy/upstream-channel.ts';
import type { Answer, Feed } from './channel.ts';
import { answerOf, attach, splits } from './channel.ts';

const request = {
  plan: { compose: (o: { text(s: string): void }) => o.text('get /key\r\n') },
  first: null,
} as unknown as OutgoingRequest;

function feed(pieces: readonly Buffer[], options: Feed & { gzipFlag?: number } = {}): Answer {
  const channel = new MemcachedChannel(options.gzipFlag ?? 0);
  attach(channel);
  channel.sendRequest(request);
  return answerOf(channel, pieces, options);
}

describe('memcached answers', () => {
  it('a value, however it is cut', () => {
    for (const pieces of splits('VALUE /key 0 7\r\nSEE\r\nIT\r\nEND\r\n')) {
      const answer = feed(pieces);
      assert.deepEqual(
        [answer.status, answer.contentLength, answer.body, answer.done, answer.reusable, answer.failure],
        [200, 7, 'SEE\r\nIT', true, true, ''],
      );
    }
  });

  it('an empty value', () => {
    for (const pieces of splits('VALUE /key 3 0\r\n\r\nEND\r\n')) {
      const answer = feed(pieces);
      assert.deepEqual([answer.status, answer.body, answer.done, answer.reusable], [200, '', true, true]);
    }
  });

  it('no value is 404, and the connection stays', () => {
    for (const pieces of splits('END\r\n')) {
      const answer = feed(pieces);
      assert.deepEqual([answer.status, answer.contentLength, answer.done, answer.reusable], [404, 0, true, true]);
      assert.deepEqual(answer.messages, ['info: key: "/key" was not found by memcached']);
    }
    assert.equal(feed([Buffer.from('END\r\nEND\r\n')]).reusable, false);
  });

  it('flags tell of gzip', () => {
    const value = Buffer.from('VALUE /key 6 1\r\nx\r\nEND\r\n');
    assert.deepEqual(feed([value], { gzipFlag: 2 }).fields, ['Content-Encoding: gzip']);
    assert.deepEqual(feed([value], { gzipFlag: 1 }).fields, []);
    assert.deepEqual(feed([value]).fields, []);
  });

  it('HEAD does not read the value', () => {
    const answer = feed([Buffer.from('VALUE /key 0 100\r\nabc')], { headOnly: true });
    assert.deepEqual(
      [answer.status, answer.contentLength, answer.body, answer.done, answer.reusable],
      [200, 100, '', true, false],
    );
  });

  it('what is no answer to this key', () => {
    for (const [bytes, failure] of [
      ['VALUE /other 0 1\r\nx\r\nEND\r\n', 'key in response "VALUE /other 0 1" for key "/key"'],
      ['VALUE /keys 0 1\r\nx\r\nEND\r\n', 'response: "VALUE /keys 0 1"'],
      ['VALUE /key 0 x\r\nx\r\nEND\r\n', 'response: "VALUE /key 0 x"'],
      ['VALUE /key x 1\r\nx\r\nEND\r\n', 'flags in response "VALUE /key x 1" for key "/key"'],
      ['ERROR\r\n', 'response: "ERROR"'],
      ['END\n', 'response: "END\n"'],
    ] as const) {
      const answer = feed([Buffer.from(bytes)], { gzipFlag: 1 });
      assert.equal(
        answer.failure,
        `invalid: memcached sent invalid ${failure} while reading response header from upstream`,
      );
      assert.equal(answer.status, 0);
    }
  });

  it('a wrong trailer ends the answer and the connection', () => {
    for (const trailer of ['\r\nEND\n\n', 'xx\r\nEND', '\r\nEND\r\nmore']) {
      const answer = feed([Buffer.from(`VALUE /key 0 1\r\nx${trailer}`)]);
      assert.deepEqual([answer.body, answer.done, answer.reusable], ['x', true, false], trailer);
      assert.deepEqual(answer.messages, ['error: memcached sent invalid trailer while reading upstream']);
    }
  });

  it('a connection that ends early', () => {
    assert.match(feed([Buffer.from('VALUE /ke')], { ends: 'end' }).failure, /^error: upstream prematurely closed/);
    const cut = feed([Buffer.from('VALUE /key 0 10\r\nabc')], { ends: 'reset' });
    assert.deepEqual([cut.body, cut.done], ['abc', false]);
    assert.match(cut.failure, /^cut: recv\(\) failed/);
  });

  it('a line without end is bounded', () => {
    assert.match(feed([Buffer.alloc(200, 0x61)], { limit: 100 }).failure, /^invalid: upstream sent too big header/);
  });
});

it('a key stays one word', () => {
  assert.equal(escapeKey('/a b%c\r\nset x\0'), '/a%20b%25c%0D%0Aset%20x%00');
  assert.equal(escapeKey('/plain?x=1'), '/plain?x=1');
});
