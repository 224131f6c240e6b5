/** bin/headrace serving: foreground and background, controlled by -s. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { guessWorkers } from '../../src/control/early-workers.ts';
import { alive, directory, freePort, get, Program, until } from '../control/harness.ts';

const BIN = fileURLToPath(new URL('../../bin/headrace', import.meta.url));

class Server {
  readonly dir: string;
  readonly port: number;

  constructor(t: TestContext, port: number) {
    this.dir = directory(t);
    this.port = port;
  }

  configure(answer: string, more = ''): void {
    const text = `
      error_log error.log notice;
      pid nginx.pid;
      worker_processes 2;
      ${more}
      events {}
      http {
        access_log access.log;
        server { listen 127.0.0.1:${this.port}; location / { return 200 "${answer}"; } }
      }`;
    writeFileSync(join(this.dir, 'nginx.conf'), text);
  }

  run(t: TestContext, ...args: string[]): Program {
    return new Program(t, BIN, ['-p', this.dir, '-c', 'nginx.conf', '-e', 'error.log', ...args]);
  }

  read(name: string): string {
    const path = join(this.dir, name);
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  }
}

test('foreground: serve, reload, reopen, quit', async (t) => {
  const server = new Server(t, await freePort());
  server.configure('one', 'daemon off;');
  const program = server.run(t);
  await until('pid file', () => server.read('nginx.pid') !== '' || program.child.exitCode !== null);
  // exec: the process is the one that was started.
  assert.equal(server.read('nginx.pid'), `${program.pid}\n`, program.stderr);
  assert.match(await get(server.port), /\r\n\r\none$/);
  await until('access log', () => server.read('access.log').includes('"GET / HTTP/1.0" 200'));

  server.configure('two', 'daemon off;');
  assert.equal((await server.run(t, '-s', 'reload').ended).code, 0);
  await until('reload', async () => (await get(server.port)).endsWith('two'));
  await until('drained', () => server.read('error.log').split('exited with code 0').length === 3);

  writeFileSync(join(server.dir, 'nginx.conf'), 'events { nonsense; }');
  program.signal('SIGHUP');
  await until('refusal', () => server.read('error.log').includes('[emerg]'));
  assert.match(server.read('error.log'), /unknown directive "nonsense" in .*nginx\.conf:1/);
  assert.match(await get(server.port), /two$/);

  server.configure('two', 'daemon off;');
  renameSync(join(server.dir, 'access.log'), join(server.dir, 'access.log.1'));
  assert.equal((await server.run(t, '-s', 'reopen').ended).code, 0);
  await until('new access log', async () => {
    await get(server.port);
    return server.read('access.log').includes('200');
  });

  assert.equal((await server.run(t, '-s', 'quit').ended).code, 0);
  assert.deepEqual(await program.ended, { code: 0, signal: null });
  assert.equal(server.read('nginx.pid'), '');
  assert.doesNotMatch(server.read('error.log'), /\[alert\]/);
});

test('background: daemon is on unless told otherwise; -s stop', async (t) => {
  const server = new Server(t, await freePort());
  server.configure('daemon');
  const parent = server.run(t);
  assert.equal((await parent.ended).code, 0, parent.stderr);
  const pid = Number(server.read('nginx.pid'));
  t.after(() => alive(pid) && process.kill(pid, 'SIGKILL'));
  assert.match(await get(server.port), /daemon$/);
  assert.equal((await server.run(t, '-s', 'stop').ended).code, 0);
  await until('end', () => !alive(pid));
  assert.equal(server.read('nginx.pid'), '');
});

test('the guess of how many workers there will be', () => {
  assert.equal(guessWorkers('events {}', false), 0);
  assert.equal(guessWorkers('events {}', true), 1);
  assert.equal(guessWorkers('daemon off; events {}', false), 1);
  assert.equal(guessWorkers('# daemon off;\nevents {}', false), 0);
  assert.equal(guessWorkers('daemon off;worker_processes 3;events {}', false), 3);
  assert.ok(guessWorkers('daemon off; worker_processes auto;', false) >= 1);
});
