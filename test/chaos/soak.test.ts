/** Many requests of many kinds: memory stays flat, and no descriptor is left behind. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { Headrace } from '../helpers/headrace.ts';
import { assertFlat, table } from '../helpers/heap.ts';
import type { Held } from '../helpers/heap.ts';
import { requiresThat } from '../helpers/requires.ts';
import { until } from '../helpers/wait.ts';
import { ChaosBackend } from './backend.ts';
import { load } from './load.ts';
import { LONG, TIMEOUT_MS, requests } from './scale.ts';

const MIB = 1024 * 1024;
const ROUNDS = 10;
/** The first rounds fill caches and make the heap what it will be. */
const WARM = 4;
/** Resident memory that later rounds of a short run may add: its heaps are still on their way to their full size. */
const SLACK_MIB = 160;
/** Bytes that a request of a long run may leave behind for good: far less than anything that is made for one. */
const MOST = 32;

test('soak: memory flat, no descriptor left', { timeout: TIMEOUT_MS }, async (t) => {
  if (!requiresThat(t, process.platform === 'linux', 'Linux (/proc)')) return;
  const backend = await ChaosBackend.start(t);
  const headrace = await Headrace.start(
    t,
    ({ port }) =>
      `keepalive_timeout 1s; log_format full '$remote_addr "$request" $status $upstream_addr $upstream_response_time';
       access_log access.log full;
       upstream u { zone u 64k; keepalive 16; keepalive_timeout 1s; server 127.0.0.1:${backend.port}; }
       upstream retried { keepalive_timeout 1s; server 127.0.0.1:${port('nobody')} max_fails=0; server 127.0.0.1:${backend.port}; }
       server { listen 127.0.0.1:${port('main')};
         location / { proxy_pass http://u; } location /retry { proxy_pass http://retried; }
         location /own { return 200 ok; } location /dead { error_page 502 =200 @own; proxy_pass http://127.0.0.1:${port('nobody')}; }
         location @own { return 200 ok; } }`,
    { workers: 2, logLevel: 'crit', measured: LONG },
  );
  const main = headrace.port('main');
  const descriptors = (): string[] => readdirSync(`/proc/${headrace.pid}/fd`);
  await load({ port: main, keepAlive: 4, closing: 4, requests: 400 });
  await until('idle connections to close', () => backend.open === 0);
  const before = descriptors().length;

  const total = requests(20_000, 5_000_000);
  const memory: number[] = [];
  const held: Held[] = [];
  let done = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const share = total / ROUNDS;
    const results = [
      await load({ port: main, keepAlive: 16, closing: 8, requests: share * 0.85 }),
      await load({ port: main, keepAlive: 4, closing: 4, requests: share * 0.05, path: '/retry' }),
      await load({ port: main, keepAlive: 4, closing: 4, requests: share * 0.05, path: '/own' }),
      await load({ port: main, keepAlive: 4, closing: 4, requests: share * 0.05, path: '/dead' }),
    ];
    for (const result of results) {
      assert.deepEqual(result.failures.slice(0, 5), []);
      done += result.done;
    }
    if (LONG) held.push(await headrace.held());
    memory.push(Math.round(headrace.memory() / MIB));
    // The log of millions of requests is nobody's: it is taken away and made anew.
    headrace.file('access.log', '');
  }
  t.diagnostic(`${done} requests; MiB after each tenth: ${memory.join(' ')}`);
  if (LONG) {
    t.diagnostic(table(held));
    assertFlat(held.slice(WARM - 1), total / ROUNDS, MOST);
  }
  const highest = Math.max(...memory.slice(0, WARM));
  assert.ok(LONG || Math.max(...memory.slice(WARM)) <= highest + SLACK_MIB, `memory grows: ${memory.join(' ')} MiB`);

  let after: string[] = [];
  await until(
    () => `${before} descriptors as before, not ${after.length}`,
    () => (after = descriptors()).length <= before,
  );
  t.diagnostic(`descriptors: ${before} before, ${after.length} after`);
});
