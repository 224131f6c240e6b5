/** The probe for plain HTTP/1, against servers that answer well and badly, byte by byte. */
import assert from 'node:assert/strict';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { compileMatch, GOOD_STATUS, type Matcher } from '../../../src/health/match.ts';
import type { Probe, ProbeOutcome } from '../../../src/health/probe.ts';
import { PlainProbeKind, type PlainProbeSettings } from '../../../src/http/health/plain-probe.ts';
import { directory } from '../../helpers/headrace.ts';
import { type Scope, suiteScope, until } from '../../helpers/wait.ts';

const REQUEST = Buffer.from('GET /up HTTP/1.1\r\nHost: x\r\n\r\n');

type Script = (socket: Socket, nth: number) => void;

class Server {
  script: Script = () => {};
  readonly seen: string[] = [];
  connections = 0;
  port = 0;

  static async start(scope: Scope, path: string | null = null): Promise<Server> {
    const one = new Server();
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      one.connections++;
      let nth = 0;
      socket.on('error', () => {});
      socket.on('data', (data) => {
        one.seen.push(String(data));
        one.script(socket, nth++);
      });
    });
    await new Promise<void>((resolve) => {
      if (path === null) server.listen(0, '127.0.0.1', resolve);
      else server.listen(path, resolve);
    });
    scope.after(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    if (path === null) one.port = (server.address() as { port: number }).port;
    return one;
  }
}

function settings(init: Partial<PlainProbeSettings> = {}): PlainProbeSettings {
  return {
    matcher: GOOD_STATUS,
    request: () => REQUEST,
    localAddress: () => null,
    connectTimeoutMs: 5000,
    sendTimeoutMs: 5000,
    readTimeoutMs: 5000,
    headLimit: 4096,
    keepaliveTimeMs: 0,
    variable: () => '',
    ...init,
  };
}

function open(scope: Scope, server: Server, init: Partial<PlainProbeSettings> = {}): Probe {
  const target = { address: `127.0.0.1:${server.port}`, family: 4, host: '127.0.0.1', server: '' } as const;
  const probe = new PlainProbeKind(settings(init)).open({ ...target, port: server.port });
  scope.after(() => probe.close());
  return probe;
}

const ask = (probe: Probe): Promise<ProbeOutcome> => new Promise((resolve) => probe.run(resolve));

const body = (pattern: string): Matcher =>
  compileMatch({
    name: 'm',
    place: { file: '', line: 0 },
    status: null,
    headers: [{ name: 'X-A', test: 'present', negate: true }],
    body: { negate: false, regex: { pattern, caseless: false } },
    require: [],
  });

const PASSED = { passed: true, stage: 'checking body', error: null };

const HEAD = 'reading response header from upstream';
/** What the server sends (`|`: in a piece of its own; `.`: it ends), and what the probe says; null: the answer fits. */
const ANSWERS: [answer: string, outcome: ProbeOutcome | null, kept: boolean][] = [
  ['HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine', null, true],
  ['HTT|P/1.1 2|00 OK\r\nConte|nt-Length: 4\r\n\r|\nfi|ne', null, true],
  ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nfi\r\n2\r\nne\r\n0\r\n\r\n', null, true],
  ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r|\nf|i\r\n2|\r\nne\r\n0|\r\n\r\n', null, true],
  ['HTTP/1.1 200 OK\r\nX-B: 1\r\n\r\nfi|ne.', null, false],
  ['HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nfine', null, false],
  ['HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nfine', null, false],
  ['HTTP/1.1 103 Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine', null, true],
  ['HTTP/1.1 100 Continue\r\n\r\n|HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine', null, true],
  ['HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfinemore', null, false],
  ['HTTP/1.1 200 OK\nContent-Length: 4\n\nfine', null, false],
  ['HTTP/1.1 204 No\r\n\r\n', { passed: false, stage: 'checking body', error: null }, false],
  ['HTTP/1.1 200 OK\r\nX-A: 1\r\n\r\n', { passed: false, stage: 'checking header', error: null }, false],
  [
    'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nfine',
    { passed: false, stage: HEAD, error: `upstream sent invalid header while ${HEAD}` },
    false,
  ],
  [
    'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    { passed: false, stage: HEAD, error: `upstream sent invalid header while ${HEAD}` },
    false,
  ],
  [
    'SSH-2.0\r\n\r\n',
    { passed: false, stage: HEAD, error: `upstream sent no valid HTTP/1.0 header while ${HEAD}` },
    false,
  ],
  [
    `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(5000)}`,
    { passed: false, stage: HEAD, error: `upstream sent too big header while ${HEAD}` },
    false,
  ],
  ['.', { passed: false, stage: HEAD, error: `upstream prematurely closed connection while ${HEAD}` }, false],
  [
    'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfi.',
    {
      passed: false,
      stage: 'reading response from upstream',
      error: 'upstream prematurely closed connection while reading response from upstream',
    },
    false,
  ],
  [
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n',
    {
      passed: false,
      stage: 'reading response from upstream',
      error: 'upstream sent invalid chunked response while reading upstream',
    },
    false,
  ],
];

