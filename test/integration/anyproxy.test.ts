/** The real program with any-proxy's configuration: -t, -T, -s, reloads, workers. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { directory } from '../helpers/headrace.ts';
import { freePort } from '../helpers/ports.ts';
import { Caller, listen } from '../helpers/stream.ts';
import { until } from '../helpers/wait.ts';

const BINARY = fileURLToPath(new URL('../../bin/headrace', import.meta.url));
const FENCE = '```';

/** One group, in port mode. */
function config(port: number, balancer: string, servers: number[], more = ''): string {
  const passes = servers.map(
    (server) => `proxy_pass_tcp raw = r${FENCE}\n  address = "127.0.0.1:${server}"\n  weight = 2\n${FENCE}r;`,
  );
  return `common {
    worker_threads usize = 2;
    pid str = ./headrace.pid;
    error_log str = ./error.log;
    error_log_level str = info;
  }
  upstream {
    server {
      name str = u;
      balancer str = ${balancer};
      ${passes.join('\n')}
    }
  }
  http {
    server {
      port_listen_tcp raw = r${FENCE}
        address = "127.0.0.1:${port}"
      ${FENCE}r;
      ${more}
      proxy_pass_upstream str = u;
    }
  }`;
}

test('start, -t, -T, reload, quit', async (t) => {
  const dir = directory(t);
  const port = await freePort();
  const file = join(dir, 'a.conf');
  const one = await listen(t, ({ socket }) => {
    socket.write('one');
    socket.on('data', (data) => socket.write(data));
    socket.on('end', () => socket.end());
  });
  const two = await listen(t, ({ socket }) => socket.end('two'));
  const run = (...args: string[]) => spawnSync(BINARY, ['-p', dir, '-c', 'a.conf', ...args], { encoding: 'utf8' });

  writeFileSync(file, config(port, 'weight', [one]));
  const tested = run('-t');
  assert.equal(tested.status, 0, tested.stderr);
  assert.match(tested.stderr, /a\.conf syntax is ok\n[^]*test is successful/);
  const dumped = run('-T', '-q');
  assert.match(dumped.stdout, /^# configuration file .*a\.conf:\ncommon \{/);
  assert.equal(run('-t', '--format', 'anyproxy').status, 0);
  const other = run('-t', '--format=nginx');
  assert.equal(other.status, 1);
  assert.match(other.stderr, /unknown directive "common"/);

  const child = spawn(BINARY, ['-p', dir, '-c', 'a.conf'], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  t.after(() => child.kill('SIGKILL'));
  const ended = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)));
  await until(
    () => `the pid file: ${said}`,
    () => existsSync(join(dir, 'headrace.pid')),
  );
  const session = await Caller.to(t, port);
  await session.says('one');

  // A mistake: the old one goes on, and the log says where.
  writeFileSync(file, config(port, 'best', [two]));
  assert.equal(run('-s', 'reload').status, 1, 'the file is read before a signal is sent');
  child.kill('SIGHUP');
  const log = (): string => readFileSync(join(dir, 'error.log'), 'utf8');
  await until('the mistake', () => /"balancer" must be one of .* not "best" in .*a\.conf:10/.test(log()));

  writeFileSync(file, config(port, 'weight', [two], 'download_limit_rate u64 = 1m;'));
  assert.equal(run('-s', 'reload').status, 0);
  // Until the reload is through, the old server is the one that answers, and it does not end.
  const greeting = async (): Promise<string> => {
    const caller = await Caller.to(t, port);
    await until('a greeting', () => caller.text !== '');
    caller.socket.destroy();
    return caller.text;
  };
  await until('the new server', async () => (await greeting()) === 'two');
  session.send(' goes on');
  await session.says('one goes on');
  session.socket.end();
  await session.rest();

  assert.equal(run('-s', 'quit').status, 0);
  assert.equal(await ended, 0);
});
