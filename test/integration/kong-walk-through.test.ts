/** examples/kong/walk-through.sh does what it says. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { test } from 'node:test';
import { directory } from '../helpers/headrace.ts';
import { KongProcess } from '../helpers/kong.ts';
import { requires } from '../helpers/requires.ts';

const SCRIPT = fileURLToPath(new URL('../../examples/kong/walk-through.sh', import.meta.url));

test('the walk through the Admin API', async (t) => {
  if (requires(t, 'curl') === null) return;
  const kong = await KongProcess.start(t, directory(t));
  const servers: string[] = [];
  for (let i = 0; i < 2; i++) {
    const server = createServer((req, res) => res.end(`{"name":"${req.url}"}\n`));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => {
      server.closeAllConnections();
      server.close();
    });
    servers.push(`127.0.0.1:${(server.address() as AddressInfo).port}`);
  }
  const [ONE, TWO] = servers as [string, string];
  const [ADMIN, PROXY] = [`http://127.0.0.1:${kong.port}`, `http://127.0.0.1:${kong.proxyPort}`];
  const env = { ...process.env, ADMIN, PROXY, ONE, TWO };
  const { stdout, stderr } = await promisify(execFile)(SCRIPT, [], { env });
  assert.equal(stderr, '');
  const answers = stdout.split('\n').filter((line) => line.startsWith('{') && !line.includes('no Route matched'));
  const read = answers.map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.deepEqual(
    read.map((answer) => answer.name ?? answer.target ?? (Array.isArray(answer.data) ? answer.data.length : null)),
    ['shop.internal', ONE, TWO, 'shop', 'shop', '/basket', 'schema violation', 'shop.internal', 2, TWO, TWO, 1, 1],
  );
  assert.match(stdout, /^status 503, reason: all targets unhealthy$/m);
  for (const kind of ['upstreams', 'services', 'routes']) {
    assert.deepEqual((await kong.send('GET', `/${kind}`)).json, { data: [], next: null });
  }
});
