/** The example runs: a release by host, a list of who is locked out, and a trap; kept over a restart. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answering, Backend, ok } from '../helpers/backend.ts';
import { ask } from '../helpers/client.ts';
import { Example } from '../helpers/example.ts';
import { text } from '../helpers/http1.ts';

test('releases and a block list, changed through the API', async (t) => {
  const example = await Example.prepare(t, 'keyval');
  for (const [number, name] of [
    [8081, 'blue'],
    [8082, 'green'],
  ] as const) {
    await Backend.start(
      t,
      answering(() => ok(name)),
      { port: example.port(number) },
    );
  }
  await example.start();
  const change = async (zone: string, method: string, pair: object): Promise<number> => {
    const body = JSON.stringify(pair);
    return (await ask(t, example.port(8083), `/api/9/http/keyvals/${zone}`, { method, body })).status;
  };
  const release = async (host: string): Promise<string> => {
    const answer = await ask(t, example.port(8080), '/', { fields: [`Host: ${host}`] });
    return answer.status === 200 ? text(answer) : String(answer.status);
  };
  assert.equal(await release('shop.example.com'), 'blue');
  assert.equal(await change('releases', 'POST', { 'shop.example.com': 'green' }), 201);
  for (let i = 0; i < 8; i++) assert.equal(await release('shop.example.com'), 'green');
  assert.equal(await release('other.example.com'), 'blue');
  assert.equal(await change('releases', 'PATCH', { 'shop.example.com': 'http://elsewhere' }), 204);
  assert.equal(await release('shop.example.com'), 'blue', 'not a release');
  assert.equal(await change('releases', 'PATCH', { 'shop.example.com': 'green' }), 204);

  assert.equal(await change('blocked', 'POST', { '127.0.0.0/8': { value: '1', expire: 600_000 } }), 201);
  assert.equal(await release('shop.example.com'), '403');
  assert.equal(await change('blocked', 'PATCH', { '127.0.0.0/8': null }), 204);
  assert.equal(await release('shop.example.com'), 'green');

  assert.equal((await ask(t, example.port(8080), '/wp-login.php')).status, 404);
  assert.equal(await release('shop.example.com'), '403', 'whoever asks for that is locked out');

  await example.stop();
  await example.start();
  assert.equal(await release('shop.example.com'), '403', 'also after a restart');
  assert.equal(await change('blocked', 'DELETE', {}), 204);
  assert.equal(await release('shop.example.com'), 'green');
});
