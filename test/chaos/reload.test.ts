/** Reloads every 200 ms under full load: nothing is refused, reset or lost. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Headrace } from '../helpers/headrace.ts';
import { ChaosBackend } from './backend.ts';
import { load } from './load.ts';
import { TIMEOUT_MS, requests } from './scale.ts';

const EVERY_MS = 200;

for (const workers of [1, 2]) {
  test(`a reload every ${EVERY_MS} ms, ${workers} workers`, { timeout: TIMEOUT_MS }, async (t) => {
    const backend = await ChaosBackend.start(t);
    let generation = 0;
    const http = ({ port }: { port: (name: string) => number }): string =>
      // The configurations differ, so that a reload is not for nothing.
      `upstream u { zone u 64k; server 127.0.0.1:${backend.port}; server 127.0.0.1:${backend.port} weight=${(generation % 3) + 1}; }
       server { listen 127.0.0.1:${port('main')}; add_header X-Generation ${generation} always;
         location / { proxy_pass http://u; } }`;
    const headrace = await Headrace.start(t, http, { workers, logLevel: 'notice' });
    const timer = setInterval(() => {
      generation++;
      headrace.configure(http);
      headrace.signal('SIGHUP');
    }, EVERY_MS);
    t.after(() => clearInterval(timer));
    const result = await load({
      port: headrace.port('main'),
      keepAlive: 8,
      closing: 8,
      requests: requests(6000, 250_000),
    });
    clearInterval(timer);
    const reloads = headrace.lines('#0: reconfiguring').length;
    t.diagnostic(
      `${result.done} requests in ${result.seconds.toFixed(1)} s, ${reloads} reloads, ${result.connections} connections`,
    );
    assert.deepEqual(result.failures, []);
    assert.ok(reloads >= 2, `only ${reloads} reloads`);
    for (const level of ['[alert]', '[emerg]', '[crit]', '[error]']) assert.deepEqual(headrace.lines(level), []);
  });
}
