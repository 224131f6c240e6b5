/**
 * Which server each of a row of requests goes to, in nginx and in Headrace, over the same backends: the rows must be the
 * same, request by request.
 */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { freePort } from '../helpers/ports.ts';
import { requires } from '../helpers/requires.ts';
import { Running, exchange } from './lab.ts';
import type { Kind } from './lab.ts';

/** Servers are A to E, which answer, and N, on whose port nobody listens; `fail` makes a server drop connections. */
interface Group {
  name: string;
  /** The inside of `upstream {}`; `%A%` stands for A's address. */
  upstream: string;
  requests: number;
  /** Path and headers of the request with this number. */
  request?: (i: number) => { path?: string; headers?: string[] };
  /** Directives of the location. */
  location?: string;
}

const NAMES = ['A', 'B', 'C', 'D', 'E'];
const many = (i: number): string => `k${i * 7919}`;
const address = (i: number): string => `${(i * 37) % 223}.${(i * 101) % 256}.${(i * 13) % 256}.${i % 256}`;

const GROUPS: Group[] = [
  { name: 'round robin', upstream: 'server %A%; server %B%; server %C%;', requests: 12 },
  { name: 'weights 5, 1, 1', upstream: 'server %A% weight=5; server %B%; server %C%;', requests: 35 },
  {
    name: 'weights 7, 3, 4, 1',
    upstream: 'server %A% weight=7; server %B% weight=3; server %C% weight=4; server %D%;',
    requests: 60,
  },
  { name: 'one is down', upstream: 'server %A%; server %B% down; server %C% weight=2;', requests: 12 },
  { name: 'one server', upstream: 'server %A%;', requests: 4 },
  { name: 'backup unused', upstream: 'server %A%; server %B% backup; server %C%;', requests: 8 },
  { name: 'backup used', upstream: 'server %N%; server %B% backup; server %C% backup weight=2;', requests: 9 },
  { name: 'a dead server, one failure', upstream: 'server %A%; server %N%; server %C%;', requests: 20 },
  {
    name: 'a dead server, three failures',
    upstream: 'server %A% weight=3; server %N% weight=2 max_fails=3; server %C%;',
    requests: 30,
  },
  {
    name: 'a dead server that is always tried',
    upstream: 'server %A%; server %N% max_fails=0; server %C%;',
    requests: 15,
  },
  {
    name: 'dead with weights',
    upstream: 'server %N% weight=5 max_fails=2; server %A%; server %B% weight=3;',
    requests: 30,
  },
  { name: 'all dead', upstream: 'server %N%; server %M%;', requests: 4 },
  {
    name: 'least_conn, idle',
    upstream: 'least_conn; server %A% weight=3; server %B%; server %C% weight=2;',
    requests: 24,
  },
  {
    name: 'hash',
    upstream: 'hash $arg_k; server %A%; server %B% weight=3; server %C%;',
    requests: 120,
    request: (i) => ({ path: `/?k=${many(i)}` }),
  },
  {
    name: 'hash with a dead server',
    upstream: 'hash $arg_k; server %A%; server %N% weight=2; server %C%;',
    requests: 60,
    request: (i) => ({ path: `/?k=${many(i)}` }),
  },
  { name: 'hash of nothing', upstream: 'hash $arg_none; server %A%; server %B%; server %C%;', requests: 6 },
  {
    name: 'hash with a server down',
    upstream: 'hash $arg_k; server %A%; server %B% down; server %C% weight=2;',
    requests: 60,
    request: (i) => ({ path: `/?k=${many(i)}` }),
  },
  {
    name: 'consistent hash',
    upstream: 'hash $arg_k consistent; server %A%; server %B% weight=3; server %C%; server %D% weight=2; server %E%;',
    requests: 250,
    request: (i) => ({ path: `/?k=${many(i)}` }),
  },
  {
    name: 'consistent hash with a dead server',
    upstream: 'hash $arg_k consistent; server %A%; server %N%; server %C%; server %D%;',
    requests: 100,
    request: (i) => ({ path: `/?k=${many(i)}` }),
  },
  {
    name: 'ip_hash',
    upstream: 'ip_hash; server %A%; server %B% weight=2; server %C%;',
    requests: 150,
    request: (i) => ({ headers: [`X-Real-IP: ${address(i)}`] }),
  },
  {
    name: 'ip_hash of IPv6',
    upstream: 'ip_hash; server %A%; server %B% weight=2; server %C%;',
    requests: 60,
    request: (i) => ({ headers: [`X-Real-IP: 2001:db8:${(i * 97).toString(16)}::${(i * 31).toString(16)}`] }),
  },
  {
    name: 'ip_hash with a dead server and one down',
    upstream: 'ip_hash; server %A%; server %N%; server %C% down; server %D%;',
    requests: 60,
    request: (i) => ({ headers: [`X-Real-IP: ${address(i)}`] }),
  },
  {
    name: 'servers that drop every third request',
    upstream: 'server %A% max_fails=3; server %B% max_fails=3; server %C%;',
    requests: 30,
    request: (i) => ({ path: i % 3 === 0 ? '/drop?A' : '/' }),
  },
  {
    name: 'answers with 503 as failures',
    upstream: 'server %A% max_fails=2; server %B%; server %C% weight=2;',
    requests: 30,
    location: 'proxy_next_upstream error timeout http_503;',
    request: (i) => ({ path: i % 4 === 1 ? '/busy?B' : '/' }),
  },
  {
    name: 'answers with 404 that are no failures',
    upstream: 'server %A%; server %B%; server %C% weight=2;',
    requests: 24,
    location: 'proxy_next_upstream http_404;',
    request: (i) => ({ path: i % 3 === 1 ? '/missing?AB' : '/' }),
  },
];

