/** What the Admin API answers when asked: pages, tags, health, the node itself, headers, and bodies that nobody can read. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import type { KongMark, KongUpstreamHealth } from '../../../src/config/kong/model.ts';
import type { Json, JsonObject } from '../../../src/config/kong/schema.ts';
import { SCHEMAS } from '../../../src/config/kong/schemas.ts';
import { openStore } from '../../../src/store/open.ts';
import { suiteScope } from '../../helpers/wait.ts';
import { Client } from './harness.ts';

const scope = suiteScope(after);

async function newClient(more: ConstructorParameters<typeof Client>[1] = {}): Promise<Client> {
  const store = await openStore('memory');
  scope.after(() => store.close());
  return new Client(store, more);
}

interface Page {
  data: JsonObject[];
  next: string | null;
  offset?: string;
}
const page = (json: Json): Page => json as unknown as Page;

suite('pages', () => {
  let client: Client;
  before(async () => {
    client = await newClient();
    for (let i = 0; i < 7; i++) {
      await client.make('/upstreams', { name: `u${i}`, tags: [i % 2 === 0 ? 'even' : 'odd', 'all'] });
    }
    for (let i = 0; i < 5; i++) await client.make('/upstreams/u0/targets', { target: `t${i}`, weight: i });
    await client.make('/services', { name: 's', host: 'h' });
    for (let i = 0; i < 3; i++) await client.make('/services/s/routes', { name: `r${i}`, paths: ['/'] });
  });

  /** Follows `next` to the end. */
  async function walk(path: string): Promise<{ names: string[]; pages: number; nexts: string[] }> {
    const names: string[] = [];
    const nexts: string[] = [];
    let url: string | null = path;
    while (url !== null) {
      const { status, json } = await client.call('GET', url);
      assert.equal(status, 200, url);
      const { data, next, offset } = page(json);
      assert.equal(offset === undefined, next === null);
      names.push(...data.map(({ name, target }) => (name ?? target) as string));
      if (next !== null) nexts.push(next);
      url = next;
    }
    return { names, pages: nexts.length + 1, nexts };
  }

  test('a list ends with next: null and without offset', async () => {
    const { json } = await client.call('GET', '/upstreams');
    assert.deepEqual(Object.keys(json as JsonObject), ['data', 'next']);
    assert.equal(page(json).data.length, 7);
    assert.deepEqual((await client.call('GET', '/consumers')).json, { data: [], next: null });
  });
  test('size and tags are kept in next; each is there once', async () => {
    const { names, nexts } = await walk('/upstreams?size=2&tags=all');
    assert.deepEqual(names.toSorted(), ['u0', 'u1', 'u2', 'u3', 'u4', 'u5', 'u6']);
    assert.equal(nexts.length, 3);
    for (const next of nexts) assert.match(next, /^\/upstreams\?offset=[\w%-]+&tags=all&size=2$/);
  });
  const filters: [query: string, names: string[]][] = [
    ['even,all', ['u0', 'u2', 'u4', 'u6']],
    ['even/odd', ['u0', 'u1', 'u2', 'u3', 'u4', 'u5', 'u6']],
    ['even,odd', []],
    ['odd', ['u1', 'u3', 'u5']],
    ['nothing', []],
  ];
  for (const [tags, names] of filters) {
    test(`?tags=${tags}`, async () =>
      assert.deepEqual((await walk(`/upstreams?tags=${tags}`)).names.toSorted(), names));
  }
  const refused: [query: string, answer: JsonObject][] = [
    ['size=abc', { code: 9, name: 'invalid size', message: 'size must be a number' }],
    ['size=', { code: 9, name: 'invalid size', message: 'size must be a number' }],
    ['size=0', { code: 9, name: 'invalid size', message: 'size must be an integer between 1 and 1000' }],
    ['size=1001', { code: 9, name: 'invalid size', message: 'size must be an integer between 1 and 1000' }],
    ['size=1.5', { code: 9, name: 'invalid size', message: 'size must be an integer between 1 and 1000' }],
    ['offset=x', { code: 7, name: 'invalid offset', message: "'x' is not a valid offset: bad base64 encoding" }],
    ['offset=%21%21', { code: 7, name: 'invalid offset', message: "'!!' is not a valid offset: bad base64 encoding" }],
    [
      'tags=',
      {
        code: 11,
        name: 'invalid options',
        message: 'invalid option (tags: cannot be null)',
        options: { tags: 'cannot be null' },
      },
    ],
    ...['a,b/c', 'a,,b', ',', '%00'].map((tags): [string, JsonObject] => [
      `tags=${tags}`,
      {
        code: 11,
        name: 'invalid options',
        message: 'invalid option (tags: invalid filter syntax)',
        options: { tags: 'invalid filter syntax' },
      },
    ]),
    [
      'tags=a,b,c,d,e,f',
      {
        code: 11,
        name: 'invalid options',
        message: 'invalid option (tags: cannot query more than 5 tags)',
        options: { tags: 'cannot query more than 5 tags' },
      },
    ],
  ];
  for (const [query, answer] of refused) {
    test(`?${query} is refused`, async () => {
      const { status, json } = await client.call('GET', `/upstreams?${query}`);
      assert.deepEqual([status, json], [400, answer]);
    });
  }
  test('unknown arguments are ignored', async () => {
    assert.equal((await client.call('GET', '/upstreams?foo=1&size=3&bar')).status, 200);
  });
  test('lists below another say only the offset; tags do not count there', async () => {
    const { names, nexts } = await walk('/services/s/routes?size=2&tags=nothing');
    assert.deepEqual(names.toSorted(), ['r0', 'r1', 'r2']);
    assert.match(nexts[0] ?? '', /^\/services\/[-0-9a-f]{36}\/routes\?offset=[\w%-]+$/);
  });
  test('targets: newest first, weight 0 too, positions as offsets', async () => {
    const { names, nexts } = await walk('/upstreams/u0/targets?size=2');
    assert.deepEqual(names, ['t4:8000', 't3:8000', 't2:8000', 't1:8000', 't0:8000']);
    assert.match(nexts[0] ?? '', /^\/upstreams\/[-0-9a-f]{36}\/targets\?offset=2$/);
    assert.equal(page((await client.call('GET', '/upstreams/u0/targets?size=5000')).json).data.length, 5);
    assert.equal((await client.call('GET', '/upstreams/u0/targets?offset=x')).status, 400);
    assert.equal((await client.call('GET', '/upstreams/u0/targets?size=x')).status, 400);
  });
  test('/targets/all: in order of ids', async () => {
    const { json } = await client.call('GET', '/upstreams/u0/targets/all');
    const ids = page(json).data.map(({ id }) => id as string);
    assert.deepEqual(ids, ids.toSorted());
    assert.equal((await client.call('GET', '/upstreams/nobody/targets/all')).status, 404);
  });
  test('rows of tags', async () => {
    const { data } = page((await client.call('GET', '/tags/odd?tags=ignored')).json);
    assert.equal(data.length, 3);
    assert.deepEqual(Object.keys(data[0] ?? {}), ['tag', 'entity_name', 'entity_id']);
    assert.deepEqual([data[0]?.tag, data[0]?.entity_name], ['odd', 'upstreams']);
    assert.deepEqual((await client.call('GET', '/tags/nobody')).json, { data: [], next: null });
    const bad = await client.call('GET', '/tags/a%2Fb');
    assert.deepEqual([bad.status, (bad.json as JsonObject).code], [400, 10]);
    let rows = 0;
    for (let url: string | null = '/tags?size=5'; url !== null;) {
      const got = page((await client.call('GET', url)).json);
      rows += got.data.length;
      url = got.next;
    }
    assert.equal(rows, 14);
  });
});

