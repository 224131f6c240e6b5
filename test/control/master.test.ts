/** The process: start, signals, reload, workers' deaths. Real processes, a fake worker. */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { alive, Fake, freePort, get, until } from './harness.ts';

test('start: serves, says so, keeps to the pid file, ends by QUIT', async (t) => {
  const port = await freePort();
  const fake = new Fake(t, { listen: [port] });
  const program = await fake.running(t);
  assert.equal(readFileSync(fake.pidFile, 'utf8'), `${program.pid}\n`);
  // Addresses are bound before the pid file is there: no retry.
  assert.match(await get(port), /\n1 [01]\n$/);
  await fake.logged('start worker process ', 2);
  assert.match(fake.log(), /\[notice\] \d+#0: nginx\/\S+ \(Headrace /);
  // Warnings of the load went to the early log and the terminal, in nginx's two forms.
  assert.match(program.stderr, /^nginx: \[warn\] a warning of the configuration$/m);
  assert.match(
    readFileSync(join(fake.dir, 'early.log'), 'utf8'),
    /^\d{4}\/\d\d\/\d\d [\d:]{8} \[warn\] \d+#0: a warning/,
  );

  program.signal('SIGQUIT');
  assert.deepEqual(await program.ended, { code: 0, signal: null });
  assert.equal(existsSync(fake.pidFile), false);
  assert.match(fake.log(), /signal 3 \(SIGQUIT\) received, shutting down/);
  assert.match(fake.log(), /gracefully shutting down/);
  assert.equal(fake.count('exited with code 0'), 2);
  assert.doesNotMatch(fake.log(), /\[(alert|emerg|error)\]/);
});

test('QUIT lets requests finish; worker_shutdown_timeout ends the wait', async (t) => {
  const port = await freePort();
  const fake = new Fake(t, { listen: [port] });
  const program = await fake.running(t);
  const slow = get(port, '/slow');
  await until('request', async () => (await get(port)) !== '');
  program.signal('SIGQUIT');
  assert.match(await slow, /\n1 [01]\n$/);
  assert.equal((await program.ended).code, 0);

  fake.write({ shutdownTimeoutMs: 100 });
  const second = await fake.running(t);
  const cut = get(port, '/slow');
  await get(port);
  second.signal('SIGQUIT');
  assert.equal(await cut, '');
  assert.equal((await second.ended).code, 0);
});

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`${signal} ends at once, after QUIT too`, async (t) => {
    const port = await freePort();
    const fake = new Fake(t, { listen: [port] });
    const program = await fake.running(t);
    const begun = performance.now();
    const slow = get(port, '/slow');
    await get(port);
    program.signal('SIGQUIT');
    await fake.logged('gracefully shutting down');
    program.signal(signal);
    assert.equal((await program.ended).code, 0);
    assert.ok(performance.now() - begun < 600, 'did not wait for the request');
    assert.equal(await slow, '');
    assert.equal(existsSync(fake.pidFile), false);
  });
}

test('HUP: new configuration, old requests end under the old one, one line a worker when drained', async (t) => {
  const [first, second] = [await freePort(), await freePort()];
  const fake = new Fake(t, { listen: [first] });
  const program = await fake.running(t);
  const slow = get(first, '/slow');
  await get(first);
  fake.write({ listen: [first, second] });
  program.signal('SIGHUP');
  await until('second port', async () => (await get(second)) !== '');
  assert.match(fake.log(), /signal 1 \(SIGHUP\) received, reconfiguring/);
  assert.match(await get(first), /\n2 [01]\n$/);
  assert.match(await slow, /\n1 [01]\n$/);
  await fake.logged('exited with code 0', 2);

  fake.write({ listen: [second] });
  program.signal('SIGHUP');
  await until('first port closed', async () => (await get(first)) === '');
  await fake.logged('exited with code 0', 4);
  assert.equal(fake.count('exited with code'), 4);
  program.signal('SIGTERM');
  await program.ended;
});

