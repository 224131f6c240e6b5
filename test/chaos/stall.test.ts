/**
 * The whole process stands still for a while, as on a machine that is short of time: what came meanwhile came in time,
 * and is looked at before anything is timed out.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '../helpers/client.ts';
import { Headrace } from '../helpers/headrace.ts';
import { until } from '../helpers/wait.ts';
import { ChaosBackend } from './backend.ts';
import { TIMEOUT_MS } from './scale.ts';

test('a stall longer than keepalive_timeout and proxy_read_timeout', { timeout: TIMEOUT_MS }, async (t) => {
  const backend = await ChaosBackend.start(t);
  const headrace = await Headrace.start(
    t,
    ({
      port,
    }) => `server { listen 127.0.0.1:${port('main')}; keepalive_timeout 1s; proxy_read_timeout 1s; proxy_send_timeout 1s; client_header_timeout 1s;
      location / { proxy_pass http://127.0.0.1:${backend.port}; } }`,
  );
  const request = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
  const idle = await Promise.all(Array.from({ length: 20 }, () => Client.connect(t, headrace.port('main'))));
  for (const client of idle) {
    await client.send(request);
    assert.equal((await client.response()).status, 200);
  }
  // Half of them have a request at the backend, whose answer comes while everything stands still.
  await backend.be('hang');
  const busy = await Promise.all(Array.from({ length: 10 }, () => Client.connect(t, headrace.port('main'))));
  const before = backend.requests;
  for (const client of busy) await client.send(request);
  await until('the requests to reach the backend', () => backend.requests === before + busy.length);

  headrace.signal('SIGSTOP');
  try {
    for (const client of idle) await client.send(request);
    await backend.be('good');
    backend.answerAll();
    await sleep(1500);
  } finally {
    headrace.signal('SIGCONT');
  }
  for (const client of [...busy, ...idle]) assert.equal((await client.response()).status, 200);
  for (const client of [...busy, ...idle]) client.socket.destroy();
  await headrace.stop();
});