suite('paths and methods', () => {
  let client: Client;
  before(async () => {
    client = await newClient();
    await client.make('/upstreams', { name: 'u' });
  });
  const rows: [method: string, path: string, status: number, message: string | null][] = [
    ['GET', '/upstreams/', 200, null],
    ['GET', '/upstreams/u/', 200, null],
    ['GET', '/upstreams/nobody', 404, 'Not found'],
    ['GET', '/upstreams/c2d3a1a0-9f65-4c8e-8f1d-0f5a3f6f5a00', 404, 'Not found'],
    ['GET', '/nothing', 404, 'Not found'],
    ['GET', '/upstreams//u', 404, 'Not found'],
    ['GET', '/upstreams/%zz', 404, 'Not found'],
    ['GET', '/targets', 404, 'Not found'],
    ['DELETE', '/upstreams', 405, 'Method not allowed'],
    ['DELETE', '/upstreams/nobody', 204, null],
    ['DELETE', '/upstreams/c2d3a1a0-9f65-4c8e-8f1d-0f5a3f6f5a00', 204, null],
    ['POST', '/upstreams/u', 405, 'Method not allowed'],
    ['TRACE', '/upstreams', 405, 'Method not allowed'],
    ['constructor', '/upstreams', 405, 'Method not allowed'],
    ['GET', '/upstreams/u/client_certificate', 404, 'Not found'],
    ['DELETE', '/upstreams/u/client_certificate', 404, 'Not found'],
    ['GET', '/upstreams/nobody/health', 404, 'Not found'],
    ['GET', '/schemas/nobody', 404, "No entity named 'nobody'"],
    ['GET', '/schemas/__proto__', 404, "No entity named '__proto__'"],
    ['GET', '/cache/x', 404, 'Not found'],
    ['GET', '/config', 400, 'this endpoint is only available when Kong is configured to not use a database'],
    [
      'GET',
      '/clustering/status',
      400,
      'this endpoint is only available when Kong is configured to run as Control Plane for the cluster',
    ],
  ];
  for (const [method, path, status, message] of rows) {
    test(`${method} ${path} is ${status}`, async () => {
      const got = await client.send(method, path);
      assert.equal(got.status, status);
      if (message !== null) assert.deepEqual(got.json, { message });
      if (status === 204) assert.equal(got.body, null);
    });
  }
  test('HEAD is GET without a body', async () => {
    const got = await client.send('HEAD', '/upstreams/u');
    assert.deepEqual([got.status, got.body], [200, null]);
  });
  test('OPTIONS', async () => {
    const list = await client.send('OPTIONS', '/upstreams');
    assert.deepEqual([list.status, list.headers.Allow], [204, 'GET, HEAD, OPTIONS, POST']);
    const one = await client.send('OPTIONS', '/upstreams/x', { 'access-control-request-headers': ['X-A, X-B'] });
    assert.equal(one.headers['Access-Control-Allow-Methods'], 'DELETE, GET, HEAD, OPTIONS, PATCH, PUT');
    assert.equal(one.headers['Access-Control-Allow-Headers'], 'X-A, X-B');
    assert.equal(list.headers['Access-Control-Allow-Headers'], 'Content-Type');
  });
  test('headers of answers', async () => {
    const plain = await client.send('GET', '/upstreams');
    assert.equal(plain.headers['Content-Type'], 'application/json; charset=utf-8');
    assert.equal(plain.headers['Access-Control-Allow-Origin'], '*');
    assert.equal(plain.headers['Access-Control-Allow-Credentials'], 'true');
    const asked = await client.send('GET', '/nothing', { origin: ['http://localhost:8002'] });
    assert.equal(asked.headers['Access-Control-Allow-Origin'], 'http://localhost:8002');
    const fixed = await newClient({ origins: ['https://gui.test'] });
    const other = await fixed.send('GET', '/', { origin: ['http://localhost:8002'] });
    assert.equal(other.headers['Access-Control-Allow-Origin'], 'https://gui.test');
  });
});

