/** The example runs: who may come in, what services are told, how often, and errors as JSON. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answering, Backend, ok } from '../helpers/backend.ts';
import { type Ask, ask } from '../helpers/client.ts';
import { Example } from '../helpers/example.ts';
import { field, type Response, text } from '../helpers/http1.ts';

test('a gateway with auth_request and limit_req', async (t) => {
  const example = await Example.prepare(t, 'api-gateway');
  // However slow the machine: 21 requests of a key, and no more.
  example.edit('nginx.conf', (before) => before.replace('rate=10r/s', 'rate=1r/m'));
  await example.program(t, 'auth.ts', String(example.port(8090)));
  const orders = await Backend.start(
    t,
    answering((r) => ok(`orders for ${field(r, 'X-Consumer') ?? 'nobody'}: ${text(r)}`)),
    { port: example.port(8081) },
  );
  await Backend.start(
    t,
    answering(() => ok('stock')),
    { port: example.port(8082) },
  );
  await example.start();
  const call = (target: string, key: string | null, options: Ask = {}): Promise<Response> =>
    ask(t, example.port(8080), target, {
      ...options,
      fields: [...(key === null ? [] : [`X-API-Key: ${key}`]), ...(options.fields ?? [])],
    });

  const nobody = await call('/orders/1', null);
  assert.equal(nobody.status, 401);
  assert.equal(field(nobody, 'WWW-Authenticate'), 'ApiKey realm="gateway"');
  assert.equal(field(nobody, 'Content-Type'), 'application/json');
  assert.deepEqual(JSON.parse(text(nobody)), { error: 'a valid X-API-Key is needed' });
  assert.equal((await call('/orders/1', 'wrong')).status, 401);

  const anna = await call('/orders/1', 'anna-key', { method: 'POST', body: 'order', fields: ['X-Consumer: root'] });
  assert.equal(text(anna), 'orders for anna: order');
  assert.equal(field(orders.requests[0]!, 'X-API-Key'), null);
  assert.equal((await call('/orders/1', 'boris-key')).status, 403);
  assert.equal(text(await call('/stock/1', 'boris-key')), 'stock');
  assert.equal((await call('/stock/1', 'boris-key', { method: 'DELETE' })).status, 403);
  assert.deepEqual(JSON.parse(text(await call('/else', 'anna-key'))), { error: 'there is no such thing' });
  assert.deepEqual(JSON.parse(text(await call('/healthz', null))), { status: 'ok' });
  assert.equal((await call('/authorise', 'anna-key')).status, 404, 'nobody asks the service himself');

  // One of anna's has been counted: what the gateway answers by itself does not count.
  const statuses: number[] = [];
  for (let i = 0; i < 20; i++) statuses.push((await call('/stock/1', 'anna-key')).status);
  assert.deepEqual(statuses, Array<number>(20).fill(200));
  const limited = await call('/stock/1', 'anna-key');
  assert.equal(field(limited, 'Retry-After'), '1');
  assert.deepEqual(JSON.parse(text(limited)), { error: 'too many requests' });
  assert.equal((await call('/stock/1', 'boris-key')).status, 200, 'others are not concerned');
});
