/** Groups of servers through the real program: who is chosen, how often, over how many connections. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { TestDns } from '../discovery/dns-server.ts';
import { answering, Backend, ok } from '../helpers/backend.ts';
import { type Ask, ask, Client, compose } from '../helpers/client.ts';
import { Headrace } from '../helpers/headrace.ts';
import { all, field, type Response, text } from '../helpers/http1.ts';
import { suiteScope, until } from '../helpers/wait.ts';

const scope = suiteScope(after);
const NAMES = ['a', 'b', 'c'] as const;
const servers: Record<string, Backend> = {};
let slow: Backend;
let dns: TestDns;
let h: Headrace;
/** Where `name.test` leads. */
let addresses = ['127.0.0.1'];

before(async () => {
  for (const name of NAMES) {
    servers[name] = await Backend.start(
      scope,
      answering((r) => ok(name, r.target.includes('session') ? [`Set-Cookie: session=${name}-session`] : [])),
      { host: '0.0.0.0' },
    );
  }
  slow = await Backend.start(scope, async (c) => void (await c.request()));
  dns = await new TestDns((q) => ({
    answers:
      q.type === 'A' && q.name === 'name.test'
        ? addresses.map((data) => ({ type: 'A' as const, name: q.name, ttl: 1, data }))
        : [],
  })).start();
  scope.after(() => dns.stop());
  const [a, b, c] = NAMES.map((name) => `127.0.0.1:${servers[name]!.port}`);
  h = await Headrace.start(scope, ({ port }) => {
    const dead = `127.0.0.1:${port('nobody')}`;
    const groups: Record<string, string> = {
      even: `server ${a}; server ${b}; server ${c};`,
      weights: `server ${a} weight=5; server ${b}; server ${c};`,
      down: `server ${a} down; server ${b};`,
      alldown: `server ${a} down; server ${b} down;`,
      backup: `server ${dead}; server ${b} backup;`,
      failing: `server ${dead} max_fails=1 fail_timeout=60s; server ${b};`,
      least: `least_conn; server 127.0.0.1:${slow.port}; server ${b};`,
      hash: `hash $arg_k; server ${a}; server ${b}; server ${c};`,
      ring: `hash $arg_k consistent; server ${a}; server ${b}; server ${c};`,
      iphash: `ip_hash; server ${a}; server ${b}; server ${c};`,
      random: `random two; server ${a}; server ${b}; server ${c};`,
      leasttime: `least_time header; server ${a}; server ${b};`,
      limited: `zone limited 64k; server 127.0.0.1:${slow.port} max_conns=2; server ${b} backup;`,
      full: `zone full 64k; server 127.0.0.1:${slow.port} max_conns=1;`,
      kept: `server ${c}; keepalive 2;`,
      keptfew: `server ${c}; keepalive 2; keepalive_requests 3;`,
      keptshort: `server ${c}; keepalive 2; keepalive_timeout 200ms;`,
      cookie: `server ${a}; server ${b}; server ${c}; sticky cookie srv expires=1h domain=.x.test path=/p httponly;`,
      route: `server ${a} route=a; server ${b} route=b; sticky route $cookie_route $arg_route;`,
      learn: `zone learn 128k; server ${a}; server ${b}; server ${c}; sticky learn create=$upstream_cookie_session lookup=$cookie_session zone=sessions:1m;`,
      resolved: `zone resolved 128k; resolver 127.0.0.1:${dns.port} valid=1s ipv6=off; server name.test:${servers['a']!.port} resolve;`,
    };
    return `
      ${Object.entries(groups)
        .map(([name, body]) => `upstream ${name} { ${body} }`)
        .join('\n')}
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      server {
        listen 127.0.0.1:${port('main')};
        ${Object.keys(groups)
          .map((name) => `location /${name}/ { add_header X-Upstream $upstream_addr; proxy_pass http://${name}/; }`)
          .join('\n')}
        location /variable/ { resolver 127.0.0.1:${dns.port} ipv6=off; set $n name.test; proxy_pass http://$n:${servers['b']!.port}; }
        location /unresolved/ { resolver 127.0.0.1:${dns.port} ipv6=off; set $n none.test; proxy_pass http://$n:1; }
      }`;
  });
});

const get = (target: string, options?: Ask): Promise<Response> => ask(scope, h.port('main'), target, options);

/** Who answered `n` requests, one after another. */
async function sequence(target: string, n: number, options?: Ask): Promise<string> {
  let who = '';
  for (let i = 0; i < n; i++) who += text(await get(target, options));
  return who;
}

describe('choosing', () => {
  test("round robin and weights, in nginx's order", async () => {
    assert.equal(await sequence('/even/', 6), 'abcabc');
    assert.equal(await sequence('/weights/', 14), 'aabacaaaabacaa');
  });

  test('down, backup, failures', async () => {
    assert.equal(await sequence('/down/', 3), 'bbb');
    assert.equal((await get('/alldown/')).status, 502);
    assert.equal(await sequence('/backup/', 3), 'bbb');
    assert.equal(await sequence('/failing/', 4), 'bbbb');
    await h.logged('upstream server temporarily disabled while connecting to upstream');
    // Put aside once, asked no more.
    const refused = h.lines('failing').length;
    assert.equal(await sequence('/failing/', 4), 'bbbb');
    assert.equal(h.lines('failing').length, refused);
  });

  test('hashes stay with their server and spread', async () => {
    for (const group of ['hash', 'ring']) {
      const found = new Map<string, string>();
      for (let k = 0; k < 20; k++) found.set(String(k), text(await get(`/${group}/?k=${k}`)));
      for (const [k, who] of found) assert.equal(text(await get(`/${group}/?k=${k}`)), who);
      assert.ok(new Set(found.values()).size > 1, group);
    }
    assert.equal(new Set(await sequence('/iphash/', 5)).size, 1);
  });

  test('random, least_time', async () => {
    assert.match(await sequence('/random/', 10), /^[abc]{10}$/);
    assert.match(await sequence('/leasttime/', 10), /^[ab]{10}$/);
  });

  test('least_conn goes to whom has least to do', async (t) => {
    const busy = await Client.connect(t, h.port('main'));
    await busy.send(compose('/least/'));
    await until('it to be busy', () => slow.requests.length > 0);
    assert.equal(await sequence('/least/', 3), 'bbb');
    busy.destroy();
  });

  test('max_conns', async (t) => {
    slow.forget();
    const busy: Client[] = [];
    for (let i = 1; i <= 2; i++) {
      const client = await Client.connect(t, h.port('main'));
      await client.send(compose('/limited/'));
      busy.push(client);
      await until('it to be busy', () => slow.requests.length === i);
    }
    assert.equal(await sequence('/limited/', 2), 'bb');
    for (const client of busy) client.destroy();
    // A client that left gives its place back.
    await until('places to be free', () => slow.open === 0);
    const again = await Client.connect(t, h.port('main'));
    await again.send(compose('/limited/'));
    await until('it to be asked again', () => slow.requests.length === 3);
    again.destroy();

    const only = await Client.connect(t, h.port('main'));
    await only.send(compose('/full/'));
    await until('it to be busy', () => slow.requests.length === 4);
    assert.equal((await get('/full/')).status, 502);
    await h.logged('no live upstreams while connecting to upstream');
    only.destroy();
  });
});

describe('connections to servers', () => {
  test('are used again, one after another and in parallel', async (t) => {
    const c = servers['c']!;
    const before = c.connections.length;
    await sequence('/kept/', 5);
    assert.equal(c.connections.length, before + 1);
    const clients = await Promise.all(Array.from({ length: 6 }, () => Client.connect(t, h.port('main'))));
    for (let round = 0; round < 3; round++) {
      await Promise.all(
        clients.map(async (client) => {
          await client.send(compose('/kept/'));
          assert.equal(text(await client.response()), 'c');
        }),
      );
      await until('no more than two to be kept', () => c.connections.slice(before).filter((x) => !x.ended).length <= 2);
    }
  });

  test('keepalive_requests', async () => {
    const c = servers['c']!;
    const before = c.connections.length;
    await sequence('/keptfew/', 7);
    assert.equal(c.connections.length - before, 3);
  });

  test('keepalive_timeout', async () => {
    const c = servers['c']!;
    await get('/keptshort/');
    const last = c.connections.at(-1)!;
    await last.gone();
    assert.equal(text(await get('/keptshort/')), 'c');
  });
});

describe('stickiness', () => {
  test('cookie', async () => {
    const first = await get('/cookie/');
    const [cookie] = all(first, 'set-cookie');
    assert.match(cookie!, /^srv=[0-9a-f]{32}; /);
    for (const attribute of [/; expires=[^;]+/i, /; domain=\.x\.test/i, /; path=\/p/i, /; httponly/i])
      assert.match(cookie!, attribute);
    const value = cookie!.split(';')[0]!;
    assert.equal(await sequence('/cookie/', 4, { fields: [`Cookie: x=y; ${value}`] }), text(first).repeat(4));
    assert.deepEqual(all(await get('/cookie/', { fields: [`Cookie: ${value}`] }), 'set-cookie').length, 1);
    // A forged one falls back to balancing, and is replaced.
    const forged = await get('/cookie/', { fields: [`Cookie: srv=${'0'.repeat(32)}`] });
    assert.match(all(forged, 'set-cookie')[0]!, /^srv=[0-9a-f]{32}/);
    assert.ok(new Set(await sequence('/cookie/', 6)).size > 1);
  });

  test('route', async () => {
    assert.equal(await sequence('/route/?route=b', 3), 'bbb');
    assert.equal(await sequence('/route/?route=b', 3, { fields: ['Cookie: route=a'] }), 'aaa');
    assert.equal(new Set(await sequence('/route/?route=none', 4)).size, 2);
  });

  test('learn', async () => {
    const first = await get('/learn/?session');
    const session = all(first, 'set-cookie')[0]!;
    assert.equal(await sequence('/learn/', 4, { fields: [`Cookie: ${session}`] }), text(first).repeat(4));
  });
});

describe('names', () => {
  test('a server that is resolved follows its name', async () => {
    const upstream = async (): Promise<string | null> => field(await get('/resolved/'), 'x-upstream');
    const port = servers['a']!.port;
    await until('the first address', async () => (await upstream()) === `127.0.0.1:${port}`);
    addresses = ['127.0.0.2'];
    await until('the second address', async () => (await upstream()) === `127.0.0.2:${port}`);
    addresses = ['127.0.0.3', '127.0.0.4'];
    await until('both addresses', async () => {
      const seen = new Set([await upstream(), await upstream()]);
      return seen.has(`127.0.0.3:${port}`) && seen.has(`127.0.0.4:${port}`);
    });
    addresses = ['127.0.0.1'];
    await until(
      'one again',
      async () => (await upstream()) === `127.0.0.1:${port}` && (await upstream()) === `127.0.0.1:${port}`,
    );
  });

  test('a variable names a server', async () => {
    assert.equal(text(await get('/variable/')), 'b');
    assert.equal((await get('/unresolved/')).status, 502);
    await h.logged('none.test could not be resolved');
  });
});
