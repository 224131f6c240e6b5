/** Health checks of stream through the real program, against TCP and UDP servers that go wrong in each way. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import { makeSelfSigned } from '../../src/net/self-signed.ts';
import { directory, Headrace } from '../helpers/headrace.ts';
import { answer, call, Caller, Datagrams, listen } from '../helpers/stream.ts';
import { suiteScope, until } from '../helpers/wait.ts';

const scope = suiteScope(after);

type Script = (caller: Caller) => void;

/** Answers each line: PING with PONG, in two pieces; anything else with its name. */
const speaking =
  (name: string): Script =>
  ({ socket }) => {
    socket.on('data', (data: Buffer) => {
      if (!data.includes('PING')) {
        socket.end(name);
        return;
      }
      if (works[name] === false) {
        socket.destroy();
        return;
      }
      socket.write('+PO');
      setTimeout(() => socket.write('NG\xff\r\n', 'latin1'), 5);
    });
    socket.on('end', () => socket.end());
  };
const onPing =
  (act: (caller: Caller) => void): Script =>
  (caller) =>
    void caller.socket.once('data', () => act(caller));

interface Case {
  /** Null: nobody listens there. */
  script: Script | null;
  check: string;
  server?: string;
  stage: string;
  error?: string;
}

const CASES: Record<string, Case> = {
  refuse: {
    script: null,
    check: '',
    stage: 'connecting to upstream',
    error: 'connect() failed (111: Connection refused) while connecting to upstream',
  },
  hang: {
    script: () => {},
    check: 'match=pong',
    server: 'health_check_timeout 1s;',
    stage: 'receiving data from upstream',
    error: 'upstream timed out (110: Connection timed out) while receiving data from upstream',
  },
  reset: {
    script: onPing(({ socket }) => socket.resetAndDestroy()),
    check: 'match=pong',
    stage: 'receiving data from upstream',
    error: 'recv() failed (104: Connection reset by peer) while receiving data from upstream',
  },
  close: {
    script: onPing(({ socket }) => socket.end()),
    check: 'match=pong',
    stage: 'receiving data from upstream',
    error: 'upstream prematurely closed connection while receiving data from upstream',
  },
  wrong: { script: onPing(({ socket }) => socket.end('-NOPE\r\n')), check: 'match=pong', stage: 'checking data' },
  // case counts without the star
  letters: { script: onPing(({ socket }) => socket.end('+pong\xff')), check: 'match=regex', stage: 'checking data' },
  far: {
    script: onPing(({ socket }) => socket.write(`${'x'.repeat(64)}+PONG`)),
    check: 'match=pong',
    server: 'proxy_buffer_size 64;',
    stage: 'checking data',
  },
};

let h: Headrace;
const bad: Record<string, { port: number; script: Script }> = {};
/** Whether each of these answers a PING; others do. */
const works: Record<string, boolean> = { must: false, slow: false, drop: true };
let udpWorks = false;
/** First bytes that the server behind `header` was sent. */
const headers = new Set<string>();
/** What UDP servers were sent. */
const asked = new Set<string>();
let tlsNames: string[];
const ports: Record<string, number> = {};

async function start(name: string, script: Script): Promise<void> {
  const one = { port: 0, script };
  one.port = await listen(scope, (caller) => one.script(caller));
  bad[name] = one;
}

