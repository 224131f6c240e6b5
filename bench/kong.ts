/**
 * `npm run bench:kong`: the Kong door with many upstreams, through the real program. For each store: time from the start of the process to the
 * first proxied answer, time until a target that is added gets a request, and memory per target.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { type AddressInfo, createServer as createTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { ensureBuilt } from '../scripts/build.ts';

const USAGE = `npm run bench:kong -- [options]

  --upstreams N    (default 1000)
  --targets N      of each (default 20)
  --workers N      (default 2)
  --postgres URL   an empty database, to be measured too
`;

const { values } = parseArgs({
  options: {
    upstreams: { type: 'string', default: '1000' },
    targets: { type: 'string', default: '20' },
    workers: { type: 'string', default: '2' },
    postgres: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  },
});
if (values.help === true) {
  process.stdout.write(USAGE);
  process.exit(0);
}
const [upstreams, targets] = [Number(values.upstreams), Number(values.targets)];
const BINARY = join(import.meta.dirname, '../bin/headrace');

await ensureBuilt();

/** Every target is this server: all of 127.0.0.0/8 is this machine. */
const echo = createServer((req, res) => res.end(req.socket.localAddress));
await new Promise<void>((resolve) => echo.listen(0, '0.0.0.0', resolve));
const { port: echoPort } = echo.address() as AddressInfo;

