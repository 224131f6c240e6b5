/** A disk that is full: logs and temporary files cannot be written, traffic goes on. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, readdirSync, rmdirSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Client } from '../helpers/client.ts';
import { Headrace } from '../helpers/headrace.ts';
import { requiresThat } from '../helpers/requires.ts';
import { ChaosBackend } from './backend.ts';
import { load } from './load.ts';
import { TIMEOUT_MS } from './scale.ts';

test('an access log on a full device', { timeout: TIMEOUT_MS }, async (t) => {
  if (!requiresThat(t, existsSync('/dev/full'), '/dev/full')) return;
  const backend = await ChaosBackend.start(t);
  const headrace = await Headrace.start(
    t,
    ({ port }) =>
      `access_log /dev/full combined; server { listen 127.0.0.1:${port('main')}; location / { proxy_pass http://127.0.0.1:${backend.port}; } }`,
    { workers: 2 },
  );
  const result = await load({ port: headrace.port('main'), keepAlive: 4, closing: 4, requests: 2000 });
  assert.deepEqual(result.failures, []);
  const complaints = (await headrace.logged('No space left on device'))
    .split('\n')
    .filter((line) => line.includes('No space left'));
  // Told, but not once a request.
  assert.ok(complaints.length < 200, `${complaints.length} complaints`);
});

/** A small disk on an empty directory; what it gives back takes it away. Null: this system does not let us. */
function smallDisk(dir: string, size: string): (() => void) | null {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', dir], { stdio: 'ignore' });
  } catch {
    return null;
  }
  return () => execFileSync('umount', ['-l', dir]);
}

/** Writes until nothing more goes in. */
function fill(file: string): void {
  const descriptor = openSync(file, 'w');
  try {
    for (;;) writeSync(descriptor, 'x'.repeat(4096));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  } finally {
    closeSync(descriptor);
  }
}

test('temporary files and a log on a full disk', { timeout: TIMEOUT_MS }, async (t) => {
  const disk = mkdtempSync(join(tmpdir(), 'headrace-disk-'));
  const release = smallDisk(disk, '256k');
  // Before any hook: those of `t` run in the order in which they were made.
  t.after(() => {
    release?.();
    rmdirSync(disk);
  });
  if (release === null) return t.skip('cannot mount a tmpfs (needs the superuser, and a system that lets it)');
  const backend = await ChaosBackend.start(t);
  const headrace = await Headrace.start(
    t,
    ({ port }) => `access_log ${join(disk, 'access.log')} combined;
      server { listen 127.0.0.1:${port('main')}; client_max_body_size 0; client_body_buffer_size 8k; client_body_temp_path ${join(disk, 'bodies')};
        location / { proxy_pass http://127.0.0.1:${backend.port}; } location /own { return 200 ok; } }`,
  );
  const port = headrace.port('main');
  // Longer than the disk is large: the request fails, and nothing else does.
  const body = 'x'.repeat(1024 * 1024);
  for (let i = 0; i < 3; i++) {
    const client = await Client.connect(t, port);
    await client.send(
      `POST /upload HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    const answer = await client.response();
    assert.equal(answer.status, 500);
    client.socket.destroy();
  }
  fill(join(disk, 'filler'));
  const result = await load({ port, keepAlive: 4, closing: 4, requests: 3000 });
  assert.deepEqual(result.failures, []);
  await headrace.logged('No space left on device');
  const left = readdirSync(join(disk, 'bodies'), { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  assert.deepEqual(
    left.map(({ name }) => name),
    [],
    'temporary files are left behind',
  );
});
