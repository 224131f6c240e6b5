/** examples/wordpress, with a real php-fpm. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { Example } from '../helpers/example.ts';
import { freePort } from '../helpers/ports.ts';
import { startProgram } from '../helpers/program.ts';
import { requires } from '../helpers/requires.ts';
import { until } from '../helpers/wait.ts';

function listening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.once('connect', () => (socket.destroy(), resolve(true)));
    socket.once('error', () => resolve(false));
  });
}

test('WordPress: files, the front page, path info, uploads, what is hidden', async (t) => {
  const php = requires(t, 'php-fpm8.2');
  if (php === null) return;
  const example = await Example.prepare(t, 'wordpress');
  const port = await freePort();
  for (const file of ['nginx.conf', 'php-fpm.conf'])
    example.edit(file, (conf) => conf.replace('127.0.0.1:9000', `127.0.0.1:${port}`));
  for (const name of ['.secret', 'plain.txt']) writeFileSync(join(example.dir, 'site', name), name);
  const args = ['-F', '-p', example.dir, '-y', join(example.dir, 'php-fpm.conf')];
  const fpm = startProgram(t, php, process.getuid?.() === 0 ? [...args, '-R'] : args);
  await until(
    () => `php-fpm:\n${fpm.text()}`,
    () => fpm.ended() || listening(port),
  );
  assert.equal(fpm.ended(), false, fpm.text());
  await example.start();

  const base = `http://127.0.0.1:${example.port(8080)}`;
  const get = async (path: string, init: RequestInit = {}): Promise<{ r: Response; text: string }> => {
    const r = await fetch(base + path, { redirect: 'manual', ...init });
    return { r, text: await r.text() };
  };

  const front = await get('/2024/hello?x=1', { headers: { 'User-Agent': 'tests' } });
  assert.equal(front.r.status, 200);
  assert.equal(front.r.headers.get('x-powered-by'), 'example');
  assert.equal(front.text, 'GET /2024/hello?x=1\npath info: \nquery: x=1\nagent: tests\n');
  assert.match((await get('/')).text, /^GET \/\n/);
  assert.match((await get('/index.php/2024/hello')).text, /path info: \/2024\/hello\n/);

  const posted = await get('/upload', { method: 'POST', body: 'x'.repeat(200_000) });
  assert.match(posted.text, /^POST \/upload\n[^]*body: 200000\n/);
  const chunked = new ReadableStream({
    start(controller) {
      for (let i = 0; i < 10; i++) controller.enqueue(new Uint8Array(1000));
      controller.close();
    },
  });
  const streamed = await get('/upload', { method: 'POST', body: chunked, duplex: 'half' } as RequestInit);
  assert.match(streamed.text, /body: 10000\n/);

  const head = await get('/', { method: 'HEAD' });
  assert.deepEqual([head.r.status, head.text], [200, '']);
  const moved = await get('/?go=1');
  assert.deepEqual([moved.r.status, moved.r.headers.get('location')], [302, '/elsewhere']);

  const style = await get('/style.css');
  assert.equal(style.r.headers.get('content-type'), 'text/css');
  assert.match(style.r.headers.get('cache-control') ?? '', /max-age=2592000/);
  assert.equal((await get('/plain.txt')).text, 'plain.txt');
  for (const path of ['/.secret', '/missing.css', '/missing.php', '/plain.txt/x.php', '/wp-content/uploads/x.php'])
    assert.equal((await get(path)).r.status, 404, path);
});
