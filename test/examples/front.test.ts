/** The examples of canary and behind-balancer, on other ports and with servers of the test behind them. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { writeProxyV1, writeProxyV2 } from '../../src/net/proxy-protocol.ts';
import { answering, Backend, ok } from '../helpers/backend.ts';
import { ask, compose, raw } from '../helpers/client.ts';
import { Headrace } from '../helpers/headrace.ts';
import { field, text } from '../helpers/http1.ts';

const EXAMPLES = join(import.meta.dirname, '../../examples');

/** What stands inside of `http { }`, with other ports and the like. */
function http(example: string, changes: Record<string, number | string>): string {
  const file = readFileSync(join(EXAMPLES, example, 'nginx.conf'), 'utf8');
  const inner = file.slice(file.indexOf('http {') + 6, file.lastIndexOf('}'));
  return Object.entries(changes).reduce((conf, [from, to]) => conf.replaceAll(from, String(to)), inner);
}

/** A server that tells its name and the field that is asked for. */
function backend(t: TestContext, name: string): Promise<Backend> {
  return Backend.start(
    t,
    answering((request) => ok(`${name} ${field(request, 'X-Forwarded-For')} ${field(request, 'X-Forwarded-Port')}`)),
  );
}

test('canary: the same client meets the same version, shares are about right, testers choose', async (t) => {
  const [stable, fresh] = [await backend(t, 'stable'), await backend(t, 'new')];
  const h = await Headrace.start(t, ({ port }) =>
    http('canary', { '8081': stable.port, '8082': stable.port, '8083': fresh.port, '8080': port('main') }),
  );
  const version = async (fields: string[]): Promise<string> => {
    const answer = await ask(t, h.port('main'), '/', { fields });
    const seen = field(answer, 'X-Version') ?? '';
    assert.equal(text(answer).split(' ')[0], seen);
    return seen;
  };
  assert.equal(await version(['X-Canary: always']), 'new');
  assert.equal(await version(['X-Canary: never']), 'stable');
  let share = 0;
  for (let i = 0; i < 120; i++) {
    const agent = [`User-Agent: client ${i}`];
    const seen = await version(agent);
    if (i % 30 === 0) assert.equal(await version(agent), seen);
    if (seen === 'new') share++;
  }
  // Hashes of fixed texts: the number does not change, and is near to six.
  assert.ok(share >= 1 && share <= 20, String(share));
});

test('behind-balancer: clients are who the balancer says, limits are theirs', async (t) => {
  const app = await backend(t, 'app');
  const h = await Headrace.start(t, ({ port }) =>
    http('behind-balancer', {
      '8081': app.port,
      '8082': app.port,
      '8080': port('main'),
      '8090': port('health'),
      // So that a slow machine does not let more through.
      '10r/s': '1r/m',
    }),
  );
  const to = { address: '198.51.100.7', port: 443 };
  const get = (address: string): Promise<string> =>
    raw(
      t,
      h.port('main'),
      Buffer.concat([writeProxyV2({ address, port: 1000 }, to), compose('/', { fields: ['Connection: close'] })]),
    );
  assert.match(await get('192.0.2.1'), /\r\n\r\napp 192\.0\.2\.1 443$/);
  const v1 = writeProxyV1({ address: '2001:db8::1', port: 1 }, { address: '2001:db8::2', port: 443 });
  const six = await raw(t, h.port('main'), Buffer.concat([v1, compose('/', { fields: ['Connection: close'] })]));
  assert.match(six, /\r\n\r\napp 2001:db8::1 443$/);

  const many = await Promise.all(Array.from({ length: 40 }, () => get('192.0.2.2')));
  const refused = many.filter((answer) => answer.startsWith('HTTP/1.1 429')).length;
  assert.equal(refused, 19, 'one, and a burst of twenty');
  assert.match(await get('192.0.2.3'), /^HTTP\/1\.1 200/, 'another client has its own share');
  await h.logged('192.0.2.1 via 127.0.0.1 "GET / HTTP/1.1" 200', 'access.log');

  assert.equal(await raw(t, h.port('main'), compose('/')), '', 'without a header there is no answer');
  assert.equal((await ask(t, h.port('health'), '/health')).status, 200);
});