/** A server over TLS with a certificate of its own authority. */
async function startTls(): Promise<{ port: number; certificate: string }> {
  const { key, cert } = makeSelfSigned('a.test', Date.now());
  const certificate = join(directory(scope), 'crt');
  writeFileSync(certificate, cert);
  const server = createTlsServer({ key, cert }, (socket) => {
    tlsNames.push(String(socket.servername));
    socket.on('error', () => {});
    socket.on('data', (data: Buffer) => void socket.write(data.includes('PING') ? '+PONG\xff' : 'tls', 'latin1'));
  });
  server.on('tlsClientError', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  scope.after(() => server.close());
  return { port: (server.address() as { port: number }).port, certificate };
}

before(async () => {
  tlsNames = [];
  const good = await listen(scope, speaking('good'));
  const other = await listen(scope, speaking('other'));
  for (const [name, { script }] of Object.entries(CASES)) if (script !== null) await start(name, script);
  for (const name of Object.keys(works)) await start(name, speaking(name));
  await start('header', ({ socket }) => {
    socket.once('data', (data: Buffer) => {
      headers.add(data.latin1Slice());
      socket.end('+PONG\xff', 'latin1');
    });
  });
  const udpGood = await answer(scope, (text) => {
    asked.add(text);
    return [text.includes('\x01\x02') ? 'say \xfe' : `good ${text}`];
  });
  const udpBad = await answer(scope, () => [udpWorks ? 'say \xfe' : 'nothing']);
  const udpSilent = (await Datagrams.open(scope)).port;
  const tls = await startTls();
  Object.assign(ports, { good, other, udpGood, udpBad, udpSilent, tls: tls.port });

  h = await Headrace.start(scope, () => '', {
    workers: 2,
    stream: ({ port }) => {
      const servers = (list: (number | string)[]): string => list.map((at) => `server 127.0.0.1:${at};`).join(' ');
      const group = (name: string, list: (number | string)[], server: string): string =>
        `upstream ${name} { zone ${name} 64k; ${servers(list)} }\n` +
        `server { listen 127.0.0.1:${port(name)}; proxy_pass ${name}; ${server} }\n`;
      const udp = (name: string, list: number[], server: string): string =>
        group(name, list, server).replace('; proxy_pass', ' udp; proxy_responses 1; proxy_timeout 1s; proxy_pass');
      const dead = port('nobody');
      return `
        proxy_connect_timeout 5s;
        match pong { send "PING\\r\\n"; expect "PONG\\xff"; }
        match regex { send PING\\x0d\\x0a; expect ~ "^\\+PONG\\xFF"; }
        match caseless { send PING; expect ~* "^\\+pong"; }
        match said { send \\x01\\x02\\x00; expect "\\xFE"; }
        ${Object.entries(CASES)
          .map(([name, { check, server = '' }]) =>
            group(name, [bad[name]?.port ?? dead, good], `${server} health_check interval=200ms ${check};`),
          )
          .join('')}
        ${group('must', [bad.must!.port], 'health_check interval=50ms match=pong mandatory persistent fails=1000;')}
        ${group('slow', [`${bad.slow!.port} slow_start=1h`, good], 'health_check interval=50ms match=caseless fails=2 passes=2;')}
        ${group('drop', [bad.drop!.port], 'proxy_session_drop on; health_check interval=50ms match=regex;')}
        ${group('elsewhere', [dead], `health_check interval=50ms port=${good} match=pong;`)}
        ${group('header', [bad.header!.port], 'proxy_protocol on; health_check interval=50ms match=pong;')}
        ${group('twice', [good, other], `health_check interval=50ms; health_check interval=50ms port=${dead};`)}
        ${udp('dns', [udpGood, dead], 'health_check udp interval=200ms;')}
        ${udp('silent', [udpSilent], 'health_check udp interval=100ms;')}
        ${udp('mute', [udpSilent, udpGood], 'health_check_timeout 1s; health_check udp interval=200ms match=said;')}
        ${udp('says', [udpBad, udpGood], 'health_check udp interval=200ms match=said;')}
        ${group(
          'secure',
          [tls.port, good],
          `proxy_ssl on; proxy_ssl_verify on; proxy_ssl_trusted_certificate ${tls.certificate};
           proxy_ssl_name a.test; proxy_ssl_server_name on; health_check interval=200ms match=pong;`,
        )}`;
    },
  });
});

/** Which servers sessions of a group come to. */
async function reached(name: string, count: number): Promise<Set<string>> {
  const seen = new Set<string>();
  for (let i = 0; i < count; i++) seen.add(await call(scope, h.port(name), 'WHO\r\n'));
  return seen;
}

const placeOf = (group: string, port: number, check: string): string =>
  `health check "${check}" of peer 127.0.0.1:${port} in upstream "${group}"`;

describe('a server is unhealthy and gets no sessions when it goes wrong:', () => {
  for (const [name, { stage, error, check }] of Object.entries(CASES)) {
    test(name, async () => {
      const place = placeOf(name, bad[name]?.port ?? h.port('nobody'), check.replace('match=', ''));
      const log = await h.logged(`peer is unhealthy while ${stage}, ${place}`);
      if (error !== undefined) assert.ok(log.includes(`${error}, ${place}`), `${error}, ${place}`);
      await until('sessions to the good one alone', async () => {
        const seen = await reached(name, 6);
        return seen.size === 1 && seen.has('good');
      });
    });
  }
});

test('it is healthy again when it passes', async () => {
  const { wrong } = bad;
  wrong!.script = speaking('wrong');
  await h.logged(`peer is healthy while checking data, ${placeOf('wrong', wrong!.port, 'pong')}`);
  await until('sessions', async () => (await reached('wrong', 6)).has('wrong'));
});

test('mandatory: nothing before it has passed', async () => {
  assert.deepEqual([...(await reached('must', 2))], ['']);
  works.must = true;
  await until('a session', async () => (await reached('must', 1)).has('must'));
});

test('fails, passes, and slow_start after it has recovered', async () => {
  const place = placeOf('slow', bad.slow!.port, 'caseless');
  await h.logged(`peer is unhealthy while receiving data from upstream, ${place}`);
  works.slow = true;
  await h.logged(`peer is healthy while checking data, ${place}`);
  // of an hour, next to nothing has passed
  assert.deepEqual([...(await reached('slow', 10))], ['good']);
});

test('proxy_session_drop ends sessions of a server that is unhealthy', async () => {
  const caller = await Caller.to(scope, h.port('drop'));
  caller.send('PING');
  await caller.says('PONG');
  works.drop = false;
  await caller.rest();
  await h.logged('session dropped: the server is gone or unhealthy');
});

test('a port of its own; two checks of one group, of which one fails', async () => {
  await h.logged(`peer is unhealthy while connecting to upstream, ${placeOf('twice', ports.other!, '')}, port`);
  assert.deepEqual([...(await reached('twice', 2))], ['']);
  assert.equal(h.lines('is unhealthy').filter((line) => line.includes('"elsewhere"')).length, 0);
});

test('a check says by the PROXY protocol that it speaks for nobody', async () => {
  await until('a probe', () => headers.size > 0);
  assert.equal([...headers][0], 'PROXY UNKNOWN\r\nPING\r\n');
  assert.equal(h.lines('is unhealthy').filter((line) => line.includes('"header"')).length, 0);
});

describe('UDP', () => {
  /** A datagram goes to the good one alone, in every one of some sessions. */
  async function onlyGood(name: string): Promise<void> {
    await until('answers of the good one alone', async () => {
      for (let i = 0; i < 6; i++) {
        const client = await Datagrams.open(scope);
        client.send(h.port(name), 'x');
        const [text] = await Promise.race([client.count(1), new Promise<string[]>((r) => setTimeout(r, 500, ['']))]);
        if (text !== 'good x') return false;
      }
      return true;
    });
  }

  test('nobody there: ICMP tells; what is sent without match', async () => {
    const place = placeOf('dns', h.port('nobody'), '');
    const log = await h.logged(`peer is unhealthy while receiving data from upstream, ${place}`);
    assert.ok(log.includes(`recv() failed (111: Connection refused) while receiving data from upstream, ${place}`));
    await onlyGood('dns');
    assert.ok(asked.has('nginx health check'), [...asked].join());
  });

  test('silence passes unless something is expected', async () => {
    const place = placeOf('mute', ports.udpSilent!, 'said');
    await h.logged(`upstream timed out (110: Connection timed out) while receiving data from upstream, ${place}`);
    await onlyGood('mute');
    assert.ok(asked.has('\x01\x02\x00'));
    assert.equal(h.lines('is unhealthy').filter((line) => line.includes('"silent"')).length, 0);
  });

  test('a wrong answer, and the right one', async () => {
    const place = placeOf('says', ports.udpBad!, 'said');
    await h.logged(`peer is unhealthy while checking data, ${place}`);
    await onlyGood('says');
    udpWorks = true;
    await h.logged(`peer is healthy while checking data, ${place}`);
  });
});

test('over TLS with the names and certificates of sessions; one that speaks plain text fails', async () => {
  await h.logged(`peer is unhealthy while SSL handshaking to upstream, ${placeOf('secure', ports.good!, 'pong')}`);
  assert.ok(tlsNames.includes('a.test'), tlsNames.join());
  const caller = await Caller.to(scope, h.port('secure'));
  caller.send('WHO');
  await caller.says('tls');
  caller.socket.destroy();
});

test('a reload keeps what is known: who has passed need not pass again', async () => {
  await until('it to have passed', async () => (await reached('must', 1)).has('must'));
  const unhealthy = (): number => h.lines('is unhealthy').filter((line) => line.includes('"twice"')).length;
  const before = unhealthy();
  works.must = false;
  h.signal('SIGHUP');
  await h.logged('drained');
  assert.deepEqual([...(await reached('must', 4))], ['must']);
  assert.equal(unhealthy(), before);
});
