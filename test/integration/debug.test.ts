/** debug_connection: everything about chosen clients, in all logs, whatever their levels; nothing about others. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { get } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { answering, Backend, ok } from '../helpers/backend.ts';
import { Headrace } from '../helpers/headrace.ts';
import { suiteScope, until, within } from '../helpers/wait.ts';

const scope = suiteScope(after);

describe('debug_connection', () => {
  let h: Headrace;
  let backend: Backend;

  before(async () => {
    backend = await Backend.start(
      scope,
      answering(() => ok('x')),
    );
    h = await Headrace.start(
      scope,
      ({ port, dir }) => `error_log ${dir}/one.log alert; error_log ${dir}/two.log crit;
        server { listen 127.0.0.1:${port('main')}; server_name s; location /up { proxy_pass http://127.0.0.1:${backend.port}; }
          location /own { return 204; } location /loud { error_log ${dir}/loud.log debug; return 204; } }`,
      {
        stream: ({ port, dir }) =>
          `server { listen 127.0.0.1:${port('stream')}; error_log ${dir}/stream.log alert; return x; }`,
      },
    );
    // The harness writes "events" itself.
    const conf = readFileSync(join(h.dir, 'headrace.conf'), 'latin1');
    h.file(
      'headrace.conf',
      conf.replace('events {', 'events { debug_connection 127.0.0.2; debug_connection 127.0.3.0/24;'),
    );
    h.signal('SIGHUP');
    await until('the reload', async () => {
      await ask('127.0.0.2', '/own');
      return h.read('one.log').includes('[debug]');
    });
  });

  function ask(from: string, path: string): Promise<void> {
    return within(
      'an answer',
      new Promise((resolve, reject) => {
        const options = { host: '127.0.0.1', port: h.port('main'), path, localAddress: from, agent: false };
        get(options, (answer) => answer.resume().on('end', () => resolve())).on('error', reject);
      }),
    );
  }

  test('of chosen clients all is told, in every log alike', async () => {
    await ask('127.0.3.7', '/up');
    const lines = (await h.logged('127.0.3.7', 'one.log')).split('\n').filter((line) => line.includes('127.0.3.7'));
    assert.ok(lines.length >= 4, lines.join('\n'));
    assert.ok(
      lines.every((line) =>
        / \[debug\] \d+#\d+: \*\d+ .*, client: 127\.0\.3\.7, server: s, request: "GET \/up HTTP/.test(line),
      ),
    );
    assert.match(lines.join('\n'), /using location "\/up"/);
    assert.match(lines.join('\n'), new RegExp(`upstream http://127\\.0\\.0\\.1:${backend.port}/up answered 200`));
    assert.equal(h.read('one.log'), h.read('two.log'));
  });

  test('of others nothing, unless the log wants it', async () => {
    await ask('127.0.0.1', '/up');
    await ask('127.0.4.1', '/own');
    await ask('127.0.0.1', '/loud');
    await h.logged('http request is over, status 204', 'loud.log');
    for (const log of ['one.log', 'two.log']) assert.doesNotMatch(h.read(log), /client: 127\.0\.(0\.1|4\.1),/);
  });

  test('sessions of stream', async () => {
    for (const localAddress of ['127.0.0.1', '127.0.0.2']) {
      const socket = connect({ host: '127.0.0.1', port: h.port('stream'), localAddress });
      scope.after(() => socket.destroy());
      await within('the end', new Promise((resolve) => socket.resume().once('close', resolve)));
    }
    assert.match(
      await h.logged('session is over', 'stream.log'),
      /^[^\n]*\[debug\] [^\n]*session is over [^\n]*client: 127\.0\.0\.2,[^\n]*\n$/,
    );
  });
});
