import assert from 'node:assert/strict';
import test from 'node:test';
import * as engine from '../../../src/http/engine.ts';
import { Site } from '../variables/site.ts';

const TEXT = 'x'.repeat(3000);

/** Sends a text at a rate; tells how long it took. */
async function timed(site: Site, target: string): Promise<{ body: string; ms: number; pieces: number }> {
  const begun = performance.now();
  const answer = await site.ask(target);
  return { body: answer.body, ms: performance.now() - begun, pieces: answer.pieces.filter((p) => p.length > 0).length };
}

test('a rate holds bytes back, and loses none', async () => {
  const site = await Site.server(`location / { limit_rate 2k; return 200 ${TEXT}; }`);
  const { body, ms, pieces } = await timed(site, '/');
  assert.equal(body, TEXT);
  // 2048 bytes at once, the others a second later (a part of one, when the wall clock turns soon).
  assert.ok(pieces >= 2);
  assert.ok(ms > 400 && ms < 2500, `${ms}`);
});

test('limit_rate_after lets the first bytes through', async () => {
  const site = await Site.server(`location / { limit_rate $arg_l; limit_rate_after $arg_a; return 200 ${TEXT}; }`);
  for (const target of ['/?l=1k&a=10k', '/', '/?l=0', '/?l=junk']) {
    const { body, ms } = await timed(site, target);
    assert.equal(body, TEXT);
    assert.ok(ms < 300, `${target}: ${ms}`);
  }
});

test('files, and clients that take their time', async () => {
  const site = await Site.server('root /; location / { limit_rate 40k; }');
  const { r, channel } = site.request(process.execPath.length > 0 ? import.meta.filename : '/', { holds: 2 });
  engine.start(r);
  await channel.done();
  assert.equal(channel.body.length, channel.contentLength);
});

test('set $limit_rate paces where the location does not', async () => {
  const site = await Site.server(`location / { set $limit_rate 2k; return 200 ${TEXT}; }`);
  assert.ok((await timed(site, '/')).pieces >= 2);
});

test('a client that leaves while bytes are held back stops the timer and the producer', async () => {
  const site = await Site.server('root /; location / { limit_rate 100; }');
  const { r, channel } = site.request(import.meta.filename);
  engine.start(r);
  const { producer } = r;
  assert.notEqual(producer, null);
  r.producer = null;
  producer!.onAbort(r);
  r.clearAnswer();
  const sent = channel.pieces.length;
  await new Promise((resolve) => setTimeout(resolve, 1300));
  assert.equal(channel.pieces.length, sent);
});