suite('bodies that nobody can read', () => {
  let client: Client;
  before(async () => {
    client = await newClient();
  });
  const json = { 'content-type': ['application/json'] };
  const form = { 'content-type': ['application/x-www-form-urlencoded; charset=utf-8'] };
  const rows: [
    name: string,
    headers: Record<string, string[]>,
    body: string,
    status: number,
    message: string | null,
  ][] = [
    ['broken JSON', json, '{"name":', 400, 'Cannot parse JSON body'],
    ['empty JSON', json, '', 400, 'Cannot parse JSON body'],
    ['a list', json, '[]', 400, 'Cannot parse JSON body'],
    ['a text', json, '"x"', 400, 'Cannot parse JSON body'],
    ['an unknown type', { 'content-type': ['text/plain'] }, 'x', 415, null],
    ['YAML where there is none', { 'content-type': ['application/yaml'] }, 'x', 415, null],
    ['no type', {}, 'name=x', 415, null],
    [
      'two types',
      { 'content-type': ['application/json', 'application/json'] },
      '{}',
      400,
      'Multiple Content-Type headers not allowed',
    ],
    ['a form of 1001 arguments', form, 'a=1&'.repeat(1001), 400, 'Too many arguments'],
    ['no boundary', { 'content-type': ['multipart/form-data'] }, 'x', 400, 'Cannot parse multipart body'],
    [
      'no end',
      { 'content-type': ['multipart/form-data; boundary=x'] },
      '--x\r\n\r\nabc',
      400,
      'Cannot parse multipart body',
    ],
  ];
  for (const [name, headers, body, status, message] of rows) {
    test(name, async () => {
      const got = await client.send('POST', '/upstreams', headers, body);
      assert.equal(got.status, status);
      if (message === null) assert.equal(got.body, null);
      else assert.deepEqual(got.json, { message });
    });
  }
  test('on GET a body is ignored', async () => {
    assert.equal((await client.send('GET', '/upstreams', { 'content-type': ['x/y'] }, '{')).status, 200);
  });
  test('no body at all is an empty one', async () => {
    assert.equal((await client.send('POST', '/upstreams')).status, 400);
    assert.equal((await client.send('PUT', '/upstreams/by-name')).status, 200);
  });
});

