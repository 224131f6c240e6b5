/** examples/memcached, with a real memcached. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import net from 'node:net';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { Example } from '../helpers/example.ts';
import { freePort } from '../helpers/ports.ts';
import { startProgram } from '../helpers/program.ts';
import { requires } from '../helpers/requires.ts';
import { until } from '../helpers/wait.ts';

/** Sends a command to memcached; out: its answer, or null when nobody listens. */
function command(port: number, bytes: Buffer | string): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(bytes));
    socket.once('data', (data) => (socket.destroy(), resolve(data.toString())));
    socket.once('error', () => resolve(null));
  });
}

const set = (key: string, flags: number, value: Buffer): Buffer =>
  Buffer.concat([Buffer.from(`set ${key} ${flags} 0 ${value.length}\r\n`), value, Buffer.from('\r\n')]);

test('memcached in front of an application', async (t) => {
  const memcached = requires(t, 'memcached');
  if (memcached === null) return;
  const example = await Example.prepare(t, 'memcached');
  const port = await freePort();
  example.edit('nginx.conf', (conf) => conf.replace('127.0.0.1:11211', `127.0.0.1:${port}`));
  const app = createServer((request, response) => {
    request.resume().once('end', () => response.end(`${request.method} ${request.url} from the application`));
  });
  await new Promise<void>((resolve) => app.listen(example.port(8081), '127.0.0.1', resolve));
  t.after(() => (app.closeAllConnections(), app.close()));
  const user = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
  const cache = startProgram(t, memcached, ['-l', '127.0.0.1', '-p', String(port), '-U', '0', ...user]);
  await until(
    () => `memcached:\n${cache.text()}`,
    async () => (await command(port, 'version\r\n')) !== null,
  );
  await example.start();
  const get = (path: string, init: RequestInit = {}): Promise<Response> =>
    fetch(`http://127.0.0.1:${example.port(8080)}${path}`, init);

  assert.equal(await (await get('/page?a=1')).text(), 'GET /page?a=1 from the application');
  const page = Buffer.from('<p>from the cache</p>\r\n'.repeat(5000));
  assert.equal(await command(port, set('page:/page?a=1', 0, page)), 'STORED\r\n');
  const cached = await get('/page?a=1');
  assert.equal(cached.headers.get('content-type'), 'text/html');
  assert.equal(cached.headers.get('content-length'), String(page.length));
  assert.equal(await cached.text(), page.toString());

  await command(port, set('page:/zipped?', 2, gzipSync('it was compressed')));
  const zipped = await get('/zipped');
  assert.equal(zipped.headers.get('content-encoding'), 'gzip');
  assert.equal(await zipped.text(), 'it was compressed');

  const head = await get('/page?a=1', { method: 'HEAD' });
  assert.equal(head.headers.get('content-length'), String(page.length));
  const posted = await get('/page?a=1', { method: 'POST', body: 'x=1' });
  assert.equal(await posted.text(), 'POST /page?a=1 from the application');
  assert.match(example.read('access.log'), /"GET \/page\?a=1 HTTP\/1.1" 200 upstream=\S+ : \S+ status=404 : 200/);

  // The cache is away: nobody notices.
  await cache.stop();
  for (let i = 0; i < 3; i++) assert.equal(await (await get('/page?a=1')).text(), 'GET /page?a=1 from the application');
});