/** Backends that answer well, unless the path tells them not to. */
async function backends(t: TestContext): Promise<Record<string, number>> {
  const ports: Record<string, number> = {};
  for (const name of NAMES) {
    const server = createServer((request, response) => {
      const concerns = (request.url ?? '').split('?')[1]?.includes(name) ?? false;
      if (concerns && request.url!.startsWith('/drop')) return void request.socket.destroy();
      response.statusCode = !concerns
        ? 200
        : request.url!.startsWith('/busy')
          ? 503
          : request.url!.startsWith('/missing')
            ? 404
            : 200;
      response.end(name);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => {
      server.closeAllConnections();
      server.close();
    });
    ports[name] = (server.address() as AddressInfo).port;
  }
  for (const name of ['N', 'M']) ports[name] = await freePort();
  return ports;
}

/** The servers tried by each request: `A`, `N, A`, and the status if it is not 200. */
async function row(group: Group, running: Running, path: string): Promise<string[]> {
  const rows: string[] = [];
  const byPort = new Map(Object.entries(running.ports).map(([name, port]) => [String(port), name]));
  for (let i = 0; i < group.requests; i++) {
    const { path: rest = '/', headers = [] } = group.request?.(i) ?? {};
    const lines = [`GET ${path}${rest} HTTP/1.1`, 'Host: a', 'Connection: close', ...headers];
    const answer = await exchange(running.ports.MAIN!, [`${lines.join('\r\n')}\r\n\r\n`]);
    const status = /^HTTP\/1\.1 (\d+)/.exec(answer)?.[1] ?? answer;
    const tried = /\r\nX-Up: (.*?)\r\n/.exec(answer)?.[1] ?? '';
    const names = tried.replace(/127\.0\.0\.1:(\d+)/g, (_, port: string) => byPort.get(port) ?? port);
    rows.push(status === '200' ? names : `${names} = ${status}`);
  }
  return rows;
}

test('which server each request goes to, as nginx chooses', async (t) => {
  if (requires(t, 'nginx') === null) return;
  const ports = await backends(t);
  const fill = (text: string): string => text.replace(/%(\w)%/g, (_, name: string) => `127.0.0.1:${ports[name]}`);
  // Longer than the test takes: what a failure does must not depend on how fast this machine is.
  const patient = (text: string): string => text.replace(/server (%\w%)/g, 'server $1 fail_timeout=600');
  const groups = GROUPS.map(({ upstream }, i) => `upstream g${i} { ${fill(patient(upstream))} }`);
  const locations = GROUPS.map(
    ({ location = '' }, i) =>
      `location /g${i}/ { ${location} proxy_pass http://g${i}/; add_header X-Up $upstream_addr always; }`,
  );
  const http =
    `proxy_http_version 1.1; proxy_set_header Connection ""; ${groups.join('\n')}\n` +
    `server { listen 127.0.0.1:%%MAIN%%; set_real_ip_from 127.0.0.1; ${locations.join('\n')} }`;
  const start = async (kind: Kind): Promise<Running> => {
    const running = await Running.start({ kind, http, ports });
    t.after(() => running.stop());
    return running;
  };
  const [nginx, headrace] = [await start('nginx'), await start('headrace')];
  for (const [i, group] of GROUPS.entries()) {
    await t.test(group.name, async () => {
      const expected = await row(group, nginx, `/g${i}`);
      const actual = await row(group, headrace, `/g${i}`);
      assert.deepEqual(actual, expected);
    });
  }
});
