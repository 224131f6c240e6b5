/** examples/kong/walk-through.sh does what it says. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
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
  const env = { ...process.env, ADMIN: `http://127.0.0.1:${kong.port}` };
  const { stdout, stderr } = await promisify(execFile)(SCRIPT, [], { env });
  assert.equal(stderr, '');
  const answers = stdout.split('\n').filter((line) => line.startsWith('{'));
  const read = answers.map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.deepEqual(
    read.map((answer) => answer.name ?? answer.target ?? (Array.isArray(answer.data) ? answer.data.length : null)),
    ['shop.internal', '127.0.0.1:9001', '127.0.0.1:9002', 'shop', 'shop', 'schema violation', 'shop.internal']
      .concat(['127.0.0.1:9002', '127.0.0.1:9002'])
      .concat([1, 1] as never[]),
  );
  for (const kind of ['upstreams', 'services', 'routes']) {
    assert.deepEqual((await kong.send('GET', `/${kind}`)).json, { data: [], next: null });
  }
});