suite('forms', () => {
  let client: Client;
  before(async () => {
    client = await newClient();
  });
  const send = async (body: string): Promise<JsonObject> => {
    const got = await client.send(
      'POST',
      '/upstreams',
      { 'content-type': ['application/x-www-form-urlencoded'] },
      body,
    );
    return (got.status === 201 ? got.json : (got.json as JsonObject).fields) as JsonObject;
  };
  let n = 0;
  const rows: [body: string, field: string, value: Json][] = [
    ['tags[]=a&tags[]=b', 'tags', ['a', 'b']],
    ['tags%5B%5D=a&tags%5B%5D=b', 'tags', ['a', 'b']],
    ['tags[1]=a&tags[2]=b', 'tags', ['a', 'b']],
    ['tags[2]=b&tags[1]=a', 'tags', ['a', 'b']],
    ['tags=a&tags=b', 'tags', ['a', 'b']],
    ['tags=a', 'tags', ['a']],
    ['tags=', 'tags', null],
    ['slots=+50', 'slots', 50],
    ['slots=5e1', 'slots', 50],
    ['slots=x', 'slots', 'expected an integer'],
    ['use_srv_name=true', 'use_srv_name', true],
    ['use_srv_name=yes', 'use_srv_name', 'expected a boolean'],
    ['host_header=', 'host_header', null],
    ['foo=1', 'foo', 'unknown field'],
    ['foo[bar]=1', 'foo', 'unknown field'],
    ['slots=11&slots=12', 'slots', 'expected an integer'],
    ['healthchecks=', 'slots', 10_000],
  ];
  for (const [body, field, value] of rows) {
    test(body, async () => assert.deepEqual((await send(`name=f${++n}&${body}`))[field], value));
  }
  const deep: [body: string, read: (active: never) => Json, value: Json][] = [
    ['healthchecks.active.http_path=/x', (active) => active['http_path'], '/x'],
    ['healthchecks[active][http_path]=/x', (active) => active['http_path'], '/x'],
    [
      'healthchecks.active.healthy.http_statuses[]=200&healthchecks.active.healthy.http_statuses[]=201',
      (active) => active['healthy']['http_statuses'],
      [200, 201],
    ],
    ['healthchecks.active.healthy.http_statuses[1]=200', (active) => active['healthy']['http_statuses'], [200]],
    ['healthchecks.active.headers.X-Foo[]=1', (active) => active['headers'], { 'X-Foo': ['1'] }],
    ['healthchecks.active.headers[X-Foo]=1', (active) => active['headers'], { 'X-Foo': ['1'] }],
    [
      'healthchecks.active.headers[X-Foo][1]=1&healthchecks.active.headers[X-Foo][2]=2',
      (active) => active['headers'],
      { 'X-Foo': ['1', '2'] },
    ],
    ['healthchecks.active.timeout=0.25', (active) => active['timeout'], 0.25],
  ];
  for (const [body, read, value] of deep) {
    test(body, async () => {
      const { healthchecks } = await send(`name=f${++n}&${body}`);
      assert.deepEqual(read((healthchecks as never)['active']), value);
    });
  }
  test('parts of a multipart body may be JSON', async () => {
    const part = (name: string, type: string, value: string): string =>
      `--b\r\nContent-Disposition: form-data; name="${name}"\r\n${type}\r\n${value}\r\n`;
    const body =
      'preamble\r\n' +
      part('name', '', 'multi') +
      part('tags', 'Content-Type: application/json\r\n', '["a","b"]') +
      part('healthchecks', 'Content-Type: application/json\r\n', '{"threshold":5}') +
      '--b--\r\n';
    const { json } = await client.send(
      'POST',
      '/upstreams',
      { 'content-type': ['multipart/form-data; boundary="b"'] },
      body,
    );
    const entity = json as never;
    assert.deepEqual([entity['name'], entity['tags'], entity['healthchecks']['threshold']], ['multi', ['a', 'b'], 5]);
  });
});

