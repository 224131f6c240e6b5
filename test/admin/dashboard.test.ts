/** What `dashboard` answers: the page, and the events that it lives by. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { P, STATES } from '../../src/admin/dashboard/frame.ts';
import type { Frame } from '../../src/admin/dashboard/frame.ts';
import { answering, Backend, ok } from '../helpers/backend.ts';
import { ask } from '../helpers/client.ts';
import { Headrace, type Place } from '../helpers/headrace.ts';
import { field, text } from '../helpers/http1.ts';
import { type Scope, suiteScope, until, within } from '../helpers/wait.ts';

const scope = suiteScope(after);
let h: Headrace;
let one: Backend;

/** A stream of events as a browser reads it. */
class Events {
  readonly frames: Frame[] = [];
  over = false;
  readonly headers: Headers;
  readonly #stop: AbortController;

  private constructor(response: Response, stop: AbortController) {
    this.headers = response.headers;
    this.#stop = stop;
    void this.#read(response);
  }

  static async open(t: Scope, port: number, path: string): Promise<Events> {
    const stop = new AbortController();
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { signal: stop.signal });
    assert.equal(response.status, 200);
    t.after(() => stop.abort());
    return new Events(response, stop);
  }

  async #read(response: Response): Promise<void> {
    let held = '';
    try {
      for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
        held += piece;
        const events = held.split('\n\n');
        held = events.pop()!;
        for (const event of events) {
          if (event.startsWith('data: ')) this.frames.push(JSON.parse(event.slice(6)) as Frame);
        }
      }
    } catch {
      // Aborted.
    }
    this.over = true;
  }

  close(): void {
    this.#stop.abort();
  }

  /** The first frame from `from` on for which it is so. */
  async frame(what: string, is: (frame: Frame) => boolean, from = 0): Promise<Frame> {
    return until(what, () => this.frames.slice(from).find(is) ?? null);
  }
}

const configuration = ({ port }: Place): string => `
    upstream app { zone app 64k; least_conn; server 127.0.0.1:${one.port}; server 127.0.0.1:${one.port} backup; queue 7; }
    upstream plain { server 127.0.0.1:${one.port} max_conns=3; }
    server {
      listen 127.0.0.1:${port('main')};
      status_zone front;
      location / { proxy_pass http://app; }
      location /plain { status_zone plain; proxy_pass http://plain; }
    }
    server {
      listen 127.0.0.1:${port('admin')};
      location /api/ { api; location /api/rw { api write=on; } }
      location /board { dashboard; }
      location = /only.html { dashboard; }
    }
    server {
      listen 127.0.0.1:${port('show')};
      location /api { api; }
      location / { dashboard; }
    }`;

before(async () => {
  one = await Backend.start(
    scope,
    answering(() => ok('one')),
  );
  h = await Headrace.start(scope, configuration, {
    workers: 2,
    stream: ({ port }) => `
      upstream lines { server 127.0.0.1:${one.port}; }
      server { listen 127.0.0.1:${port('tcp')}; proxy_pass lines; }`,
  });
});

test('the page may run what is in it, and nothing else', async () => {
  for (const path of ['/board', '/board/', '/only.html']) {
    const answer = await ask(scope, h.port('admin'), path);
    assert.equal(answer.status, 200, path);
    assert.equal(field(answer, 'content-type'), 'text/html; charset=utf-8');
    assert.equal(field(answer, 'cache-control'), 'no-cache');
    const html = answer.body.toString();
    const policy = field(answer, 'content-security-policy') ?? '';
    for (const [element, name] of [
      ['script', 'script-src'],
      ['style', 'style-src'],
    ] as const) {
      const [, inner = ''] = new RegExp(`<${element}[^>]*>([^]*?)</${element}>`).exec(html) ?? [];
      const hash = createHash('sha256').update(inner).digest('base64');
      assert.ok(policy.includes(`${name} 'sha256-${hash}';`), name);
    }
    assert.match(policy, /^default-src 'none'; /);
    assert.match(policy, /frame-ancestors 'none'/);
    assert.doesNotMatch(policy, /unsafe|https?:/);
  }
});

test('other paths and methods are refused', async () => {
  const port = h.port('admin');
  assert.equal((await ask(scope, port, '/board/more')).status, 404);
  assert.equal((await ask(scope, port, '/boards')).status, 404);
  const posted = await ask(scope, port, '/board', { method: 'POST', body: 'x' });
  assert.deepEqual([posted.status, field(posted, 'allow')], [405, 'GET, HEAD']);
  const head = await ask(scope, port, '/board?events', { method: 'HEAD' });
  assert.deepEqual([head.status, head.body.length], [200, 0]);
});

