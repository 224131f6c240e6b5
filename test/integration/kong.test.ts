/** `headrace kong` as it is run: who may call it, what survives kill -9 and a database that is away, and `admin {}` of nginx.conf. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { Headrace, directory } from '../helpers/headrace.ts';
import { get, Target } from '../helpers/kong-gateway.ts';
import { BINARY, KongProcess } from '../helpers/kong.ts';
import { Postgres } from '../helpers/postgres.ts';
import { until } from '../helpers/wait.ts';

const run = promisify(execFile);

const WRITES = 1000;
const KILLS = 3;

/**
 * A thousand writes, and the process is killed again and again in the midst of them; what was not answered is asked for once
 * more. After each kill all that was answered has to be there.
 *
 * @param look the node that is asked what is there
 */
async function writeAndKill(kong: KongProcess, look: KongProcess): Promise<void> {
  const answered: string[] = [];
  let waiting = Array.from({ length: WRITES }, (_, i) => `u${i % 8}-${i}`);
  for (let kills = 0; waiting.length > 0;) {
    const before = answered.length;
    const again: string[] = [];
    let killed = false;
    const write = async (): Promise<void> => {
      for (let name: string | undefined; !killed && (name = waiting.pop()) !== undefined;) {
        // One that was done without an answer is there when it is asked for again.
        const status = await kong.send('PUT', `/upstreams/${name}`, {}).then(
          (answer) => answer.status,
          () => 0,
        );
        if (status === 200) answered.push(name);
        else again.push(name);
      }
    };
    const writers = Array.from({ length: 8 }, write);
    if (kills < KILLS) {
      await until('some writes', () => answered.length >= before + WRITES / (KILLS + 1));
      await kong.stop('SIGKILL');
      killed = true;
      kills++;
      await Promise.all(writers);
      if (kong === look) await kong.start();
      await assertAllThere(look, answered, 8);
      if (kong !== look) await kong.start();
    } else await Promise.all(writers);
    waiting = [...waiting, ...again];
  }
  assert.equal(answered.length, WRITES);
  await assertAllThere(look, answered, 0);
}

/** @param more so many may be there that were not answered */
async function assertAllThere(kong: KongProcess, answered: readonly string[], more: number): Promise<void> {
  const found = new Set<string>();
  for (let url: string | null = '/upstreams?size=1000'; url !== null;) {
    const page = (await kong.send('GET', url)).json as { data: { name: string }[]; next: string | null };
    for (const { name } of page.data) if (/^u\d-/.test(name)) found.add(name);
    url = page.next;
  }
  assert.deepEqual(
    answered.filter((name) => !found.has(name)),
    [],
  );
  assert.ok(found.size - new Set(answered).size <= more, 'more is there than was asked for');
}

test('SQLite: answers as Kong does, keeps through kill -9 what it has answered, and exports it', async (t) => {
  const dir = directory(t);
  const kong = await KongProcess.start(t, dir, ['--admin-token', 'secret']);
  assert.equal((await kong.send('GET', '/')).status, 401);
  kong.headers = { 'kong-admin-token': 'secret' };
  const { status, headers } = await kong.send('POST', '/upstreams', { name: 'first' });
  assert.equal(status, 201);
  assert.match(headers.get('x-kong-admin-latency') ?? '', /^\d+$/);
  assert.match(headers.get('server') ?? '', /^headrace\//);
  assert.equal(headers.get('via'), null);
  assert.equal((await kong.send('GET', '/', undefined, { origin: 'https://evil.test' })).status, 403);
  const { node_id: id } = (await kong.send('GET', '/')).json as { node_id: string };
  assert.equal((await kong.send('DELETE', '/upstreams/nobody')).status, 204);

  await writeAndKill(kong, kong);
  assert.equal(((await kong.send('GET', '/')).json as { node_id: string }).node_id, id);
  await kong.stop();
  assert.equal(statSync(join(dir, 'data/kong.db')).mode & 0o077, 0, 'the store is for others to read');
  const { stdout } = await run(BINARY, ['kong', 'export', '--data', join(dir, 'data')], { maxBuffer: 1 << 26 });
  assert.match(stdout, /^_format_version: "3\.0"\n/);
  assert.ok(stdout.includes('name: first\n'));
});

test('PostgreSQL: two nodes, kill -9 of one, and a database that goes away', async (t) => {
  const postgres = await Postgres.start(t, t);
  if (postgres === null) return;
  const store = ['--store', await postgres.database()];
  const [a, b] = await Promise.all([
    KongProcess.start(t, directory(t), store),
    KongProcess.start(t, directory(t), store),
  ]);
  await writeAndKill(a, b);

  await postgres.stop();
  await until('it to be said', () => b.log.includes('store is away, going on with what was last known'));
  const away = await b.send('POST', '/upstreams', { name: 'v' });
  assert.deepEqual([away.status, away.json], [500, { message: 'An unexpected error occurred' }]);
  assert.deepEqual(((await b.send('GET', '/status')).json as { database: object }).database, { reachable: false });
  await postgres.start();
  await until('a write', async () => (await b.send('POST', '/upstreams', { name: 'w' })).status !== 500);
  await until('it to be said', () => b.log.includes('is back'));
  assert.equal((await b.send('GET', '/upstreams/w')).status, 200);
});

test('PostgreSQL: a node that starts while the database is away', async (t) => {
  const postgres = await Postgres.start(t, t);
  if (postgres === null) return;
  const store = ['--store', await postgres.database()];
  const dir = directory(t);
  const target = await Target.start(t);
  const node = await KongProcess.start(t, dir, store);
  await node.send('POST', '/services', { name: 's', url: `http://${target.address}` });
  await node.send('POST', '/services/s/routes', { hosts: ['known.test'] });
  const status = async (host: string): Promise<number> => (await get(node.proxyPort, '/', { host })).status;
  await until('the route', async () => (await status('known.test')) === 200);
  await node.stop('SIGTERM');
  assert.equal(statSync(join(dir, 'data/last-known.json')).mode & 0o077, 0, 'keys are for others to read');
  await postgres.stop();

  // By what it knew.
  await node.start();
  assert.equal(await status('known.test'), 200);
  assert.match(node.log, /store is away, going on with what was last known/);
  assert.equal((await node.send('GET', '/services')).status, 500);
  await postgres.start();
  await until(
    'a write',
    async () => (await node.send('PUT', '/services/s', { host: 'nowhere.invalid' })).status === 200,
  );
  await until('it to be in effect', async () => (await status('known.test')) === 503);
  assert.match(node.log, /is back/);

  // Knowing nothing it waits, and ends when it is told to.
  await postgres.stop();
  const fresh = new Promise<KongProcess>((resolve) => {
    void KongProcess.start(t, directory(t), store).then(resolve);
  });
  await postgres.start();
  assert.deepEqual((await (await fresh).send('GET', '/services/s')).status, 200);
  await postgres.stop();
  const child = spawn(BINARY, [
    'kong',
    '--admin-listen',
    'off',
    '--proxy-listen',
    'off',
    '--data',
    directory(t),
    ...store,
  ]);
  t.after(() => void child.kill('SIGKILL'));
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (log += text));
  await until('it to wait', () => log.includes('trying again for 30 seconds'));
  const told = performance.now();
  child.kill('SIGTERM');
  await until('its end', () => child.exitCode !== null);
  assert.ok(performance.now() - told < 20_000);
});

