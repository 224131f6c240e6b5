/** A disk that is full: logs and temporary files cannot be written, traffic goes on. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmdirSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { answering, Backend, ok } from '../helpers/backend.ts';
import { ask, Client } from '../helpers/client.ts';
import { Headrace } from '../helpers/headrace.ts';
import { field } from '../helpers/http1.ts';
import { requires, requiresThat } from '../helpers/requires.ts';
import { until } from '../helpers/wait.ts';
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

const SMALL = 'small answer '.repeat(100);
const LARGE = Buffer.alloc(4 << 20, 'a large answer ');

/** A cache and the temporary files of answers in a directory, in front of a server with small and large answers. */
class FullCache {
  readonly headrace: Headrace;
  readonly #t: TestContext;
  readonly #dir: string;

  private constructor(t: TestContext, headrace: Headrace, dir: string) {
    this.#t = t;
    this.headrace = headrace;
    this.#dir = dir;
  }

  static async start(t: TestContext, dir: string): Promise<FullCache> {
    const backend = await Backend.start(
      t,
      answering((request) => ok(request.target.includes('large') ? LARGE : SMALL, ['Content-Type: text/plain'])),
    );
    const headrace = await Headrace.start(
      t,
      ({
        port,
      }) => `proxy_cache_path ${dir}/cache keys_zone=c:1m; proxy_temp_path ${dir}/temp; proxy_buffers 4 32k; proxy_buffer_size 4k;
        server { listen 127.0.0.1:${port('main')}; proxy_store_access user:rw;
          location /cached/ { proxy_cache c; proxy_cache_valid 1h; proxy_pass http://127.0.0.1:${backend.port}; add_header X-Cache $upstream_cache_status; }
          location /stored/ { proxy_store ${dir}/stored$uri; proxy_pass http://127.0.0.1:${backend.port}; }
          location / { proxy_pass http://127.0.0.1:${backend.port}; } }`,
      { workers: 2 },
    );
    return new FullCache(t, headrace, dir);
  }

  /** Asks; out: how the cache has answered. The content must be whole whatever became of the file. */
  async get(path: string): Promise<string> {
    const answer = await ask(this.#t, this.headrace.port('main'), path);
    assert.equal(answer.status, 200);
    assert.ok(
      answer.body.equals(path.includes('large') ? LARGE : Buffer.from(SMALL)),
      `${path}: ${answer.body.length} bytes`,
    );
    return field(answer, 'X-Cache') ?? '-';
  }

  /** A client that takes nothing until the temporary file for it has failed, then all. */
  async slowClient(failure: string): Promise<void> {
    const client = await Client.connect(this.#t, this.headrace.port('main'));
    client.socket.pause();
    await client.send('GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    await this.headrace.logged(failure);
    client.socket.resume();
    const { body } = await client.response();
    assert.ok(body.equals(LARGE), `${body.length} bytes`);
    client.socket.destroy();
  }

  /** What was not to be left: temporary files, and files of answers that are not whole. */
  left(...dirs: string[]): string[] {
    return dirs.flatMap((dir) =>
      existsSync(join(this.#dir, dir))
        ? readdirSync(join(this.#dir, dir), { recursive: true, withFileTypes: true })
            .filter((entry) => entry.isFile())
            .map(({ name }) => name)
        : [],
    );
  }
}

test('a cache, stored answers and their temporary files on a full disk', { timeout: TIMEOUT_MS }, async (t) => {
  const disk = mkdtempSync(join(tmpdir(), 'headrace-disk-'));
  const release = smallDisk(disk, '1m');
  t.after(() => {
    release?.();
    rmdirSync(disk);
  });
  if (release === null) return t.skip('cannot mount a tmpfs (needs the superuser, and a system that lets it)');
  const cache = await FullCache.start(t, disk);
  for (const dir of ['cache', 'temp', 'stored']) mkdirSync(join(disk, dir), { recursive: true });
  const filler = join(disk, 'filler');
  fill(filler);
  // Neither small nor large answers can be kept, and clients notice nothing of that.
  for (let i = 0; i < 3; i++) {
    for (const path of ['/cached/small', '/cached/large']) assert.equal(await cache.get(path), 'MISS');
    for (const path of ['/stored/small', '/stored/large']) assert.equal(await cache.get(path), '-');
  }
  await cache.slowClient('No space left on device');
  assert.deepEqual(cache.left('cache', 'temp', 'stored'), []);
  assert.deepEqual(cache.headrace.lines('[emerg]'), []);
  // As soon as there is room again answers are kept; one that is larger than the room is not, and takes none of it.
  rmSync(filler);
  assert.equal(await cache.get('/cached/large'), 'MISS');
  assert.equal(await cache.get('/cached/small'), 'MISS');
  assert.equal(await cache.get('/cached/small'), 'HIT');
  assert.equal(await cache.get('/cached/large'), 'MISS');
  await cache.get('/stored/small');
  await until('the files', () => cache.left('stored').length === 1 && cache.left('temp').length === 0);
  assert.equal(cache.left('cache').length, 1);
});

test('files may not grow beyond a limit of the system (EFBIG)', { timeout: TIMEOUT_MS }, async (t) => {
  const prlimit = requires(t, 'prlimit');
  if (prlimit === null) return;
  const dir = mkdtempSync(join(tmpdir(), 'headrace-limit-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const cache = await FullCache.start(t, dir);
  execFileSync(prlimit, [`--fsize=${256 << 10}`, '--pid', String(cache.headrace.pid)]);
  for (let i = 0; i < 3; i++) assert.equal(await cache.get('/cached/large'), 'MISS');
  await cache.get('/stored/large');
  await cache.slowClient('File too large');
  assert.equal(await cache.get('/cached/small'), 'MISS');
  assert.equal(await cache.get('/cached/small'), 'HIT');
  await until('temporary files to go', () => cache.left('temp').length === 0);
  assert.deepEqual([cache.left('cache').length, cache.left('stored').length], [1, 0]);
});