test('HUP with a bad configuration changes nothing', async (t) => {
  const [port, taken] = [await freePort(), await freePort()];
  const fake = new Fake(t, { listen: [port] });
  const program = await fake.running(t);
  const good = readFileSync(fake.file);

  writeFileSync(fake.file, 'nonsense');
  program.signal('SIGHUP');
  await fake.logged(`[emerg] ${program.pid}#0: SyntaxError in ${fake.file}:1`);
  assert.match(await get(port), /\n1 [01]\n$/);

  // Refused by the workers.
  fake.write({ orders: ['refuse'] });
  program.signal('SIGHUP');
  await fake.logged('told to refuse');
  assert.match(await get(port), /\n1 [01]\n$/);

  // A worker that dies of the new configuration comes back with the old one.
  fake.write({ orders: ['die-in-prepare'] });
  program.signal('SIGHUP');
  await fake.logged('exited before it was ready');
  await until('workers are back', async () => (await get(port)).endsWith('\n1 0\n'));

  // A log file that cannot be opened.
  fake.write({ orders: [], log: join(fake.dir, 'no', 'error.log') });
  program.signal('SIGHUP');
  await fake.logged(`open() "${fake.dir}/no/error.log" failed (2: No such file or directory)`);
  fake.write({ log: fake.logFile });

  // A port of somebody else.
  const other = createServer().listen(taken, '127.0.0.1');
  t.after(() => other.close());
  await once(other, 'listening');
  fake.write({ listen: [port, taken] });
  program.signal('SIGHUP');
  await fake.logged('still could not bind()');
  assert.equal(fake.count(`bind() to 127.0.0.1:${taken} failed (98: Address already in use)`), 5);

  writeFileSync(fake.file, good);
  program.signal('SIGHUP');
  await until('a good one is taken', async () => !/\n1 [01]\n$/.test(await get(port)));
  program.signal('SIGQUIT');
  assert.equal((await program.ended).code, 0);
});