test('kong.yml: loaded, and loaded again by HUP if it is good', async (t) => {
  const dir = directory(t);
  const file = join(dir, 'kong.yml');
  const write = (slots: number): void =>
    writeFileSync(file, `_format_version: "3.0"\nupstreams:\n- name: u\n  slots: ${slots}\n`);
  write(11);
  const kong = await KongProcess.start(t, dir, [], { KONG_DECLARATIVE_CONFIG: file });
  const slots = async (): Promise<unknown> =>
    ((await kong.send('GET', '/upstreams/u')).json as { slots: number }).slots;
  const hash = async (): Promise<unknown> =>
    ((await kong.send('GET', '/status')).json as { configuration_hash: string }).configuration_hash;
  assert.equal(await slots(), 11);
  assert.equal((await kong.send('POST', '/upstreams', { name: 'v' })).status, 405);
  const before = await hash();
  write(5);
  kong.signal('SIGHUP');
  await until('a refusal', () =>
    kong.log.includes('kong.yml:4: upstreams.1.slots: value should be between 10 and 65536'),
  );
  assert.deepEqual([await slots(), await hash()], [11, before]);
  write(12);
  kong.signal('SIGHUP');
  await until('the new one', async () => (await slots()) === 12);
  assert.notEqual(await hash(), before);
});

test('admin {} of nginx.conf: started, moved and ended by reloads', async (t) => {
  const h = await Headrace.start(
    t,
    ({ port }) => `server { listen 127.0.0.1:${port('http')}; location / { return 200 ok; } }`,
  );
  const ports = { admin: h.port('admin'), other: h.port('other'), proxy: h.port('proxy') };
  const file = join(h.dir, 'headrace.conf');
  const plain = readFileSync(file, 'utf8');
  const reload = (text: string): void => {
    writeFileSync(file, text + plain);
    h.signal('SIGHUP');
  };
  const block = (port: number, more = ''): string =>
    `admin { listen 127.0.0.1:${port}; proxy_listen 127.0.0.1:${ports.proxy}; store sqlite:data/k.db; ${more} }\n`;
  const ask = async (port: number): Promise<number> =>
    fetch(`http://127.0.0.1:${port}/upstreams`).then(
      async (response) => {
        await response.text();
        return response.status;
      },
      () => 0,
    );
  reload(block(ports.admin));
  await until('the API', async () => (await ask(ports.admin)) === 200);
  assert.ok(existsSync(join(h.dir, 'data/k.db')));
  const proxied = await fetch(`http://127.0.0.1:${ports.proxy}/`);
  assert.equal(proxied.status, 404);
  assert.match(await proxied.text(), /no Route matched/);
  reload(block(ports.other, 'token t;'));
  await until('it at its new place', async () => (await ask(ports.other)) === 401);
  await until('the old one to end', async () => (await ask(ports.admin)) === 0);
  reload(block(ports.other, 'store memory;'));
  await until('a refusal', () => h.errorLog().includes('"store" directive is duplicate'));
  assert.equal(await ask(ports.other), 401);
  reload('');
  await until('the end', async () => (await ask(ports.other)) === 0);
});