suite('health', () => {
  const health = (id: string, more: Partial<KongUpstreamHealth> = {}): KongUpstreamHealth => ({
    checked: true,
    healthy: true,
    weight: { total: 300, available: 200, unavailable: 100 },
    targets: [
      {
        id,
        host: 'a.test',
        port: 80,
        dns: 'A',
        nodeWeight: 100,
        weight: { total: 200, available: 100, unavailable: 100 },
        addresses: [
          { ip: '127.0.0.1', port: 80, weight: 100, healthy: true },
          { ip: '127.0.0.2', port: 80, weight: 100, healthy: false },
        ],
      },
    ],
    ...more,
  });
  let client: Client;
  let upstream: JsonObject;
  let ids: string[];
  let known: KongUpstreamHealth | null = null;
  const marks: KongMark[] = [];
  let result: 'done' | 'no healthchecker' | 'not found' = 'done';
  before(async () => {
    client = await newClient({
      balancers: {
        health: () => known,
        mark: (mark) => {
          marks.push(mark);
          return result;
        },
      },
    });
    upstream = await client.make('/upstreams', { name: 'u' });
    const targets = [];
    for (const target of ['a.test:80', 'b.test:80', 'c.test:80']) {
      targets.push(await client.make('/upstreams/u/targets', { target, weight: target.startsWith('c') ? 0 : 100 }));
    }
    ids = targets.map(({ id }) => id);
  });

  test('each target with its addresses', async () => {
    known = health(ids[0] ?? '');
    const base = {
      host: 'c.test',
      port: 80,
      dns: 'A',
      nodeWeight: 0,
      weight: { total: 0, available: 0, unavailable: 0 },
    };
    known.targets.push({ ...base, id: ids[2] ?? '', addresses: [] });
    const { status, json } = await client.call('GET', '/upstreams/u/health');
    assert.equal(status, 200);
    const answer = json as never;
    assert.deepEqual(
      (answer['data'] as JsonObject[]).map(({ target, health: state }) => [target, state]),
      [
        ['c.test:80', 'HEALTHCHECKS_OFF'],
        ['b.test:80', 'DNS_ERROR'],
        ['a.test:80', 'HEALTHY'],
      ],
    );
    assert.deepEqual(answer['data'][2]['data'], {
      host: 'a.test',
      port: 80,
      dns: 'A',
      nodeWeight: 100,
      weight: { total: 200, available: 100, unavailable: 100 },
      addresses: [
        { ip: '127.0.0.1', port: 80, weight: 100, health: 'HEALTHY' },
        { ip: '127.0.0.2', port: 80, weight: 100, health: 'UNHEALTHY' },
      ],
    });
    assert.deepEqual(answer['data'][0]['data']['addresses'], []);
    assert.deepEqual([answer['next'], answer['node_id']], [null, client.api.node.id]);
  });
  test('unhealthy, unchecked, unknown', async () => {
    known = health(ids[0] ?? '');
    for (const address of known.targets[0]?.addresses ?? []) address.healthy = false;
    const states = async (): Promise<Json[]> =>
      page((await client.call('GET', '/upstreams/u/health')).json).data.map((row) => row.health ?? null);
    assert.deepEqual(await states(), ['DNS_ERROR', 'DNS_ERROR', 'UNHEALTHY']);
    known = health(ids[0] ?? '', { checked: false });
    assert.deepEqual(await states(), ['HEALTHCHECKS_OFF', 'HEALTHCHECKS_OFF', 'HEALTHCHECKS_OFF']);
    known = null;
    assert.deepEqual(await states(), [null, null, null]);
  });
  test('pages', async () => {
    known = health(ids[0] ?? '');
    const { json } = await client.call('GET', '/upstreams/u/health?size=2');
    assert.deepEqual([page(json).offset, page(json).next], ['2', '/upstreams/u/health?offset=2']);
  });
  test('?balancer_health=1', async () => {
    known = health(ids[0] ?? '', { healthy: false });
    const { json } = await client.call('GET', '/upstreams/u/health?balancer_health=1');
    assert.deepEqual(json, {
      data: {
        id: upstream.id,
        health: 'UNHEALTHY',
        balancer_health: 'UNHEALTHY',
        details: {
          healthy: false,
          weight: { total: 300, available: 200, unavailable: 100 },
          hosts: [
            {
              host: 'a.test',
              port: 80,
              dns: 'A',
              nodeWeight: 100,
              weight: { total: 200, available: 100, unavailable: 100 },
              addresses: [
                { ip: '127.0.0.1', port: 80, weight: 100, healthy: true },
                { ip: '127.0.0.2', port: 80, weight: 100, healthy: false },
              ],
            },
          ],
        },
      },
      next: null,
      node_id: client.api.node.id,
    });
    known = health(ids[0] ?? '', { checked: false });
    const off = (await client.call('GET', '/upstreams/u/health?balancer_health=1')).json as never;
    assert.deepEqual([off['data']['health'], off['data']['balancer_health']], ['HEALTHCHECKS_OFF', 'HEALTHY']);
  });
  test('marks: by id and address, PUT and POST, all addresses or one', async () => {
    const since = (await client.api.store.snapshot()).revision;
    const list = '/upstreams/u/targets';
    const rows: [method: string, path: string, address: KongMark['address'], healthy: boolean][] = [
      ['PUT', `${list}/a.test:80/unhealthy`, null, false],
      ['POST', `${list}/${ids[0]}/healthy`, null, true],
      ['PUT', `${list}/a.test:80/127.0.0.1:80/unhealthy`, { ip: '127.0.0.1', port: 80 }, false],
      ['PUT', `${list}/a.test:80/127.0.0.1/healthy`, { ip: '127.0.0.1', port: null }, true],
      [
        'PUT',
        `${list}/a.test:80/%5B::1%5D:80/healthy`,
        { ip: '0000:0000:0000:0000:0000:0000:0000:0001', port: 80 },
        true,
      ],
    ];
    for (const [method, path, address, healthy] of rows) {
      const got = await client.send(method, path);
      assert.deepEqual([got.status, got.body], [204, null], path);
      assert.deepEqual(marks.at(-1), {
        node: client.api.node.id,
        upstream: upstream.id,
        target: ids[0],
        address,
        healthy,
      });
    }
    // Other nodes are told.
    assert.deepEqual((await client.api.store.changes(since)).marks, marks);
  });
  test('marks that cannot be', async () => {
    const list = '/upstreams/u/targets';
    for (const path of [
      `${list}/z.test:80/healthy`,
      '/upstreams/nobody/targets/a/healthy',
      `${list}/a.test:80/x/healthy`,
    ]) {
      assert.equal((await client.send('PUT', path)).status, 404, path);
    }
    await client.make('/upstreams', { name: 'other' });
    assert.equal((await client.send('PUT', `/upstreams/other/targets/${ids[0]}/healthy`)).status, 404);
    result = 'no healthchecker';
    const off = await client.send('PUT', `${list}/a.test:80/healthy`);
    assert.deepEqual([off.status, off.json], [400, { message: 'no healthchecker found for u' }]);
    result = 'not found';
    const unknown = await client.send('PUT', `${list}/a.test:80/9.9.9.9:80/healthy`);
    assert.deepEqual([unknown.status, unknown.json], [400, { message: 'target not found for 9.9.9.9:80' }]);
  });
});