/** Sends each piece by itself. */
function play(socket: Socket, answer: string): void {
  const pieces = answer.replace(/\.$/, '').split('|');
  const next = (): void => {
    const piece = pieces.shift();
    if (piece !== undefined) socket.write(piece, () => setImmediate(next));
    else if (answer.endsWith('.')) socket.end();
  };
  next();
}

/** The probe must do the same whoever carries its bytes. */
export function plainProbeSuite(): void {
  const scope = suiteScope(after);
  test('answers of all kinds, and whether the connection is used again', async () => {
    for (const [answer, outcome, kept] of ANSWERS) {
      const server = await Server.start(scope);
      server.script = (socket) => play(socket, answer);
      const probe = open(scope, server, { matcher: body('^fine$'), keepaliveTimeMs: 60_000 });
      assert.deepEqual(await ask(probe), outcome ?? PASSED, answer);
      assert.deepEqual(await ask(probe), outcome ?? PASSED, answer);
      assert.equal(server.connections, kept ? 1 : 2, answer);
      assert.equal(server.seen.join(''), String(REQUEST).repeat(2));
      probe.close();
    }
  });

  test('without conditions of the body it is not read; each probe has its own connection', async () => {
    const server = await Server.start(scope);
    server.script = (socket) => socket.write('HTTP/1.1 302 Found\r\nContent-Length: 1000000\r\n\r\nx');
    const probe = open(scope, server);
    const good = { passed: true, stage: 'checking status code', error: null };
    for (let i = 0; i < 3; i++) assert.deepEqual(await ask(probe), good);
    assert.equal(server.connections, 3);
    server.script = (socket) => socket.write('HTTP/1.1 500 No\r\n\r\n');
    assert.deepEqual(await ask(probe), { ...good, passed: false });
  });

  test('a connection that was kept and then closed says nothing about the server', async () => {
    const server = await Server.start(scope);
    const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n';
    // the second request finds the connection gone
    server.script = (socket, nth) => (nth === 0 ? socket.write(ok) : socket.resetAndDestroy());
    const probe = open(scope, server, { keepaliveTimeMs: 60_000 });
    for (let i = 1; i <= 3; i++) {
      assert.equal((await ask(probe)).passed, true);
      assert.equal(server.connections, i);
    }
    // what nobody asked for ends it
    server.script = (socket) => socket.write(ok, () => setImmediate(() => socket.write('more')));
    assert.equal((await ask(probe)).passed, true);
    const before = server.connections;
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal((await ask(probe)).passed, true);
    assert.equal(server.connections, before + 1);
  });

  test('timeouts, refusals, and nothing is said after close', async () => {
    const server = await Server.start(scope);
    const late = await ask(open(scope, server, { readTimeoutMs: 50 }));
    assert.deepEqual(late, {
      passed: false,
      stage: HEAD,
      error: `upstream timed out (110: Connection timed out) while ${HEAD}`,
    });
    const refused = await ask(open(scope, Object.assign(new Server(), { port: 1 })));
    assert.equal(refused.error, 'connect() failed (111: Connection refused) while connecting to upstream');
    server.script = (socket) => socket.resetAndDestroy();
    const reset = await ask(open(scope, server));
    assert.equal(reset.error, `recv() failed (104: Connection reset by peer) while ${HEAD}`);

    let said = 0;
    const probe = open(scope, server);
    server.script = () => {};
    probe.run(() => said++);
    await until('the request', () => server.seen.length === 3);
    probe.close();
    server.script = (socket) => socket.write('HTTP/1.1 200 OK\r\n\r\n');
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(said, 0);
  });

  test('unix sockets, and an address to connect from', async () => {
    const path = join(directory(scope), 'socket');
    const server = await Server.start(scope, path);
    server.script = (socket) => socket.write('HTTP/1.1 200 OK\r\n\r\n');
    const target = { address: `unix:${path}`, family: 'unix', host: path, port: 0, server: '' } as const;
    assert.equal((await ask(new PlainProbeKind(settings()).open(target))).passed, true);

    const inet = await Server.start(scope);
    let from = '';
    inet.script = (socket) => {
      from = String(socket.remoteAddress);
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
    };
    assert.equal((await ask(open(scope, inet, { localAddress: () => ({ text: '127.0.0.9', port: 0 }) }))).passed, true);
    assert.equal(from, '127.0.0.9');
  });
}
