/**
 * TCP sessions, many at once, that end in every way there is: none of them, no descriptor and no memory may be left
 * behind. 10,000 at once with HEADRACE_CHAOS=long, or as many as the limit of descriptors allows.
 *
 * What is compared is what the program holds after collecting garbage: resident memory went from 290 to 470 MiB and back to
 * 370 in 14 long rounds, with libuv as with io_uring, while what was reachable stayed the same to 100 KB.
 */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Headrace } from '../helpers/headrace.ts';
import { assertFlat, table } from '../helpers/heap.ts';
import type { Held } from '../helpers/heap.ts';
import { requiresThat } from '../helpers/requires.ts';
import { Caller } from '../helpers/stream.ts';
import { until } from '../helpers/wait.ts';
import { LONG, TIMEOUT_MS } from './scale.ts';

const ROUNDS = 6;
/** The first rounds load, compile and fill what is kept. */
const WARM = 2;
/** Connections that are being opened at one time. */
const OPENING = 200;
const PATIENCE_MS = LONG ? 600_000 : 90_000;

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
    measured: true,
    stream: ({ port: name }) => `
      upstream u { zone u 64k; server 127.0.0.1:${port} max_conns=${sessions}; }
      server { listen 127.0.0.1:${name('in')}; proxy_pass u; proxy_half_close on; }`,
  });
  const idle = h.descriptors();
  const rounds: Held[] = [];
  const resident: number[] = [];

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
    rounds.push(await h.held());
    resident.push(h.memory());
  }

  t.diagnostic(`${sessions} sessions at once; after each round: ${table(rounds, resident)}`);
  assertFlat(rounds.slice(WARM - 1), sessions);
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