test('many HUPs at once are few reloads, and the last configuration holds', async (t) => {
  const [first, second] = [await freePort(), await freePort()];
  const fake = new Fake(t, { listen: [first], loadMs: 100 });
  const program = await fake.running(t);
  for (let i = 0; i < 20; i++) {
    if (i === 19) fake.write({ listen: [second] });
    program.signal('SIGHUP');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await until('last configuration', async () => (await get(second)) !== '' && (await get(first)) === '');
  assert.ok(fake.count('#0: reconfiguring') < 5);
  assert.doesNotMatch(fake.log(), /\[(alert|emerg|error)\]/);
  program.signal('SIGQUIT');
  assert.equal((await program.ended).code, 0);
});

test('worker_processes changes with a reload', async (t) => {
  const port = await freePort();
  const fake = new Fake(t, { listen: [port], workers: 1 });
  const program = await fake.running(t);
  fake.write({ workers: 3 });
  program.signal('SIGHUP');
  const seen = new Set<string>();
  await until('three workers', async () => seen.add((await get(port)).slice(-2)).size >= 3);
  fake.write({ workers: 1 });
  program.signal('SIGHUP');
  await fake.logged('start worker process ', 5);
  await until('one worker', async () => {
    const answers = await Promise.all(Array.from({ length: 10 }, () => get(port)));
    return answers.every((answer) => answer.endsWith(' 0\n'));
  });
  program.signal('SIGQUIT');
  assert.equal((await program.ended).code, 0);
});

for (const path of ['/throw', '/exit']) {
  test(`a worker that dies (${path}) is replaced within a second`, async (t) => {
    const port = await freePort();
    const fake = new Fake(t, { listen: [port], workers: 1 });
    const program = await fake.running(t);
    for (let i = 1; i <= 2; i++) {
      const died = performance.now();
      await get(port, path);
      await until('replacement', async () => (await get(port)).endsWith('\n1 0\n'));
      assert.ok(performance.now() - died < 1000);
      await fake.logged('exited on fatal error', i);
    }
    assert.match(fake.log(), /\[alert\] \d+#0: worker process \d+ exited on fatal error: /);
    // A reload finds the replacement.
    program.signal('SIGHUP');
    await until('reload', async () => (await get(port)).endsWith('\n2 0\n'));
    program.signal('SIGQUIT');
    assert.equal((await program.ended).code, 0);
  });
}

test('USR1: logs are reopened, by workers too', async (t) => {
  const port = await freePort();
  const fake = new Fake(t, { listen: [port], workers: 1 });
  const program = await fake.running(t);
  renameSync(fake.logFile, `${fake.logFile}.1`);
  program.signal('SIGUSR1');
  await fake.logged('reopening logs', 0);
  await until('new file', () => existsSync(fake.logFile));
  await until('worker writes to it', async () => {
    await get(port, '/log');
    return fake.count('a line for the log') > 0;
  });
  assert.match(readFileSync(`${fake.logFile}.1`, 'utf8'), /signal 10 \(SIGUSR1\) received, reopening logs/);
  program.signal('SIGUSR2');
  await fake.logged('SIGUSR2');
  program.signal('SIGQUIT');
  assert.equal((await program.ended).code, 0);
});

test("a port in use: five tries, then an end with nginx's words", async (t) => {
  const port = await freePort();
  const first = new Fake(t, { listen: [port] });
  const one = await first.running(t);
  // Another one of the same kind and user: SO_REUSEPORT would let it in.
  const second = new Fake(t, { listen: [port] });
  const two = second.start(t);
  assert.deepEqual(await two.ended, { code: 1, signal: null });
  const text = `bind() to 127.0.0.1:${port} failed (98: Address already in use)`;
  assert.equal(second.count(`[emerg] ${two.pid}#0: ${text}`), 5);
  assert.equal(two.stderr.split(`nginx: [emerg] ${text}\n`).length - 1, 5);
  assert.match(two.stderr, /nginx: \[emerg\] still could not bind\(\)\n$/);
  assert.equal(existsSync(second.pidFile), false);
  assert.notEqual(await get(port), '');
  one.signal('SIGTERM');
  await one.ended;
});

test('the start fails: refused by workers, pid file that cannot be written', async (t) => {
  const fake = new Fake(t, { listen: [await freePort()], orders: ['refuse'] });
  const refused = fake.start(t);
  assert.equal((await refused.ended).code, 1);
  assert.match(refused.stderr, /nginx: \[emerg\] told to refuse\n/);

  fake.write({ orders: [], pid: join(fake.dir, 'no', 'pid') });
  const noPid = fake.start(t);
  assert.equal((await noPid.ended).code, 1);
  assert.match(noPid.stderr, /nginx: \[emerg\] open\(\) ".*\/no\/pid" failed \(2: No such file or directory\)\n/);
});

test('unix sockets: a stale file is taken over, one in use is not, none is left', async (t) => {
  const fake = new Fake(t, { workers: 2 });
  const path = join(fake.dir, 'socket');
  fake.write({ listen: [path] });
  const killed = await fake.running(t);
  assert.notEqual(await get(path), '');
  killed.signal('SIGKILL');
  await killed.ended;
  assert.ok(existsSync(path), 'stale socket');
  // The pid file is stale as well.
  const before = readFileSync(fake.pidFile, 'utf8');

  const program = fake.start(t);
  await until('pid file', () => ![before, ''].includes(readFileSync(fake.pidFile, 'utf8')));
  assert.notEqual(await get(path), '');

  const second = new Fake(t, { listen: [path] });
  const two = second.start(t);
  assert.equal((await two.ended).code, 1);
  assert.match(two.stderr, /bind\(\) to unix:.*\/socket failed \(98: Address already in use\)/);

  program.signal('SIGQUIT');
  await program.ended;
  assert.equal(existsSync(path), false);
  assert.equal(existsSync(fake.pidFile), false);
});

test('daemon on: the parent ends when the child is ready, or shows why it is not', async (t) => {
  const port = await freePort();
  const fake = new Fake(t, { listen: [port], daemon: true });
  const parent = fake.start(t);
  assert.deepEqual(await parent.ended, { code: 0, signal: null });
  const pid = Number(readFileSync(fake.pidFile, 'utf8'));
  t.after(() => alive(pid) && process.kill(pid, 'SIGKILL'));
  assert.notEqual(pid, parent.pid);
  assert.notEqual(await get(port), '');
  // A session of its own: field 6 of stat.
  assert.equal(readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ')[5], String(pid));

  const second = new Fake(t, { listen: [port], daemon: true });
  const failing = second.start(t);
  assert.equal((await failing.ended).code, 1);
  assert.match(failing.stderr, /nginx: \[emerg\] bind\(\) to 127\.0\.0\.1:\d+ failed \(98: Address already in use\)\n/);

  process.kill(pid, 'SIGQUIT');
  await until('end of the daemon', () => !alive(pid));
  assert.equal(existsSync(fake.pidFile), false);
});

test('user: serves as another user, reloads as root', { skip: process.getuid?.() !== 0 && 'needs root' }, async (t) => {
  // Only root may have it, as a port below 1024.
  const [port, next] = [await freePort(), 1000 + (process.pid % 20)];
  const fake = new Fake(t, { listen: [port], user: 'nobody', workers: 1 });
  chmodSync(fake.dir, 0o755);
  const program = await fake.running(t);
  await until('effective user', () => identity(program.pid) === 'Uid:\t0\t65534\t0\t65534');
  assert.equal(statSync(fake.logFile).uid, 65534);

  fake.write({ listen: [port, next], log: `${fake.logFile}2` });
  chmodSync(fake.file, 0o600);
  program.signal('SIGHUP');
  await until('port of root', async () => (await get(next)) !== '');
  await until('nobody again', () => identity(program.pid) === 'Uid:\t0\t65534\t0\t65534');

  await get(next, '/throw');
  await until('replacement', async () => (await get(next)) !== '');
  program.signal('SIGQUIT');
  assert.equal((await program.ended).code, 0);
  assert.equal(existsSync(fake.pidFile), false);

  fake.write({ user: 'no-such-user' });
  const second = fake.start(t);
  assert.equal((await second.ended).code, 1);
  assert.match(second.stderr, /\[emerg\] getpwnam\("no-such-user"\) failed\n/);
});

/** Real, effective, saved and file system user of a process: all threads have the same. */
function identity(pid: number): string {
  return /^Uid:.*$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[0] ?? '';
}
