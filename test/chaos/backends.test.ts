/** Backends that die, hang, reset and answer garbage in mid traffic: what can be answered by another one is. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Headrace } from '../helpers/headrace.ts';
import { until } from '../helpers/wait.ts';
import { ChaosBackend } from './backend.ts';
import type { Mood } from './backend.ts';
import { load } from './load.ts';
import { TIMEOUT_MS, requests } from './scale.ts';

/** The ways to fail before a head was accepted: nothing is lost, another server answers. */
const RECOVERABLE: Mood[] = ['closed', 'reset', 'garbage', 'cut-head', 'hang'];

test('one of three backends changes its mood all the time', { timeout: TIMEOUT_MS }, async (t) => {
  const [bad, ...good] = await Promise.all([ChaosBackend.start(t), ChaosBackend.start(t), ChaosBackend.start(t)]);
  const headrace = await Headrace.start(
    t,
    ({ port }) =>
      `upstream u { zone u 64k; server 127.0.0.1:${bad!.port} max_fails=0; ${good.map((b) => `server 127.0.0.1:${b.port} max_fails=0;`).join(' ')} }
       server { listen 127.0.0.1:${port('main')}; proxy_read_timeout 1s; proxy_connect_timeout 5s;
         proxy_next_upstream error timeout invalid_header; location / { proxy_pass http://u; } }`,
    { workers: 2, logLevel: 'error' },
  );
  let over = false;
  const traffic = load({
    port: headrace.port('main'),
    keepAlive: 8,
    closing: 8,
    requests: requests(4000, 100_000),
    // The moods are all to be seen, however fast the machine is.
    stop: () => false,
  }).finally(() => (over = true));
  const seen = new Set<Mood>();
  for (let i = 0; !over || seen.size < RECOVERABLE.length; i++) {
    const mood = RECOVERABLE[i % RECOVERABLE.length]!;
    await bad!.be(mood);
    seen.add(mood);
    await sleep(50);
    await bad!.be('good');
    await sleep(10);
  }
  const { done, failures } = await traffic;
  t.diagnostic(`${done} requests, moods: ${[...seen].join(' ')}`);
  assert.deepEqual(failures.slice(0, 5), []);
  assert.equal(headrace.lines('[alert]').length, 0);
  await bad!.be('good');
  const after = await load({ port: headrace.port('main'), keepAlive: 4, requests: 300 });
  assert.deepEqual(after.failures, []);
});

test(
  'an answer that is cut in its body is cut for the client too, and never passed off as whole',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const backend = await ChaosBackend.start(t);
    const headrace = await Headrace.start(
      t,
      ({ port }) =>
        `server { listen 127.0.0.1:${port('main')}; location / { proxy_pass http://127.0.0.1:${backend.port}; } }`,
      { logLevel: 'error' },
    );
    await backend.be('cut-body');
    const cut = await load({ port: headrace.port('main'), keepAlive: 2, closing: 2, requests: 40 });
    assert.equal(cut.done, 0);
    const other = cut.failures.filter((text) => !/^(closed without answer|ECONNRESET)/.test(text));
    assert.deepEqual(other, []);
    await backend.be('good');
    const after = await load({ port: headrace.port('main'), keepAlive: 2, closing: 2, requests: 100 });
    assert.deepEqual(after.failures, []);
  },
);

test('all backends die and come back', { timeout: TIMEOUT_MS }, async (t) => {
  const backends = await Promise.all([ChaosBackend.start(t), ChaosBackend.start(t)]);
  const headrace = await Headrace.start(
    t,
    ({ port }) =>
      `upstream u { ${backends.map((b) => `server 127.0.0.1:${b.port} fail_timeout=1s;`).join(' ')} }
       server { listen 127.0.0.1:${port('main')}; location / { proxy_pass http://u; } }`,
    { logLevel: 'crit' },
  );
  const port = headrace.port('main');
  for (const backend of backends) await backend.be('closed');
  const dead = await load({ port, keepAlive: 2, closing: 2, requests: 200, good: (status) => status === 502 });
  assert.deepEqual(dead.failures, []);
  for (const backend of backends) await backend.be('good');
  await until('answers again', async () => (await load({ port, closing: 1, requests: 1 })).done === 1);
  await until('both to be used', async () => {
    await load({ port, closing: 1, requests: 4 });
    return backends.every(({ requests: count }) => count > 0);
  });
});
