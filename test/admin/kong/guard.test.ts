/** Who may call the Admin API: by Host, Origin and token. */
import assert from 'node:assert/strict';
import { hostname } from 'node:os';
import { test } from 'node:test';
import { refusal } from '../../../src/admin/kong/guard.ts';

const RULES = { token: null, origins: ['https://gui.test'], hosts: ['kong.test'] };
const LOCAL = '127.0.0.1:8001';

function status(
  headers: Record<string, string>,
  rules: Partial<Parameters<typeof refusal>[1]> = {},
  method = 'GET',
): number {
  const lists = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value]]));
  return refusal({ method, url: '/', headers: lists, body: Buffer.alloc(0) }, { ...RULES, ...rules })?.status ?? 200;
}

const ROWS: [headers: Record<string, string>, status: number][] = [
  [{ host: LOCAL }, 200],
  [{ host: 'localhost:8001' }, 200],
  [{ host: 'kong.localhost' }, 200],
  [{ host: hostname() }, 200],
  [{ host: '192.0.2.1' }, 200],
  [{ host: '[2001:db8::1]:8001' }, 200],
  [{ host: 'KONG.test:99' }, 200],
  [{ host: 'evil.test' }, 403],
  [{ host: 'kong.test.evil.test' }, 403],
  [{}, 403],
  [{ host: LOCAL, origin: 'http://localhost:8002' }, 200],
  [{ host: LOCAL, origin: 'http://127.0.0.1' }, 200],
  [{ host: LOCAL, origin: 'http://[::1]:8002' }, 200],
  [{ host: LOCAL, origin: `http://${LOCAL}` }, 200],
  [{ host: 'kong.test:99', origin: 'https://kong.test:99' }, 200],
  [{ host: LOCAL, origin: 'https://gui.test' }, 200],
  [{ host: LOCAL, origin: 'https://evil.test' }, 403],
  [{ host: LOCAL, origin: 'http://localhost.evil.test' }, 403],
  [{ host: LOCAL, origin: 'http://127.0.0.1.evil.test' }, 403],
  [{ host: LOCAL, origin: 'null' }, 403],
];
for (const [headers, expected] of ROWS) {
  test(JSON.stringify(headers), () => assert.equal(status(headers), expected));
}

test('any name, any page, where that was asked for', () => {
  assert.equal(status({ host: 'x.test', origin: 'https://y.test' }, { hosts: ['*'], origins: ['*'] }), 200);
});

test('a token', () => {
  const rules = { token: 'secret' };
  const given = (headers: Record<string, string>, method?: string): number =>
    status({ host: LOCAL, ...headers }, rules, method);
  assert.equal(given({}), 401);
  assert.equal(given({ authorization: 'Bearer secret' }), 200);
  assert.equal(given({ authorization: 'bearer secret' }), 200);
  assert.equal(given({ authorization: 'Basic secret' }), 401);
  assert.equal(given({ 'kong-admin-token': 'secret' }), 200);
  assert.equal(given({ 'kong-admin-token': 'secret2' }), 401);
  assert.equal(given({}, 'OPTIONS'), 200);
});
