/** Declarative mode: everything at once through `/config`, and nothing one by one. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { NOTHING_LOADED } from '../../../src/admin/kong/config.ts';
import type { JsonObject } from '../../../src/config/kong/schema.ts';
import { openStore } from '../../../src/store/open.ts';
import { suiteScope } from '../../helpers/wait.ts';
import { Client } from './harness.ts';

const scope = suiteScope(after);
const DOCUMENT: JsonObject = {
  _format_version: '3.0',
  upstreams: [{ name: 'u', targets: [{ target: 'a:1' }, { target: 'b:2' }] }],
  services: [{ name: 's', host: 'u', routes: [{ name: 'r', paths: ['/'] }] }],
};
const YAML = `
_format_version: "3.0"
upstreams:
- name: yaml
`;

suite('declarative mode', () => {
  let client: Client;
  before(async () => {
    const store = await openStore('memory');
    scope.after(() => store.close());
    client = new Client(store, { declarative: { hash: NOTHING_LOADED } });
  });
  const names = async (): Promise<unknown[]> =>
    ((await client.call('GET', '/upstreams')).json as { data: JsonObject[] }).data.map(({ name }) => name);
  const hash = async (): Promise<unknown> =>
    ((await client.call('GET', '/status')).json as JsonObject).configuration_hash;

  test('nothing is loaded at first', async () => {
    assert.equal(await hash(), NOTHING_LOADED);
    const { json } = await client.call('GET', '/status');
    assert.equal((json as JsonObject).database, undefined);
  });
  test('a document as JSON', async () => {
    const { status, json } = await client.call('POST', '/config', DOCUMENT);
    assert.equal(status, 201);
    const { upstreams, targets, services, routes } = json as unknown as Record<string, Record<string, JsonObject>>;
    const [id] = Object.keys(upstreams ?? {});
    assert.equal(upstreams?.[id ?? '']?.name, 'u');
    assert.deepEqual(
      [targets, services, routes].map((list) => Object.keys(list ?? {}).length),
      [2, 1, 1],
    );
    assert.deepEqual(await names(), ['u']);
    assert.notEqual(await hash(), NOTHING_LOADED);
  });
  test('the same one again, with check_hash', async () => {
    const again = await client.call('POST', '/config?check_hash=1', DOCUMENT);
    assert.deepEqual([again.status, again.body], [304, null]);
  });
  const bodies: [name: string, type: string, body: string][] = [
    ['YAML', 'application/yaml', YAML],
    ['JSON with a text', 'application/json', JSON.stringify({ config: YAML })],
    ['a form', 'application/x-www-form-urlencoded', new URLSearchParams({ config: YAML }).toString()],
    [
      'multipart, as `curl -F config=@kong.yml` sends it',
      'multipart/form-data; boundary=b',
      `--b\r\nContent-Disposition: form-data; name="config"; filename="kong.yml"\r\n` +
        `Content-Type: application/octet-stream\r\n\r\n${YAML}\r\n--b--\r\n`,
    ],
  ];
  for (const [name, type, body] of bodies) {
    test(name, async () => {
      await client.call('POST', '/config', DOCUMENT);
      const { status } = await client.send('POST', '/config', { 'content-type': [type] }, body);
      assert.equal(status, 201);
      assert.deepEqual(await names(), ['yaml']);
    });
  }
  test('GET gives it back', async () => {
    await client.call('POST', '/config', DOCUMENT);
    const { json } = await client.call('GET', '/config');
    const { config } = json as unknown as { config: string };
    assert.match(config, /^_format_version: "3\.0"\n/);
    const before = (await client.call('GET', '/upstreams')).json;
    assert.equal((await client.call('POST', '/config', { config })).status, 201);
    assert.deepEqual((await client.call('GET', '/upstreams')).json, before);
  });
  test('what is wrong changes nothing', async () => {
    await client.call('POST', '/config', DOCUMENT);
    const before = await hash();
    const bad = { ...DOCUMENT, upstreams: [{ name: 'v', slots: 1, targets: [{ target: 'a b' }] }] };
    const { status, json } = await client.call('POST', '/config', bad);
    assert.deepEqual(
      [status, json],
      [
        400,
        {
          code: 14,
          name: 'invalid declarative configuration',
          message:
            'declarative config is invalid: upstreams.1.slots: value should be between 10 and 65536; ' +
            "upstreams.1.targets.1.target: Invalid target ('a b'); not a valid hostname or ip address",
          fields: {
            upstreams: [
              {
                slots: 'value should be between 10 and 65536',
                targets: [{ target: "Invalid target ('a b'); not a valid hostname or ip address" }],
              },
            ],
          },
        },
      ],
    );
    assert.deepEqual([await names(), await hash()], [['u'], before]);
  });
  test('?flatten_errors=1', async () => {
    const upstream = { name: 'v', slots: 1, hash_on: 'header' };
    const { json } = await client.call('POST', '/config?flatten_errors=1', {
      ...DOCUMENT,
      upstreams: [upstream],
      foo: [],
    });
    assert.deepEqual(json, {
      code: 14,
      name: 'invalid declarative configuration',
      message: 'declarative config is invalid',
      fields: { foo: 'unknown field' },
      flattened_errors: [
        {
          entity_type: 'upstream',
          entity_name: 'v',
          entity: upstream,
          errors: [
            { type: 'entity', message: "failed conditional validation given value of field 'hash_on'" },
            { type: 'field', field: 'hash_on_header', message: 'required field missing' },
            { type: 'field', field: 'slots', message: 'value should be between 10 and 65536' },
          ],
        },
      ],
    });
  });
  const empty: [type: string, body: string, status: number, message: RegExp][] = [
    ['application/yaml', '', 400, /^expected a declarative configuration$/],
    ['application/x-www-form-urlencoded', 'x=1', 400, /^expected a declarative configuration$/],
    ['application/yaml', 'a: [', 400, /^declarative config is invalid: \{error="Flow sequence.* in line 1"\}$/],
    ['application/json', '{', 400, /^Cannot parse JSON body$/],
  ];
  for (const [type, body, status, message] of empty) {
    test(`${type}: ${JSON.stringify(body)}`, async () => {
      const got = await client.send('POST', '/config', { 'content-type': [type] }, body);
      assert.equal(got.status, status);
      assert.match((got.json as JsonObject).message as string, message);
    });
  }
  const refused: [method: string, path: string, verb: string, kind: string][] = [
    ['POST', '/upstreams', 'create', 'upstreams'],
    ['PUT', '/upstreams/u', 'create or update', 'upstreams'],
    ['PATCH', '/upstreams/u', 'update', 'upstreams'],
    ['DELETE', '/upstreams/u', 'remove', 'upstreams'],
    ['POST', '/upstreams/u/targets', 'create', 'targets'],
    ['DELETE', '/upstreams/u/targets/a:1', 'remove', 'targets'],
  ];
  for (const [method, path, verb, kind] of refused) {
    test(`${method} ${path} is refused`, async () => {
      await client.call('POST', '/config', DOCUMENT);
      const given: JsonObject = kind === 'targets' ? { target: 'x:1' } : { name: 'u' };
      const { status, json } = await client.call(method, path, method === 'DELETE' ? undefined : given);
      assert.deepEqual(
        [status, json],
        [
          405,
          {
            code: 12,
            name: 'operation unsupported',
            message: `cannot ${verb} '${kind}' entities when not using a database`,
          },
        ],
      );
    });
  }
});
