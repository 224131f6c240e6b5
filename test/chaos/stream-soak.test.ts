/**
 * TCP sessions, many at once, that end in every way there is: none of them, no descriptor and no memory may be left
 * behind. 10,000 at once with HEADRACE_CHAOS=long, or as many as the limit of descriptors allows.
 */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Headrace } from '../helpers/headrace.ts';
import { requiresThat } from '../helpers/requires.ts';
import { Caller } from '../helpers/stream.ts';
import { until } from '../helpers/wait.ts';
import { LONG, TIMEOUT_MS } from './scale.ts';

const ROUNDS = LONG ? 4 : 2;
/** Connections that are being opened at one time. */
const OPENING = 200;
const PATIENCE_MS = LONG ? 600_000 : 90_000;
/** What later rounds may add: the noise of a heap. A leaked session would cost some 20 KB. */
const SLACK_BYTES = LONG ? 64e6 : 40e6;

/** A session takes two descriptors of the program; some are for other things. */
function mostSessions(): number {
  const limit = /Max open files +(\d+)/.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1] ?? '1024';
  return Math.floor((Number(limit) - 300) / 2);
}

test('sessions at once, with half-closes and resets, leave nothing behind', { timeout: TIMEOUT_MS }, async (t) => {
  if (!requiresThat(t, process.platform === 'linux', 'Linux (/proc)')) return;
  const sessions = Math.min(LONG ? 10_000 : 400, mostSessions());
  const server = fork(join(import.meta.dirname, 'fixtures/echo.ts'));
  t.after(() => server.kill());
  const [port] = (await once(server, 'message')) as [number];
  const h = await Headrace.start(t, () => '', {
    workers: 2,
    logLevel: 'error',
    stream: ({ port: name }) => `
      upstream u { zone u 64k; server 127.0.0.1:${port} max_conns=${sessions}; }
      server { listen 127.0.0.1:${name('in')}; proxy_pass u; proxy_half_close on; }`,
  });
  const idle = h.descriptors();
  const sizes: number[] = [];

  for (let round = 0; round < ROUNDS; round++) {
    const callers: Caller[] = [];
    for (let i = 0; i < sessions; i += OPENING) {
      const wave = Array.from({ length: Math.min(OPENING, sessions - i) }, () => Caller.to(t, h.port('in')));
      callers.push(...(await Promise.all(wave)));
    }
    for (const [i, caller] of callers.entries()) caller.send(`s${i}`);
    await until(
      () => `all answers; ${callers.filter((caller) => caller.bytes.length === 0).length} are missing`,
      () => callers.every((caller) => caller.bytes.length > 0),
      PATIENCE_MS,
    );
    assert.ok(h.descriptors() >= idle + 2 * sessions, 'all sessions are there at once');

    for (const [i, caller] of callers.entries()) {
      if (i % 4 === 0) caller.socket.end();
      else if (i % 4 === 1) caller.socket.resetAndDestroy();
      else if (i % 4 === 2) caller.send('reset');
      else {
        caller.send('end');
        caller.socket.end();
      }
    }
    await until(
      () => `all ends; ${callers.filter((caller) => !caller.ended).length} clients wait`,
      () => callers.every((caller) => caller.ended),
      PATIENCE_MS,
    );
    for (const [i, caller] of callers.entries()) {
      if (i % 4 === 0) assert.equal(caller.text, `s${i}bye`, 'what a half-closed client is owed');
      caller.socket.destroy();
    }
    await until(
      () => `descriptors: ${h.descriptors()}, before there were ${idle}`,
      () => h.descriptors() <= idle + 4,
      PATIENCE_MS,
    );
    sizes.push(h.memory());
  }

  t.diagnostic(`${sessions} sessions at once; memory after each round: ${sizes.map((n) => n >> 20).join(', ')} MiB`);
  const growth = sizes.at(-1)! - sizes[0]!;
  assert.ok(growth < SLACK_BYTES, `grew by ${growth} bytes: ${sizes.join(', ')}`);
  // A slot that was not given back would be refused; a session that is left would hold up a graceful end.
  const last = await Caller.to(t, h.port('in'));
  last.send('last');
  await last.says('last');
  last.socket.destroy();
  h.signal('SIGQUIT');
  await until('the graceful end', () => !h.running);
  assert.deepEqual(
    h.lines('[error]').filter((line) => !line.includes('Connection reset by peer')),
    [],
  );
});
