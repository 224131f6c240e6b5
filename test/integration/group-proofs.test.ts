/**
 * What is promised of groups that change while they run, proved through the real program with two workers: the order of a
 * long queue, the share of a server in slow start, changes by the API that every worker sees at once and that disturb
 * no request.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { answering, Backend, ok } from '../helpers/backend.ts';
import { Client, compose } from '../helpers/client.ts';
import { Headrace } from '../helpers/headrace.ts';
import { type Response, text } from '../helpers/http1.ts';
import { suiteScope, until } from '../helpers/wait.ts';

const scope = suiteScope(after);
const WAITERS = 1000;
const SLOW_START_MS = 5000;

let h: Headrace;
const servers: Record<string, Backend> = {};
/** Requests that the server of the queue has seen, in its order. */
const served: number[] = [];
/** Lets the first of them go. */
let open = (): void => {};
/** Requests that `holds` has not answered yet. */
const held: (() => void)[] = [];

before(async () => {
  for (const name of ['one', 'two', 'three'])
    servers[name] = await Backend.start(
      scope,
      answering(() => ok(name)),
    );
  const opened = new Promise<void>((resolve) => (open = resolve));
  servers['queue'] = await Backend.start(
    scope,
    answering(async (r) => {
      served.push(Number(r.target.split('/').at(-1)));
      await opened;
      return ok('');
    }),
  );
  servers['holds'] = await Backend.start(
    scope,
    answering(async (r) => {
      if (r.target.endsWith('/wait')) await new Promise<void>((resolve) => held.push(resolve));
      return ok('holds');
    }),
  );
  const at = (name: string): string => `127.0.0.1:${servers[name]!.port}`;
  h = await Headrace.start(
    scope,
    ({ port }) => `
      upstream queue { zone queue 64k; server ${at('queue')} max_conns=1; queue ${WAITERS} timeout=10m; }
      upstream slow { zone slow 64k; server ${at('one')}; server ${at('two')} slow_start=${SLOW_START_MS}ms down; }
      upstream app { zone app 64k; server ${at('one')}; server ${at('two')}; }
      upstream busy { zone busy 64k; server ${at('holds')}; server ${at('one')}; }
      keepalive_requests 1000000; keepalive_timeout 10m;
      server {
        listen 127.0.0.1:${port('http')};
        location /queue/ { proxy_pass http://queue; proxy_read_timeout 10m; }
        location /slow/ { proxy_pass http://slow; }
        location /app/ { proxy_pass http://app; }
        location /busy/ { proxy_pass http://busy; proxy_read_timeout 10m; }
        location /api { api write=on; }
      }`,
    { workers: 2 },
  );
});

/** A client whose connection stays, and which asks for one thing after another. */
class Asker {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  static async come(): Promise<Asker> {
    return new Asker(await Client.connect(scope, h.port('http')));
  }

  async ask(target: string, method = 'GET', body?: object): Promise<Response> {
    const json = body === undefined ? {} : { body: JSON.stringify(body) };
    await this.#client.send(compose(target, { method, ...json }));
    return this.#client.response(method);
  }

  async api(path: string, method = 'GET', body?: object): Promise<unknown> {
    const answer = await this.ask(`/api/9/http/upstreams${path}`, method, body);
    assert.ok(answer.status < 300, `${method} ${path}: ${answer.status} ${text(answer)}`);
    return answer.status === 204 ? null : JSON.parse(text(answer));
  }
}

test(`a queue of ${WAITERS} over two workers keeps its order`, async () => {
  const watcher = await Asker.come();
  const size = async (): Promise<number> => ((await watcher.api('/queue')) as { queue: { size: number } }).queue.size;
  const all: Promise<Response>[] = [];
  for (let i = 0; i <= WAITERS; i++) {
    const asker = await Asker.come();
    all.push(asker.ask(`/queue/${i}`));
    // the next one comes when this one stands in line
    await until(`number ${i} in line`, async () => (await size()) === i && (i > 0 || served.length === 1));
  }
  const refused = await (await Asker.come()).ask('/queue/late');
  assert.equal(refused.status, 502);
  open();
  for (const answer of await Promise.all(all)) assert.equal(answer.status, 200);
  assert.deepEqual(
    served,
    Array.from({ length: WAITERS + 1 }, (_, i) => i),
  );
});

test('slow start: the share follows the line within 5 %', async () => {
  const admin = await Asker.come();
  const peers = ((await admin.api('/slow')) as { peers: { id: number; server: string }[] }).peers;
  const { id } = peers.find(({ server }) => server.endsWith(`:${servers['two']!.port}`))!;
  const askers = await Promise.all(Array.from({ length: 6 }, () => Asker.come()));
  const before = performance.now();
  await admin.api(`/slow/servers/${id}`, 'PATCH', { down: false });
  const began = (before + performance.now()) / 2;
  const end = began + SLOW_START_MS * 1.2;
  const requests: { at: number; mine: boolean }[] = [];
  await Promise.all(
    askers.map(async (asker) => {
      while (performance.now() < end) {
        const sent = performance.now();
        const answer = text(await asker.ask('/slow/'));
        // when it was chosen: some time in between, whatever the machine is busy with
        requests.push({ at: (sent + performance.now()) / 2 - began, mine: answer === 'two' });
        await sleep(5);
      }
    }),
  );
  const parts = 6;
  for (let part = 0; part < parts; part++) {
    const length = (SLOW_START_MS * 1.2) / parts;
    const mine = requests.filter(({ at }) => at >= part * length && at < (part + 1) * length);
    if (mine.length < 100) continue;
    // its weight grows from 0 to 1, the other one has 1
    const line = mine.reduce((sum, { at }) => sum + share(Math.min(1, at / SLOW_START_MS)), 0) / mine.length;
    const actual = mine.filter((request) => request.mine).length / mine.length;
    assert.ok(Math.abs(actual - line) <= 0.05, `part ${part}: ${actual.toFixed(3)}, the line says ${line.toFixed(3)}`);
  }
  assert.ok(requests.length > 500, `only ${requests.length} requests`);
});

