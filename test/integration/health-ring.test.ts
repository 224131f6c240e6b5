/** Probes use io_uring as workers do, and who has no checks does not pay for it. */
import assert from 'node:assert/strict';
import { readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { IoUring } from '../../src/net/io-uring.ts';
import { answering, Backend, ok } from '../helpers/backend.ts';
import { Headrace } from '../helpers/headrace.ts';
import { suiteScope, until } from '../helpers/wait.ts';

const scope = suiteScope(after);
const ring = IoUring.open();
const skip = typeof ring === 'string' ? ring : false;

/** Rings of the process: those of its threads, and libuv's own. */
function rings(h: Headrace): number {
  const fds = `/proc/${h.pid}/fd`;
  const links = readdirSync(fds).map((fd) => {
    try {
      return readlinkSync(join(fds, fd));
    } catch {
      // it is closed meanwhile
      return '';
    }
  });
  return links.filter((link) => link.includes('io_uring')).length;
}

const CHECK = 'health_check interval=50ms;';
const write =
  (backend: Backend, check: string) =>
  ({ port }: { port: (name: string) => number }): string =>
    `upstream app { zone app 64k; server 127.0.0.1:${backend.port}; }
     server { listen 127.0.0.1:${port('main')}; location / { proxy_pass http://app; ${check} } }`;

async function checked(): Promise<{ backend: Backend; asked: () => number }> {
  let asked = 0;
  const count = answering(() => {
    asked++;
    return ok('fine');
  });
  return { backend: await Backend.start(scope, count), asked: () => asked };
}

test('the main thread opens a ring with the first check', { skip }, async () => {
  const { backend, asked } = await checked();
  const h = await Headrace.start(scope, write(backend, ''));
  await h.logged('"io_uring" event method');
  const workers = rings(h);
  h.configure(write(backend, CHECK));
  h.signal('SIGHUP');
  await until('probes', () => asked() > 3);
  assert.equal(rings(h), workers + 1);
  // there is one, whatever follows
  h.configure(write(backend, CHECK.replace('50ms', '40ms')));
  h.signal('SIGHUP');
  await h.logged('(generation 2 drained)');
  const before = asked();
  await until('probes', () => asked() > before + 3);
  assert.equal(rings(h), workers + 1);
});

test('"use libuv" is for probes, too', { skip }, async () => {
  const { backend, asked } = await checked();
  const h = await Headrace.start(scope, write(backend, ''));
  await h.logged('"io_uring" event method');
  const workers = rings(h);
  h.configure(write(backend, CHECK));
  // the harness writes "events" itself
  h.file('headrace.conf', h.read('headrace.conf').replace('events {', 'events { use libuv;'));
  h.signal('SIGHUP');
  await until('probes', () => asked() > 3);
  assert.equal(rings(h), workers);
});
