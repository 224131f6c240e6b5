/** The state file through the real program: what was acknowledged survives `kill -9`, and it starts again each time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, compose } from '../helpers/client.ts';
import { Headrace } from '../helpers/headrace.ts';
import { text } from '../helpers/http1.ts';
import { until } from '../helpers/wait.ts';
import { LONG, TIMEOUT_MS } from './scale.ts';

const KILLS = LONG ? 100 : 10;

interface Server {
  id: number;
  server: string;
  weight: number;
}

test(`servers that were added, changed and removed survive ${KILLS} kills`, { timeout: TIMEOUT_MS }, async (t) => {
  const h = await Headrace.start(t, ({ port, dir }) => {
    return `upstream app { zone app 256k; state ${dir}/app.state; }
      server { listen 127.0.0.1:${port('http')}; location / { proxy_pass http://app; } location /api { api write=on; } }`;
  });
  /** By address: the weight that was acknowledged last. */
  const known = new Map<string, number>();
  /** The change that was under way; its outcome nobody knows. */
  let open: { server: string; weight: number | null } | null = null;
  let next = 1;

  /** Changes one thing after another until the connection breaks. */
  async function change(): Promise<void> {
    const client = await Client.connect(t, h.port('http'));
    const api = async (method: string, path: string, body?: object): Promise<unknown> => {
      const bytes = body === undefined ? {} : { body: JSON.stringify(body) };
      await client.send(compose(`/api/9/http/upstreams/app/servers${path}`, { method, ...bytes }));
      const answer = await client.response(method);
      assert.ok(answer.status === 200 || answer.status === 201, `${method} ${path}: ${text(answer)}`);
      return JSON.parse(text(answer));
    };
    const ids = new Map(((await api('GET', '/')) as Server[]).map(({ id, server }) => [server, id]));
    for (;;) {
      const servers = [...known.keys()];
      const some = servers[Math.floor(Math.random() * servers.length)];
      const weight = 1 + Math.floor(Math.random() * 100);
      if (some === undefined || servers.length < 4) {
        const server = `10.0.0.1:${next++}`;
        open = { server, weight };
        ids.set(server, ((await api('POST', '/', { server, weight })) as Server).id);
        known.set(server, weight);
      } else if (servers.length > 12 || weight < 20) {
        open = { server: some, weight: null };
        await api('DELETE', `/${ids.get(some)}`);
        known.delete(some);
      } else {
        open = { server: some, weight };
        await api('PATCH', `/${ids.get(some)}`, { weight });
        known.set(some, weight);
      }
      open = null;
    }
  }

  for (let i = 0; i < KILLS; i++) {
    const changing = change().then(
      () => null,
      (error: Error) => error,
    );
    const before = next;
    await until('changes', () => next > before || known.size > 4);
    await sleep(Math.random() * 60);
    h.signal('SIGKILL');
    assert.match(String(await changing), /connection ended|ECONN|EPIPE|timeout waiting/);
    await until('its end', () => !h.running);
    await h.restart();

    const client = await Client.connect(t, h.port('http'));
    await client.send(compose('/api/9/http/upstreams/app/servers/'));
    const answer = text(await client.response());
    assert.match(answer, /^\[/, h.errorLog());
    const found = new Map((JSON.parse(answer) as Server[]).map(({ server, weight }) => [server, weight]));
    const last = open as { server: string; weight: number | null } | null;
    // whether the last change was made is for the program to say
    if (last !== null) {
      const made = found.get(last.server) ?? null;
      assert.ok(made === last.weight || made === (known.get(last.server) ?? null), `${last.server}: ${made}`);
      if (made === null) known.delete(last.server);
      else known.set(last.server, made);
    }
    open = null;
    assert.deepEqual(found, known);
  }
});