const share = (weight: number): number => weight / (weight + 1);

describe('changes by the API', () => {
  /** Asks all the time over many connections, which both workers have some of. */
  class Load {
    readonly answers: { sentAt: number; at: number; from: string }[] = [];
    readonly failures: string[] = [];
    #running = true;
    readonly #all: Promise<void>[];

    constructor(askers: Asker[], target: string) {
      this.#all = askers.map(async (asker) => {
        while (this.#running) {
          const sentAt = performance.now();
          const answer = await asker.ask(target);
          if (answer.status !== 200) this.failures.push(`${answer.status}`);
          this.answers.push({ sentAt, at: performance.now(), from: text(answer) });
        }
      });
    }

    /** Those of requests that were sent since then. */
    since(moment: number): Set<string> {
      return new Set(this.answers.filter(({ sentAt }) => sentAt >= moment).map(({ from }) => from));
    }

    async some(): Promise<void> {
      const enough = this.answers.length + 200;
      await until('some answers', () => this.answers.length >= enough);
    }

    async end(): Promise<void> {
      this.#running = false;
      await Promise.all(this.#all);
    }
  }

  test('are in effect in all workers when they are answered, within 100 ms', async () => {
    const admin = await Asker.come();
    const askers = await Promise.all(Array.from({ length: 16 }, () => Asker.come()));
    const load = new Load(askers, '/app/');
    await load.some();
    assert.deepEqual([...load.since(0)].sort(), ['one', 'two']);
    const latencies: number[] = [];
    const change = async (path: string, method: string, body?: object): Promise<unknown> => {
      const from = performance.now();
      const result = await admin.api(path, method, body);
      latencies.push(performance.now() - from);
      return result;
    };
    const three = { server: `127.0.0.1:${servers['three']!.port}` };
    for (let round = 0; round < 10; round++) {
      const { id } = (await change('/app/servers', 'POST', three)) as { id: number };
      let since = performance.now();
      await load.some();
      assert.ok(load.since(since).has('three'), 'added');
      for (const [patch, gets] of [
        [{ drain: true }, false],
        [{ drain: false }, true],
        [{ down: true }, false],
        [{ down: false, weight: 3 }, true],
      ] as const) {
        await change(`/app/servers/${id}`, 'PATCH', patch);
        since = performance.now();
        await load.some();
        assert.equal(load.since(since).has('three'), gets, JSON.stringify(patch));
      }
      await change(`/app/servers/${id}`, 'DELETE');
      since = performance.now();
      await load.some();
      assert.deepEqual([...load.since(since)].sort(), ['one', 'two'], 'removed');
    }
    await load.end();
    assert.deepEqual(load.failures, []);
    latencies.sort((a, b) => a - b);
    // what a change takes, with all that the machine does besides
    const median = latencies[latencies.length >> 1]!;
    assert.ok(median < 100, `${median.toFixed(1)} ms at the median`);
  });

  test('disturb no request in flight, whatever becomes of its server', async () => {
    const admin = await Asker.come();
    const peers = ((await admin.api('/busy')) as { peers: { id: number; server: string }[] }).peers;
    const { id } = peers.find(({ server }) => server.endsWith(`:${servers['holds']!.port}`))!;
    const path = `/busy/servers/${id}`;
    const waiting: Promise<Response>[] = [];
    const park = async (): Promise<void> => {
      const count = held.length;
      // one of two goes to the other server
      while (held.length === count) {
        const asker = await Asker.come();
        const answer = asker.ask('/busy/wait');
        const first = await Promise.race([answer, until('it to be held', () => held.length > count)]);
        if (first === true) waiting.push(answer);
      }
    };
    for (let i = 0; i < 4; i++) await park();
    await admin.api(path, 'PATCH', { drain: true });
    await admin.api(path, 'PATCH', { drain: false });
    await park();
    await admin.api(path, 'PATCH', { down: true });
    await admin.api(path, 'DELETE');
    const upstream = (await admin.api('/busy')) as { peers: unknown[]; zombies: number };
    assert.deepEqual([upstream.peers.length, upstream.zombies], [1, 1]);
    for (const go of held) go();
    for (const answer of await Promise.all(waiting)) assert.equal(text(answer), 'holds');
    await until('nobody left', async () => ((await admin.api('/busy')) as { zombies: number }).zombies === 0);
  });
});