suite('the node', () => {
  let client: Client;
  before(async () => {
    client = await newClient();
  });
  test('/', async () => {
    const { json } = await client.call('GET', '/');
    assert.deepEqual(json, {
      tagline: 'Welcome to kong',
      version: '3.9.1',
      edition: 'community',
      hostname: 'here',
      node_id: client.api.node.id,
      lua_version: '',
      pids: { master: process.pid, workers: [8] },
      timers: { running: 0, pending: 0 },
      plugins: { available_on_server: {}, enabled_in_cluster: [] },
      configuration: { database: 'sqlite' },
    });
  });
  test('/status', async () => {
    const { json } = await client.call('GET', '/status');
    assert.deepEqual(json, {
      memory: { lua_shared_dicts: {}, workers_lua_vms: [{ pid: 8, http_allocated_gc: '1.50 MiB' }] },
      server: {
        connections_accepted: 1,
        connections_active: 2,
        connections_handled: 3,
        connections_reading: 4,
        connections_writing: 5,
        connections_waiting: 6,
        total_requests: 7,
      },
      database: { reachable: true },
    });
    const memory = async (query: string): Promise<Json> =>
      ((await client.call('GET', `/status?${query}`)).json as never)['memory']['workers_lua_vms'][0][
        'http_allocated_gc'
      ];
    assert.deepEqual(
      [await memory('unit=k&scale=0'), await memory('unit=b'), await memory('unit=G&scale=4')],
      ['1536 KiB', 1_572_864, '0.0015 GiB'],
    );
    for (const query of ['unit=x', 'scale=-1'])
      assert.equal((await client.call('GET', `/status?${query}`)).status, 400);
  });
  test('/endpoints', async () => {
    const { data } = (await client.call('GET', '/endpoints')).json as unknown as { data: string[] };
    for (const path of [
      '/',
      '/upstreams/{upstreams}/targets/{targets}/{address}/healthy',
      '/services/{services}/routes',
    ]) {
      assert.ok(data.includes(path), path);
    }
    const key = (path: string): string => path.replaceAll('/', '\0');
    assert.deepEqual(
      data,
      data.toSorted((a, b) => (key(a) < key(b) ? -1 : 1)),
    );
  });
  for (const kind of Object.keys(SCHEMAS)) {
    test(`/schemas/${kind}`, async () => {
      const { fields } = (await client.call('GET', `/schemas/${kind}`)).json as unknown as { fields: JsonObject[] };
      assert.deepEqual(
        fields.map((field) => Object.keys(field)[0]),
        Object.keys(SCHEMAS[kind as keyof typeof SCHEMAS].fields),
      );
    });
  }
  test('/schemas/upstreams in detail', async () => {
    const { fields } = (await client.call('GET', '/schemas/upstreams')).json as unknown as { fields: JsonObject[] };
    const slots = fields.find((field) => 'slots' in field) as never;
    assert.equal(slots['slots']['type'], 'integer');
    assert.deepEqual([slots['slots']['between'], slots['slots']['default']], [[10, 65_536], 10_000]);
  });
  test('/schemas/upstreams/validate', async () => {
    const good = await client.call('POST', '/schemas/upstreams/validate', { name: 'u' });
    assert.deepEqual([good.status, good.json], [200, { message: 'schema validation successful' }]);
    const bad = await client.call('POST', '/schemas/upstreams/validate', { name: '1.2.3.4' });
    assert.deepEqual([bad.status, (bad.json as JsonObject).code], [400, 2]);
    assert.equal((await client.call('GET', '/upstreams/u')).status, 404);
  });
  test('a store that is away is not a client’s fault', async () => {
    const away = await newClient();
    await away.api.store.close();
    const got = await away.call('GET', '/upstreams');
    assert.deepEqual([got.status, got.json], [500, { message: 'An unexpected error occurred' }]);
    assert.match(away.logged[0] ?? '', /^admin api: memory: /);
    assert.deepEqual(((await away.call('GET', '/status')).json as never)['database'], { reachable: false });
  });
  test('/openapi.json', async () => {
    const { json } = await client.call('GET', '/openapi.json');
    const { openapi, paths } = json as unknown as { openapi: string; paths: Record<string, object> };
    assert.equal(openapi, '3.1.0');
    const { data } = (await client.call('GET', '/endpoints')).json as unknown as { data: string[] };
    assert.deepEqual(Object.keys(paths).sort(), data.toSorted());
    const ids = Object.values(paths).flatMap((methods) =>
      Object.values(methods).map(({ operationId }: { operationId: string }) => operationId),
    );
    assert.equal(new Set(ids).size, ids.length, 'operation ids are not unique');
  });
});