test('the first frame tells all, later ones what has changed', async (t) => {
  const events = await Events.open(t, h.port('admin'), '/board?events');
  assert.equal(events.headers.get('content-type'), 'text/event-stream');
  assert.equal(events.headers.get('cache-control'), 'no-store');
  const first = await events.frame('a frame', () => true);
  assert.equal(first.full, true);
  assert.deepEqual(first.write, { api: '/api/rw' });
  assert.equal(first.node!.pid, h.pid);
  assert.deepEqual(
    first.groups.map(({ key, info }) => [key, info!.method, info!.zone, info!.queueSize]),
    [
      ['http app', 'least_conn', 'app', 7],
      ['http plain', 'round robin', null, 0],
      ['stream lines', 'round robin', null, 0],
    ],
  );
  assert.deepEqual(
    first.groups[0]!.info!.peers.map(({ address, backup }) => [address, backup]),
    [
      [`127.0.0.1:${one.port}`, false],
      [`127.0.0.1:${one.port}`, true],
    ],
  );
  assert.deepEqual(
    first.zones.map(({ key }) => key),
    ['server front', 'location plain'],
  );
  assert.equal(first.workers.length, 2);
  for (const { busyMs, idleMs } of first.workers) assert.ok(busyMs > 0 && idleMs >= 0);

  const quiet = await events.frame('a frame without news', ({ full, groups }) => full !== true && groups.length === 0);
  assert.deepEqual(quiet.zones, []);
  const from = events.frames.length;
  for (let i = 0; i < 3; i++) assert.equal((await ask(scope, h.port('main'), '/')).status, 200);
  const requests = (frame: Frame): number => frame.groups[0]?.data?.peers[0]?.[P.requests] ?? 0;
  const news = await events.frame('three requests', (frame) => requests(frame) === 3, from);
  const [app, ...others] = news.groups;
  assert.deepEqual([app!.key, app!.info, others], ['http app', undefined, []]);
  const numbers = app!.data!.peers[0]!;
  assert.equal(numbers[P.responses + 1], 3);
  assert.equal(
    numbers.slice(P.hist).reduce((sum, n) => sum + n, 0),
    3,
  );
  assert.ok(numbers[P.received]! > 0);
  assert.equal(news.zones[0]?.requests, 3);
});

test('what an operator changes is told with who is in the group', async (t) => {
  const events = await Events.open(t, h.port('admin'), '/board?events');
  await events.frame('a frame', () => true);
  const answer = await ask(scope, h.port('admin'), '/api/rw/9/http/upstreams/app/servers/0', {
    method: 'PATCH',
    body: '{"weight": 4, "down": true}',
  });
  assert.equal(answer.status, 200, text(answer));
  const told = await events.frame('the change', ({ full, groups }) => full !== true && groups.length > 0);
  assert.equal(told.groups[0]!.info!.peers[0]!.weight, 4);
  assert.equal(STATES[told.groups[0]!.data!.peers[0]![P.state]!], 'down');
  // Who opens the page now gets it all, while the other one goes on.
  const other = await Events.open(t, h.port('admin'), '/board?events');
  const first = await other.frame('a frame', () => true);
  assert.equal(first.full, true);
  assert.equal(first.groups[0]!.info!.peers[0]!.weight, 4);
  await ask(scope, h.port('admin'), '/api/rw/9/http/upstreams/app/servers/0', {
    method: 'PATCH',
    body: '{"weight": 1, "down": false}',
  });
  for (const viewer of [events, other]) {
    const back = ({ full, groups }: Frame): boolean =>
      full !== true && groups[0]?.info?.peers[0]?.weight === 1 && groups[0].data?.peers[0]?.[P.state] === 0;
    await viewer.frame('it back', back);
  }
});

test('what was before somebody looked is remembered', async (t) => {
  for (let i = 0; i < 5; i++) await ask(scope, h.port('main'), '/');
  const seen = await until('requests in the past', async () => {
    const events = await Events.open(t, h.port('admin'), '/board?events');
    const { past } = await events.frame('a frame', () => true);
    events.close();
    const { rps } = past!.groups['http app']!;
    return rps.some((n) => n !== null && n >= 1) ? past : null;
  });
  const { moments, all, groups } = seen;
  for (const series of [all.rps, all.errors, groups['http app']!.p95, groups['stream lines']!.rps]) {
    assert.equal(series.length, moments.length);
  }
  assert.deepEqual(
    moments,
    moments.toSorted((x, y) => x - y),
  );
});

test('without an API that writes the page only shows', async (t) => {
  const events = await Events.open(t, h.port('show'), '/?events');
  assert.equal((await events.frame('a frame', () => true)).write, null);
});

test('a reload and an end do not wait for those who look', async (t) => {
  const events = await Events.open(t, h.port('admin'), '/board?events');
  const before = await events.frame('a frame', () => true);
  h.signal('SIGHUP');
  await until('the end of the events', () => events.over);
  const again = await Events.open(t, h.port('admin'), '/board?events');
  const frame = await again.frame('a frame', () => true);
  assert.equal(frame.node!.generation, before.node!.generation + 1);
  await h.logged(`(generation ${before.node!.generation} drained)`);
  // Nobody looks any more: the next one that does is told all of it anew.
  again.close();
  const later = await Events.open(t, h.port('admin'), '/board?events');
  assert.equal((await later.frame('a frame', () => true)).groups.length, 3);
  h.signal('SIGQUIT');
  await until('the end of the events', () => later.over);
  await within(
    'the end',
    until('the program to end', () => !h.running),
  );
});
