/** A gibibyte through a tunnel of five connections arrives intact while one of them is cut every second. */
import assert from 'node:assert/strict';
import type { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { exchange, open, Relay, tcpTo, TunnelPair } from '../helpers/tunnel.ts';
import { until, within } from '../helpers/wait.ts';

const SIZE = 1024 * 1024 * 1024;

test('1 GiB over five connections, one cut every second', async (t) => {
  let received = 0;
  const hash = createHash('sha1');
  let done = '';
  const pair = await TunnelPair.start(t, (socket) => {
    socket.on('data', (chunk: Buffer) => {
      received += chunk.length;
      hash.update(chunk);
    });
    socket.on('end', () => {
      done = hash.digest('hex');
      socket.end();
    });
  });
  const relay = await Relay.start(t, pair.port);
  // Slow enough for several cuts, also on a fast machine.
  relay.rate = 48 * 1024 * 1024;
  const client = pair.newClient(tcpTo(relay.port), { startStreams: 5 });
  const result = exchange(await open(client), SIZE);
  await until('five serve it', () => relay.pairs.length === 5);
  let cuts = 0;
  let peak = 0;
  const timer = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage().arrayBuffers);
    if (relay.cut(cuts % Math.max(1, relay.pairs.length))) cuts++;
  }, 1000);
  t.after(() => clearInterval(timer));
  const { error, sentHash, links } = await within('all of it', result, 240_000);
  assert.equal(error, null);
  assert.equal(received, SIZE);
  assert.equal(done, sentHash);
  assert.ok(cuts >= 3, `${cuts} cuts`);
  assert.ok(links >= 5 + cuts - 1, `${links} connections served it, with ${cuts} cuts`);
  assert.ok(peak < 256 * 1024 * 1024, `${peak} bytes of buffers`);
  t.diagnostic(`${cuts} cuts, ${links} connections, at most ${Math.round(peak / 1e6)} MB of buffers`);
});
