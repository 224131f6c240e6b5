/** bin/headrace, with real configurations, without serving. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { directory, freePort, Program } from '../control/harness.ts';

const BIN = fileURLToPath(new URL('../../bin/headrace', import.meta.url));

interface Result {
  code: number | null;
  stdout: string;
  stderr: string;
}

async function headrace(t: TestContext, args: string[], env: NodeJS.ProcessEnv = {}, bin = BIN): Promise<Result> {
  const program = new Program(t, bin, args, { ...process.env, ...env });
  const { code } = await program.ended;
  return { code, stdout: program.stdout, stderr: program.stderr };
}

/** A prefix with a configuration that does not listen anywhere. */
function prefix(t: TestContext, text = 'events {}\n'): string {
  const dir = directory(t);
  writeFileSync(join(dir, 'nginx.conf'), `error_log error.log;\npid nginx.pid;\ndaemon off;\n${text}`);
  return dir;
}

test('-v, -V, -h', async (t) => {
  const short = await headrace(t, ['-v']);
  assert.match(short.stderr, /^nginx version: nginx\/\d+\.\d+\.\d+ \(Headrace \d+\.\d+\.\d+\S*\)\n$/);
  const long = await headrace(t, ['-V']);
  assert.equal(long.code, 0);
  assert.ok(long.stderr.startsWith(short.stderr));
  // What Test::Nginx matches.
  assert.match(long.stderr, /^built with OpenSSL \d+\.\d+\.\d+/m);
  assert.match(long.stderr, /^TLS SNI support enabled$/m);
  assert.match(long.stderr, /^configure arguments: .*--with-http_ssl_module .*--without-http/m);
  const help = await headrace(t, ['-?']);
  assert.match(help.stderr, /Usage: headrace .*\n[^]*-s signal /);
});

test('a wrong command line', async (t) => {
  const { code, stdout, stderr } = await headrace(t, ['-tx']);
  assert.deepEqual([code, stdout, stderr], [1, '', 'nginx: invalid option: "x"\n']);
});

