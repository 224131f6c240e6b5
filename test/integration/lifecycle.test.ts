/** What a running process gives back: connections of old configurations, log files, descriptors, temporary files. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readlinkSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { answering, Backend, ok } from '../helpers/backend.ts';
import { ask, Client, compose } from '../helpers/client.ts';
import { Headrace } from '../helpers/headrace.ts';
import { text } from '../helpers/http1.ts';
import { until } from '../helpers/wait.ts';

/** Open descriptors, by what they are: sockets and pipes without their numbers. */
function descriptors(h: Headrace): string[] {
  const dir = `/proc/${h.pid}/fd`;
  return readdirSync(dir)
    .map((fd) => {
      try {
        return readlinkSync(join(dir, fd)).replace(/:\[\d+\]$/, '');
      } catch {
        return '';
      }
    })
    .filter((name) => name !== '')
    .sort();
}

const proc = !existsSync('/proc/self/fd') && 'no /proc here';

async function reload(h: Headrace): Promise<void> {
  const before = h.lines('exited with code 0 (generation').length;
  h.signal('SIGHUP');
  await until('the old generation to be drained', () => h.lines('exited with code 0 (generation').length > before);
}

test('worker_shutdown_timeout closes what is left of a replaced configuration, and only that', async (t) => {
  let version = 1;
  const h = await Headrace.start(
    t,
    ({ port }) =>
      `server { listen 127.0.0.1:${port('main')}; location / { return 200 "${version}"; } location /slow { limit_rate 1; return 200 slow; } }`,
    { main: 'worker_shutdown_timeout 500ms;', logLevel: 'notice' },
  );
  const silent = await Client.connect(t, h.port('main'));
  const idle = await Client.connect(t, h.port('main'));
  const active = await Client.connect(t, h.port('main'));
  const slow = await Client.connect(t, h.port('main'));
  for (const client of [idle, active]) {
    await client.send(compose('/'));
    assert.equal(text(await client.response()), '1');
  }
  await slow.send(compose('/slow'));
  await until('the slow answer to begin', () => slow.text.length > 0);
  version = 2;
  h.configure(({ port }) => `server { listen 127.0.0.1:${port('main')}; location / { return 200 "${version}"; } }`);
  h.signal('SIGHUP');
  // It takes the new configuration, and so it stays.
  await until('the new configuration', async () => {
    if (active.ended) return true;
    await active.send(compose('/'));
    return text(await active.response()) === '2';
  });
  await until('the others to be closed', () => silent.ended && idle.ended && slow.ended);
  await active.send(compose('/'));
  assert.equal(text(await active.response()), '2');
});

test('a second quit with a shorter time', async (t) => {
  const h = await Headrace.start(
    t,
    ({ port }) => `server { listen 127.0.0.1:${port('main')}; location / { limit_rate 1; return 200 slow; } }`,
  );
  const slow = await Client.connect(t, h.port('main'));
  await slow.send(compose('/'));
  await until('the answer to begin', () => slow.text.length > 0);
  h.signal('SIGQUIT');
  await h.logged('gracefully shutting down');
  assert.ok(h.running);
  h.signal('SIGTERM');
  await until('the end', () => !h.running);
});

test('log lines collected before USR1 stand in the old file', async (t) => {
  const h = await Headrace.start(
    t,
    ({ port, dir }) => `log_format u "$request_uri";
    server { listen 127.0.0.1:${port('main')}; access_log ${dir}/access.log u buffer=64k; location / { return 200 x; } }`,
  );
  await ask(t, h.port('main'), '/before');
  renameSync(join(h.dir, 'access.log'), join(h.dir, 'access.log.1'));
  h.signal('SIGUSR1');
  await h.logged('/before', 'access.log.1');
  await until('the new file', () => existsSync(join(h.dir, 'access.log')));
});

test(
  'nothing is left of clients that break off, or of configurations that were replaced',
  { skip: proc },
  async (t) => {
    const backend = await Backend.start(t, (c) => {
      if (c.number % 3 === 0) return answering(() => ok('x'.repeat(200_000)))(c);
      // Takes some of what comes and says nothing.
      return undefined;
    });
    backend.recording = true;
    let log = 'a';
    const configuration = ({ port, dir }: { port(name: string): number; dir: string }): string => `
    log_format u "$request_uri"; error_log ${dir}/${log}.err;
    resolver 127.0.0.1:${port('dns')};
    upstream u { server 127.0.0.1:${backend.port} max_fails=0; keepalive 4; }
    client_body_buffer_size 1k; client_max_body_size 0;
    server {
      listen 127.0.0.1:${port('main')};
      access_log ${dir}/${log}.log u;
      location / { proxy_pass http://u; }
      location /streamed { proxy_request_buffering off; proxy_pass http://u; }
      location /counted { stub_status; }
      location /ok { return 200 ok; }
    }`;
    const h = await Headrace.start(t, configuration, { logLevel: 'notice' });
    await ask(t, h.port('main'), '/ok');
    await reload(h);
    const before = descriptors(h);

    for (let round = 0; round < 10; round++) {
      await Promise.all(
        Array.from({ length: 20 }, async (_, i) => {
          const client = await Client.connect(t, h.port('main'));
          const target = i % 2 === 0 ? '/buffered' : '/streamed';
          if (i % 4 < 2)
            await client.send(
              `POST ${target} HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n${'y'.repeat(5000 * (i % 7))}`,
            );
          else await client.send(compose(target));
          if (i % 5 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
          if (i % 3 === 0) client.reset();
          else client.destroy();
        }),
      );
    }
    for (let i = 0; i < 30; i++) {
      log = i % 2 === 0 ? 'b' : 'a';
      h.configure(configuration);
      await reload(h);
      assert.equal(text(await ask(t, h.port('main'), '/ok')), 'ok');
    }
    const count = async (): Promise<number> => Number(/\d+/.exec(text(await ask(t, h.port('main'), '/counted')))![0]);
    await until('all connections to be closed', async () => (await count()) === 1);
    await until(
      () => `no descriptor more than before:\n${descriptors(h).join('\n')}\nbefore:\n${before.join('\n')}`,
      () => descriptors(h).length <= before.length,
    );
    assert.ok(descriptors(h).some((name) => name.endsWith('a.log')));
    assert.ok(
      !descriptors(h).some((name) => name.endsWith('b.log') || name.endsWith('b.err')),
      'logs of an old configuration',
    );
    assert.deepEqual(existsSync(join(h.dir, 'client_body')) ? readdirSync(join(h.dir, 'client_body')) : [], []);
  },
);