async function freePort(): Promise<number> {
  const server = createTcp().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function get(port: number, path: string, host = '127.0.0.1', method = 'GET', body = ''): Promise<[number, string]> {
  return new Promise((resolve, reject) => {
    const headers = { host, ...(body === '' ? {} : { 'content-type': 'application/json' }) };
    const req = request({ host: '127.0.0.1', port, path, method, headers, agent: false }, (res) => {
      let text = '';
      res.setEncoding('utf8').on('data', (part: string) => (text += part));
      res.on('end', () => resolve([res.statusCode ?? 0, text]));
    });
    req.on('error', reject).end(body);
  });
}

/** As kong.yml: upstreams with targets, services and routes by host. */
function declarative(): string {
  const lines = ['_format_version: "3.0"', 'upstreams:'];
  for (let u = 0; u < upstreams; u++) {
    lines.push(`- name: u${u}.test`, '  tags: [bench]', '  targets:');
    for (let i = 0; i < targets; i++) {
      lines.push(`  - target: 127.${1 + (u >> 8)}.${u & 255}.${i + 1}:${echoPort}`, '    weight: 100');
    }
  }
  lines.push('services:');
  for (let u = 0; u < upstreams; u++) {
    lines.push(`- name: s${u}`, `  host: u${u}.test`, '  routes:', `  - name: r${u}`, `    hosts: [u${u}.test]`);
  }
  return `${lines.join('\n')}\n`;
}

interface Node {
  child: ChildProcess;
  admin: number;
  proxy: number;
  /** From the start of the process to the first answer through the last upstream. */
  startMs: number;
  /** Of the processor, all threads, until then. */
  startCpuMs: number;
}

async function start(dir: string, args: string[], host: string | null): Promise<Node> {
  const [admin, proxy] = [await freePort(), await freePort()];
  const own = ['--admin-listen', `127.0.0.1:${admin}`, '--proxy-listen', `127.0.0.1:${proxy}`, '--data', dir];
  const began = performance.now();
  const child = spawn(
    BINARY,
    ['kong', ...own, '--workers', values.workers, '--error-log', join(dir, 'error.log'), ...args],
    {
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  );
  for (;;) {
    if (child.exitCode !== null) throw new Error(`it ended: ${readFileSync(join(dir, 'error.log'), 'utf8')}`);
    const [status] =
      host === null ? await get(admin, '/status').catch(() => [0]) : await get(proxy, '/', host).catch(() => [0]);
    if (status === 200) break;
    await sleep(5);
  }
  return { child, admin, proxy, startMs: performance.now() - began, startCpuMs: cpuMs(child.pid!) };
}

async function stop({ child }: Node): Promise<void> {
  child.kill('SIGTERM');
  if (child.exitCode === null) await once(child, 'exit');
}

/** User and system time, in ticks of a hundredth of a second. */
function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
    .replace(/^.*\) /s, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

const rssOf = ({ child }: Node): number =>
  Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${child.pid}/status`, 'latin1'))?.[1] ?? 0) * 1024;

/** Milliseconds from the request that adds a target to the first answer that it gives. */
async function addTarget(
  { admin, proxy }: Node,
  name: string,
  target: string,
): Promise<[answered: number, effective: number]> {
  const began = performance.now();
  // So heavy that the next request is for it.
  const body = JSON.stringify({ target: `${target}:${echoPort}`, weight: 65_535 });
  const [status, text] = await get(admin, `/upstreams/${name}/targets`, '127.0.0.1', 'POST', body);
  if (status !== 201) throw new Error(`adding a target: ${status} ${text}`);
  const answered = performance.now() - began;
  for (;;) {
    const [, by] = await get(proxy, '/', name);
    if (by === target) return [answered, performance.now() - began];
  }
}

const median = (list: number[]): number => list.toSorted((a, b) => a - b)[list.length >> 1]!;

const dir = mkdtempSync(join(tmpdir(), 'headrace-kong-'));
const file = join(dir, 'kong.yml');
const json = join(dir, 'kong.json');
writeFileSync(file, declarative());
const { parse } = await import('yaml');
writeFileSync(json, JSON.stringify(parse(declarative())));
const last = `u${upstreams - 1}.test`;
const rows: string[][] = [
  [
    'store',
    'start, ms',
    'of the processor',
    'a target: answered, ms',
    'a target: in effect, ms',
    'RSS, MiB',
    'bytes per target',
  ],
];
try {
  const bare = await start(dir, ['--store', 'memory'], null);
  await sleep(500);
  const empty = rssOf(bare);
  rows.push(['none', bare.startMs.toFixed(0), String(bare.startCpuMs), '', '', (empty / 2 ** 20).toFixed(0), '']);
  await stop(bare);

  const stores: [name: string, args: string[]][] = [
    ['kong.yml', ['--config', file]],
    ['the same as JSON', ['--config', json]],
    ['SQLite', ['--store', join(dir, 'kong.db')]],
    ...(values.postgres === undefined ? [] : [['PostgreSQL', ['--store', values.postgres]] as [string, string[]]]),
  ];
  for (const [name, args] of stores) {
    const stored = !name.includes('kong') && !name.includes('JSON');
    if (stored) await fill(args);
    const node = await start(dir, args, last);
    await sleep(500);
    const rss = rssOf(node);
    const each: [number, number][] = [];
    for (let i = 0; stored && i < 21; i++) each.push(await addTarget(node, `u${i * 7}.test`, `127.99.0.${i + 1}`));
    rows.push([
      name,
      node.startMs.toFixed(0),
      String(node.startCpuMs),
      stored ? median(each.map(([answered]) => answered)).toFixed(1) : '',
      stored
        ? `${median(each.map(([, effective]) => effective)).toFixed(1)} (worst ${Math.max(...each.map(([, e]) => e)).toFixed(1)})`
        : '',
      (rss / 2 ** 20).toFixed(0),
      ((rss - empty) / (upstreams * targets)).toFixed(0),
    ]);
    await stop(node);
  }
} finally {
  echo.closeAllConnections();
  echo.close();
  rmSync(dir, { recursive: true, force: true });
}
process.stdout.write(`${upstreams} upstreams of ${targets} targets, ${values.workers} workers\n\n`);
for (const [i, row] of rows.entries()) {
  process.stdout.write(`| ${row.join(' | ')} |\n`);
  if (i === 0) process.stdout.write(`|${row.map(() => ' --- |').join('')}\n`);
}

/** Puts the entities of kong.yml into a store, by its own code. */
async function fill(args: string[]): Promise<void> {
  const { loadKongYaml } = await import('../src/config/kong/yaml.ts');
  const { openStore } = await import('../src/store/open.ts');
  const { randomUUID } = await import('node:crypto');
  const env = { now: () => Date.now() / 1000, uuid: randomUUID };
  const store = await openStore(args[1]!);
  await store.replace(loadKongYaml(file, readFileSync(file, 'utf8'), env));
  await store.close();
}
