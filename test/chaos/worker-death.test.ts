/** A worker thread that dies in the middle of traffic: the others lose nothing, and it is back within a second. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ask, Client } from '../helpers/client.ts';
import { Headrace, directory } from '../helpers/headrace.ts';
import { text } from '../helpers/http1.ts';
import { until } from '../helpers/wait.ts';
import { ChaosBackend } from './backend.ts';
import { load } from './load.ts';
import { LONG, TIMEOUT_MS } from './scale.ts';

const MORTAL = new URL('fixtures/mortal.ts', import.meta.url).href;
/** Within a second on a machine that does nothing else; the short form may run beside everything else. */
const BACK_MS = LONG ? 1000 : 15_000;

/** How many sockets listen on a port of 127.0.0.1. */
function listeners(port: number): number {
  const address = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')} 00000000:0000 0A`;
  return readFileSync('/proc/net/tcp', 'utf8').split(address).length - 1;
}

test('a worker thread dies in mid traffic', { timeout: TIMEOUT_MS }, async (t) => {
  const backend = await ChaosBackend.start(t);
  const orders = directory(t);
  const headrace = await Headrace.start(
    t,
    ({ port }) =>
      `upstream u { zone u 64k; server 127.0.0.1:${backend.port} max_conns=1000; }
       keyval_zone zone=pairs:64k;
       keyval key $pair zone=pairs;
       server {
         listen 127.0.0.1:${port('main')};
         add_header X-Worker $pid;
         location / { proxy_pass http://u; }
         location /set { set $pair $arg_value; return 204; }
         location /get { return 200 "[$pair]"; }
       }`,
    { workers: 2, logLevel: 'notice', env: { NODE_OPTIONS: `--import ${MORTAL}`, HEADRACE_TEST_MORTAL: orders } },
  );
  const port = headrace.port('main');
  await ask(t, port, '/set?value=before');

  // Which worker has a connection shows when one dies: clients on the other one must not notice anything.
  const clients = await Promise.all(
    Array.from({ length: 32 }, async () => {
      const client = await Client.connect(t, port);
      const state = { client, answers: 0, lost: false };
      void (async () => {
        try {
          while (!client.ended) {
            await client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
            await client.response();
            state.answers++;
            await sleep(5);
          }
        } catch {
          // Its worker is gone.
        }
        state.lost = true;
      })();
      return state;
    }),
  );
  await until('traffic on all connections', () => clients.every(({ answers }) => answers > 3));

  const order = join(orders, '0');
  const started = headrace.lines('start worker process ').length;
  const begun = performance.now();
  writeFileSync(order, '');
  await until('the worker to die', () => !existsSync(order));
  await until('its successor', () => headrace.lines('start worker process ').length > started);
  const back = performance.now() - begun;
  t.diagnostic(`back after ${back.toFixed(0)} ms`);
  assert.ok(back < BACK_MS, `back after ${back} ms`);

  const marks = clients.map(({ answers }) => answers);
  await until('the others to go on', () => clients.every(({ answers, lost }, i) => lost || answers > marks[i]! + 10));
  const survivors = clients.filter(({ lost }) => !lost);
  assert.ok(
    survivors.length > 0 && survivors.length < clients.length,
    `${survivors.length} of ${clients.length} survive`,
  );
  assert.equal(headrace.lines('exited on fatal error: Error: killed by the test').length, 1);

  // Pairs of keyval_zone are nobody's own; the new worker reads and writes them as the others do.
  for (const value of ['before', 'after', 'again']) {
    const answers = await Promise.all(Array.from({ length: 16 }, () => ask(t, port, '/get')));
    assert.deepEqual(new Set(answers.map(text)), new Set([`[${value}]`]));
    await ask(t, port, `/set?value=${value === 'before' ? 'after' : 'again'}`);
  }

  // New connections find both again, and what the dead one held of max_conns was given back.
  const result = await load({ port, keepAlive: 8, closing: 8, requests: 2000 });
  assert.deepEqual(result.failures, []);
  for (const { client } of survivors) client.socket.destroy();
});

test('worker threads die again and again', { timeout: TIMEOUT_MS }, async (t) => {
  const backend = await ChaosBackend.start(t);
  const orders = directory(t);
  const headrace = await Headrace.start(
    t,
    ({ port }) => `upstream u { zone u 64k; server 127.0.0.1:${backend.port} max_conns=40; }
       server { listen 127.0.0.1:${port('main')}; location / { proxy_pass http://u; } }`,
    { workers: 2, env: { NODE_OPTIONS: `--import ${MORTAL}`, HEADRACE_TEST_MORTAL: orders } },
  );
  const port = headrace.port('main');
  let over = false;
  t.after(() => void (over = true));
  const traffic = load({ port, keepAlive: 4, closing: 4, requests: 1e9, stop: () => over });
  for (const worker of [0, 1, 0]) {
    const deaths = headrace.lines('killed by the test').length;
    const starts = headrace.lines('start worker process ').length;
    writeFileSync(join(orders, String(worker)), '');
    await until('death', () => headrace.lines('killed by the test').length > deaths);
    await until('successor', () => headrace.lines('start worker process ').length > starts);
    // Started is not listening yet: were the other one killed now, nobody would listen.
    await until('both to listen', () => listeners(port) === 2);
  }
  over = true;
  const { done, failures } = await traffic;
  t.diagnostic(`${done} requests, ${failures.length} lost with their workers`);
  // At each death, at most what was under way in the thread and what waited in its queue for being accepted: twice a client.
  assert.ok(failures.length <= 3 * 2 * 8, `${failures.length}: ${failures.slice(0, 5).join('\n')}`);
  const after = await load({ port, keepAlive: 8, closing: 8, requests: 1000 });
  assert.deepEqual(after.failures, []);
});