test('-t: good, bad, missing; -q', async (t) => {
  const dir = prefix(t);
  const file = join(dir, 'nginx.conf');
  const good = await headrace(t, ['-p', dir, '-c', 'nginx.conf', '-t']);
  assert.deepEqual(good, {
    code: 0,
    stdout: '',
    stderr: [
      `nginx: the configuration file ${file} syntax is ok\n`,
      `nginx: configuration file ${file} test is successful\n`,
    ].join(''),
  });
  assert.deepEqual(await headrace(t, ['-p', dir, '-c', 'nginx.conf', '-tq']), { code: 0, stdout: '', stderr: '' });

  writeFileSync(file, 'events {}\nfoo bar;\n');
  const bad = await headrace(t, ['-p', dir, '-c', 'nginx.conf', '-e', 'early.log', '-t', '-q']);
  const message = `[emerg] unknown directive "foo" in ${file}:2`;
  assert.equal(bad.code, 1);
  assert.ok(bad.stderr.startsWith(`nginx: ${message}`), bad.stderr);
  assert.ok(bad.stderr.endsWith(`nginx: configuration file ${file} test failed\n`));
  assert.doesNotMatch(bad.stderr, /\n\s+at /);
  const early = readFileSync(join(dir, 'early.log'), 'utf8');
  assert.match(early, /^\d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d \[emerg\] (\d+)#\d+: unknown directive "foo" in /);

  // The same without -t, and with the log on the terminal: no second copy there.
  const run = await headrace(t, ['-p', dir, '-c', 'nginx.conf']);
  assert.equal(run.code, 1);
  assert.match(run.stderr, /^\d{4}\/[^\n]* \[emerg\] [^\n]*unknown directive "foo"[^\n]*\n$/);

  const none = await headrace(t, ['-p', dir, '-c', 'none.conf', '-t']);
  assert.match(none.stderr, /\[emerg\] .*open\(\) "\S+\/none\.conf" failed \(2: No such file or directory\)\n/);
  assert.equal(none.code, 1);

  const log = await headrace(t, ['-p', prefix(t, 'events {}'), '-c', 'nginx.conf', '-e', 'no/dir.log', '-t']);
  assert.match(log.stderr, /^nginx: \[alert\] could not open error log file: open\(\) "\S+" failed \(2: No such/);
  assert.equal(log.code, 0);
});

test('-t: a log that cannot be opened, an address that cannot be bound, one in use', async (t) => {
  const dir = prefix(t, 'error_log no/error.log;\nevents {}');
  const log = await headrace(t, ['-p', dir, '-c', 'nginx.conf', '-t']);
  assert.equal(log.code, 1);
  assert.match(log.stderr, /syntax is ok\n.*\[emerg\] .*open\(\) "\S+\/no\/error\.log" failed \(2: No such file/);

  const http = (listen: string) => prefix(t, `events {}\nhttp { access_log off; server { listen ${listen}; } }`);
  const foreign = await headrace(t, ['-p', http('192.0.2.1:8099'), '-c', 'nginx.conf', '-t']);
  assert.equal(foreign.code, 1);
  assert.match(foreign.stderr, /bind\(\) to 192\.0\.2\.1:8099 failed \(99: Cannot assign requested address\)/);

  const { createServer } = await import('node:net');
  const port = await freePort();
  const server = createServer().listen(port, '127.0.0.1');
  t.after(() => server.close());
  const busy = await headrace(t, ['-p', http(`127.0.0.1:${port}`), '-c', 'nginx.conf', '-t']);
  assert.equal(busy.code, 0, busy.stderr);
});

test('-T prints all files as they are; -g', async (t) => {
  const dir = prefix(t, 'events {}\ninclude more.conf;\n');
  const more = Buffer.from('# h\xe9llo \xc3\xa9\n', 'latin1');
  writeFileSync(join(dir, 'more.conf'), more);
  const child = spawn(BIN, ['-p', dir, '-c', 'nginx.conf', '-T', '-q', '-g', 'worker_processes 3;']);
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  await new Promise((resolve) => child.once('close', resolve));
  assert.deepEqual(
    Buffer.concat(chunks),
    Buffer.concat([
      Buffer.from(`# configuration file ${dir}/nginx.conf:\n${readFileSync(join(dir, 'nginx.conf'), 'utf8')}\n`),
      Buffer.from(`# configuration file ${dir}/more.conf:\n`),
      more,
      Buffer.from('\n'),
    ]),
  );
  const globals = await headrace(t, ['-p', dir, '-c', 'nginx.conf', '-t', '-g', 'foo']);
  assert.match(globals.stderr, /unexpected end of parameter, expecting ";" in command line/);
});

test('-s: the process that the pid file names', async (t) => {
  const dir = prefix(t);
  const send = (signal: string) => headrace(t, ['-p', dir, '-c', 'nginx.conf', '-e', 'early.log', '-s', signal]);
  const pid = join(dir, 'nginx.pid');

  const none = await send('stop');
  assert.equal(none.code, 1);
  assert.equal(none.stderr, `nginx: [error] open() "${pid}" failed (2: No such file or directory)\n`);
  for (const text of ['', 'foo\n', '-1\n', '0\n', '4194304999\n']) {
    writeFileSync(pid, text);
    const { code, stderr } = await send('quit');
    assert.deepEqual([code, stderr], [1, `nginx: [error] invalid PID number "${text.trim()}" in "${pid}"\n`]);
  }
  writeFileSync(pid, '4194304\n');
  assert.match((await send('reopen')).stderr, /^nginx: \[alert\] kill\(4194304, 10\) failed \(3: No such process\)\n$/);

  const sleeper = new Program(t, 'sleep', ['60']);
  writeFileSync(pid, `${sleeper.pid}\n`);
  assert.equal((await send('stop')).code, 0);
  assert.equal((await sleeper.ended).signal, 'SIGTERM');
  assert.match(readFileSync(join(dir, 'early.log'), 'utf8'), /\[notice\] \d+#0: signal process started/);
});

test('the launcher: through symbolic links, and which Node', async (t) => {
  const dir = directory(t);
  mkdirSync(join(dir, 'a'));
  symlinkSync(BIN, join(dir, 'a', 'first'));
  symlinkSync('a/first', join(dir, 'second'));
  const linked = await headrace(t, ['-v'], {}, join(dir, 'second'));
  assert.match(linked.stderr, /^nginx version/);
  const byPath = await headrace(t, ['-v'], { PATH: `${dir}:${process.env.PATH}` }, 'second');
  assert.match(byPath.stderr, /^nginx version/);

  const old = join(dir, 'old-node');
  writeFileSync(old, '#!/bin/sh\necho v24.10.9\n', { mode: 0o755 });
  const refused = await headrace(t, ['-v'], { HEADRACE_NODE: old });
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /^headrace: HEADRACE_NODE=\S+ is not Node\.js 24\.11 .*\(24\.10\.9\)\n$/);
  const missing = await headrace(t, ['-v'], { HEADRACE_NODE: join(dir, 'none') });
  assert.match(missing.stderr, /not found/);
  const given = await headrace(t, ['-v'], { HEADRACE_NODE: process.execPath });
  assert.equal(given.code, 0);
});
