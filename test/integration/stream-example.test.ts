/** examples/stream/nginx.conf, on free ports: TCP, TLS passed through, DNS. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect } from 'node:tls';
import { directory } from '../helpers/headrace.ts';
import { freePort } from '../helpers/ports.ts';
import { answer, Caller, Datagrams, echo, listen } from '../helpers/stream.ts';
import { until } from '../helpers/wait.ts';

const ROOT = join(import.meta.dirname, '../..');

test('the example of docs/stream.md runs as it is written', async (t) => {
  const names: string[] = [];
  // What a server of TLS sees first: the client's hello.
  const site = (name: string) => (caller: Caller) => {
    caller.socket.once('data', () => {
      names.push(name);
      caller.socket.destroy();
    });
  };
  const servers: Record<string, number> = {
    15432: await listen(t, echo('one ')),
    15433: await listen(t, echo('two ')),
    18443: await listen(t, site('shop')),
    18444: await listen(t, site('org')),
    18445: await listen(t, site('default')),
    10053: await answer(t, (text) => [`a:${text}`]),
    10054: await answer(t, (text) => [`b:${text}`]),
    5432: await freePort(),
    8443: await freePort(),
    5353: await freePort(),
  };
  const dir = directory(t);
  const text = readFileSync(join(ROOT, 'examples/stream/nginx.conf'), 'utf8');
  writeFileSync(
    join(dir, 'nginx.conf'),
    text.replace(/(127\.0\.0\.1:)(\d+)/g, (_all, host: string, port: string) => `${host}${servers[port]}`),
  );
  const child: ChildProcess = spawn(join(ROOT, 'bin/headrace'), ['-p', dir, '-c', 'nginx.conf', '-g', 'daemon off;']);
  const ended = new Promise((resolve) => child.once('close', resolve));
  t.after(async () => {
    child.kill('SIGTERM');
    await ended;
  });
  let said = '';
  child.stderr!.on('data', (data) => (said += String(data)));
  await until(
    () => `the start: ${said}`,
    () => existsSync(join(dir, 'headrace.pid')),
    60_000,
  );

  const greet = async (): Promise<string> => {
    const caller = await Caller.to(t, servers[5432]!);
    caller.send('hello');
    caller.socket.end();
    return caller.rest();
  };
  const first = await greet();
  assert.match(first, /^(one|two) hello$/);
  assert.equal(await greet(), first, 'a client comes back to its server');

  for (const [name, expected] of [
    ['shop.example.com', 'shop'],
    ['www.example.org', 'org'],
    ['other.test', 'default'],
  ] as const) {
    const socket = connect({ host: '127.0.0.1', port: servers[8443]!, servername: name });
    socket.on('error', () => {});
    t.after(() => socket.destroy());
    await until(`a hello at ${expected}`, () => names.at(-1) === expected);
  }

  const client = await Datagrams.open(t);
  client.send(servers[5353]!, 'question');
  await client.count(1);
  client.send(servers[5353]!, 'another');
  const answers = [...(await client.count(2))].sort();
  assert.deepEqual(
    answers.map((line) => line.slice(0, 2)),
    ['a:', 'b:'],
    'each question is a session of its own',
  );
  await until('the log', () => /UDP 200 /.test(readFileSync(join(dir, 'access.log'), 'utf8')));
});
