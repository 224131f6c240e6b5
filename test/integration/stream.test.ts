/** TCP and UDP through the real program: relaying, choosing, phases, ends, reloads. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Headrace } from '../helpers/headrace.ts';
import type { Place } from '../helpers/headrace.ts';
import { freePort } from '../helpers/ports.ts';
import { answer, call, Caller, Datagrams, echo, listen } from '../helpers/stream.ts';
import { suiteScope, until } from '../helpers/wait.ts';

const scope = suiteScope(after);

describe('stream', () => {
  let h: Headrace;
  let deadPort: number;
  let echoPort: number;
  let udpPort: number;
  /** Connections that reached the silent server. */
  const silent: Caller[] = [];

  before(async () => {
    deadPort = await freePort();
    echoPort = await listen(scope, echo());
    const onePort = await listen(scope, echo('one '));
    const twoPort = await listen(scope, echo('two '));
    const silentPort = await listen(scope, (caller) => void silent.push(caller));
    udpPort = await answer(scope, (text, from) => (text === 'twice' ? ['1', '2'] : [`${text} from ${from}`]));
    h = await Headrace.start(
      scope,
      ({ port }) => `server { listen 127.0.0.1:${port('http')}; return 200 "http $remote_addr"; }`,
      {
        workers: 2,
        stream: ({ port, dir }: Place) => `
          log_format main '$protocol $status $bytes_received/$bytes_sent "$upstream_addr" $upstream_bytes_sent '
                          '$upstream_bytes_received $server_port';
          log_format tries '$status "$upstream_addr" "$upstream_connect_time" "$upstream_session_time"';
          map $remote_addr $mapped { 127.0.0.1 here; default elsewhere; }
          map $ssl_preread_server_name $by_name { a.test ${onePort}; default ${twoPort}; }
          upstream both { server 127.0.0.1:${onePort}; server 127.0.0.1:${twoPort}; }
          upstream failing { server 127.0.0.1:${deadPort} max_fails=0; server 127.0.0.1:${onePort}; }
          upstream sticky { zone sticky 64k; server 127.0.0.1:${onePort}; server 127.0.0.1:${twoPort};
                            sticky learn lookup=$preread_data zone=seen:64k; }
          upstream routed { server 127.0.0.1:${onePort} route=A; server 127.0.0.1:${twoPort} route=B;
                            sticky route $preread_data; }
          server { listen 127.0.0.1:${port('echo')}; proxy_pass 127.0.0.1:${echoPort};
                   access_log ${join(dir, 'echo.log')} main; }
          server { listen 127.0.0.1:${port('both')}; proxy_pass both; }
          server { listen 127.0.0.1:${port('failing')}; proxy_pass failing; access_log ${join(dir, 'tries.log')} tries; }
          server { listen 127.0.0.1:${port('dead')}; proxy_pass 127.0.0.1:${deadPort};
                   access_log ${join(dir, 'tries.log')} tries; }
          server { listen 127.0.0.1:${port('stop')}; proxy_pass failing; proxy_next_upstream off; }
          server { listen 127.0.0.1:${port('half')}; proxy_pass 127.0.0.1:${silentPort}; proxy_half_close on; }
          server { listen 127.0.0.1:${port('whole')}; proxy_pass 127.0.0.1:${silentPort}; }
          server { listen 127.0.0.1:${port('idle')}; proxy_pass 127.0.0.1:${silentPort}; proxy_timeout 200ms; }
          server { listen 127.0.0.1:${port('return')}; set $said "$mapped $protocol"; return "$said $server_port $status"; }
          server { listen 127.0.0.1:${port('deny')}; deny 127.0.0.1; return no; access_log ${join(dir, 'deny.log')} main; }
          server { listen 127.0.0.1:${port('none')}; access_log ${join(dir, 'deny.log')} main; }
          server { listen unix:${join(dir, 'in.sock')}; return "unix $remote_addr"; }
          server { listen 127.0.0.1:${port('unix')}; proxy_pass unix:${join(dir, 'in.sock')}; }
          server { listen 127.0.0.1:${port('header')}; proxy_pass 127.0.0.1:${echoPort}; proxy_protocol on; }
          server { listen 127.0.0.1:${port('behind')} proxy_protocol; set_real_ip_from 127.0.0.0/8;
                   return "$remote_addr:$remote_port $realip_remote_addr $proxy_protocol_server_port"; }
          server { listen 127.0.0.1:${port('preread')}; ssl_preread on; preread_buffer_size 2k; preread_timeout 300ms;
                   proxy_pass 127.0.0.1:$by_name; access_log ${join(dir, 'preread.log')} main; }
          server { listen 127.0.0.1:${port('sticky')}; preread_bytes 4; proxy_pass sticky; }
          server { listen 127.0.0.1:${port('routed')}; preread_bytes 1; proxy_pass routed; }
          server { listen 127.0.0.1:${port('pass')}; pass 127.0.0.1:${port('http')}; }
          server { listen 127.0.0.1:${port('nowhere')}; pass 127.0.0.1:1; }
          server { listen 127.0.0.1:${port('slow')}; proxy_pass 127.0.0.1:${echoPort}; proxy_download_rate 2000; }
          server { listen 127.0.0.1:${port('udp')} udp; proxy_pass 127.0.0.1:${udpPort}; proxy_responses 1;
                   access_log ${join(dir, 'udp.log')} main; }
          server { listen 127.0.0.1:${port('udp-open')} udp; proxy_pass 127.0.0.1:${udpPort}; proxy_timeout 20s; }
          server { listen 127.0.0.1:${port('udp-two')} udp; proxy_pass 127.0.0.1:${udpPort}; proxy_requests 2; proxy_responses 1; }
          server { listen 127.0.0.1:${port('udp-return')} udp; return "$protocol $bytes_received"; }
        `,
      },
    );
  });

  test('bytes go through both ways, whole and in order', async () => {
    const caller = await Caller.to(scope, h.port('echo'));
    const bytes = randomBytes(3_000_000);
    caller.send(bytes);
    caller.socket.end();
    await caller.rest();
    // Without proxy_half_close the end of the client ends the session once all is passed on: what came back is a beginning.
    assert.ok(bytes.subarray(0, caller.bytes.length).equals(caller.bytes));
    const half = await Caller.to(scope, h.port('echo'));
    half.send(bytes);
    await until('all bytes back', () => half.bytes.length === bytes.length);
    assert.ok(half.bytes.equals(bytes));
    half.socket.end();
    await half.rest();
    await h.logged(`TCP 200 3000000/3000000 "127.0.0.1:${echoPort}" 3000000 3000000 ${h.port('echo')}`, 'echo.log');
  });

  test('servers take turns', async () => {
    const texts = [];
    for (let i = 0; i < 4; i++) {
      const caller = await Caller.to(scope, h.port('both'));
      await until('a greeting', () => caller.text.length >= 4);
      texts.push(caller.text);
      caller.socket.destroy();
    }
    assert.deepEqual(texts.sort(), ['one ', 'one ', 'two ', 'two ']);
  });

  test('a server that refuses is passed over, unless proxy_next_upstream is off', async () => {
    for (let i = 0; i < 2; i++) {
      const caller = await Caller.to(scope, h.port('failing'));
      await caller.says('one ');
      caller.socket.destroy();
    }
    await h.logged(/^200 "127.0.0.1:\d+, 127.0.0.1:\d+" "-, \d\.\d{3}" "\d\.\d{3}, \d\.\d{3}"$/m, 'tries.log');
    await h.logged(
      new RegExp(
        'connect\\(\\) failed \\(111: Connection refused\\) while connecting to upstream, client: 127.0.0.1, ' +
          `server: 127.0.0.1:${h.port('failing')}, upstream: "127.0.0.1:${deadPort}", ` +
          'bytes from/to client:0/0, bytes from/to upstream:0/0',
      ),
    );
    assert.equal(await call(scope, h.port('dead')), '');
    await h.logged(`502 "127.0.0.1:${deadPort}" "-" "0.`, 'tries.log');
    const answers: string[] = [];
    for (let i = 0; i < 2; i++) {
      const caller = await Caller.to(scope, h.port('stop'));
      await until('a greeting or the end', () => caller.ended || caller.text.length >= 4);
      answers.push(caller.text);
      caller.socket.destroy();
    }
    assert.ok(answers.includes(''), 'one of two meets the dead server');
  });

  test('an end is passed on alone with proxy_half_close, and ends the session without', async () => {
    const seen = silent.length;
    const half = await Caller.to(scope, h.port('half'));
    half.send('question');
    half.socket.end();
    await until('the connection', () => silent.length > seen);
    const server = silent.at(-1)!;
    await until('the end', () => server.ended);
    assert.equal(server.text, 'question');
    server.send('answer');
    assert.equal(await half.says('answer'), 'answer');
    server.socket.end();
    await half.rest();

    const whole = await Caller.to(scope, h.port('whole'));
    whole.send('question');
    await until('another connection', () => silent.length > seen + 1);
    const other = silent.at(-1)!;
    await other.says('question');
    whole.socket.end();
    await until('its end', () => other.ended);
    await whole.rest();
    await h.logged(/client disconnected, bytes from\/to client:8\/0, bytes from\/to upstream:0\/8/);
  });

  test('a reset of one side ends the other', async () => {
    const before = silent.length;
    const caller = await Caller.to(scope, h.port('whole'));
    await until('the connection', () => silent.length > before);
    caller.socket.resetAndDestroy();
    await until('the end at the server', () => silent.at(-1)!.closed || silent.at(-1)!.ended);
    const another = await Caller.to(scope, h.port('whole'));
    await until('the connection', () => silent.length > before + 1);
    silent.at(-1)!.socket.resetAndDestroy();
    await another.rest();
  });

  test('a session on which nothing moves ends by proxy_timeout', async () => {
    const caller = await Caller.to(scope, h.port('idle'));
    await caller.rest();
    await h.logged(
      /connection timed out \(110: Connection timed out\) while proxying connection, client: 127\.0\.0\.1/,
    );
  });

  test('return, set, map; deny; a server without handler', async () => {
    assert.equal(await call(scope, h.port('return')), `here TCP ${h.port('return')} 000`);
    assert.equal(await call(scope, h.port('deny')), '');
    await h.logged(/^TCP 403 /m, 'deny.log');
    await h.logged('access forbidden by rule while initializing session, client: 127.0.0.1');
    assert.equal(await call(scope, h.port('none')), '');
    await h.logged(/^TCP 500 /m, 'deny.log');
  });

  test('unix sockets on both sides', async () => {
    assert.equal(await call(scope, join(h.dir, 'in.sock')), 'unix unix:');
    assert.equal(await call(scope, h.port('unix')), 'unix unix:');
  });

  test('PROXY protocol: written to servers, believed from trusted clients', async () => {
    const caller = await Caller.to(scope, h.port('header'));
    caller.send('bytes');
    await caller.says('bytes');
    const { localPort } = caller.socket;
    assert.equal(caller.text, `PROXY TCP4 127.0.0.1 127.0.0.1 ${localPort} ${h.port('header')}\r\nbytes`);
    const header = 'PROXY TCP4 192.0.2.7 192.0.2.8 1234 5678\r\n';
    assert.equal(await call(scope, h.port('behind'), header), '192.0.2.7:1234 127.0.0.1 5678');
    assert.equal(await call(scope, h.port('behind'), 'GET / HTTP/1.0\r\n\r\n'), '');
    await h.logged(/broken header.* while reading PROXY protocol, client: 127\.0\.0\.1/);
  });

  test('preread: what is no hello goes on, too much and too little do not', async () => {
    assert.match(await (await Caller.to(scope, h.port('preread'))).rest(), /^$/);
    const plain = await Caller.to(scope, h.port('preread'));
    plain.send('plain text');
    await plain.says('two plain text');
    plain.socket.destroy();
    // A record of handshake that never comes to its end.
    const endless = Buffer.concat([Buffer.from([22, 3, 1, 0x3f, 0xff, 1, 0, 0x3f, 0xfb, 3, 3]), Buffer.alloc(4000)]);
    assert.equal(await call(scope, h.port('preread'), endless), '');
    await h.logged('preread buffer full while prereading client data');
    await h.logged(/^TCP 400 /m, 'preread.log');
  });

  test('sticky by first bytes: learned, and as a route', async () => {
    const greet = async (port: number, bytes: string): Promise<string> => {
      const caller = await Caller.to(scope, port);
      caller.send(bytes);
      const text = await caller.says(bytes);
      caller.socket.destroy();
      return text.slice(0, 3);
    };
    const first = await greet(h.port('sticky'), 'anna');
    const other = await greet(h.port('sticky'), 'bert');
    assert.notEqual(first, other, 'a new one takes the next server');
    for (let i = 0; i < 3; i++) {
      assert.equal(await greet(h.port('sticky'), 'anna'), first);
      assert.equal(await greet(h.port('sticky'), 'bert'), other);
    }
    for (let i = 0; i < 2; i++) {
      assert.equal(await greet(h.port('routed'), 'A'), 'one');
      assert.equal(await greet(h.port('routed'), 'B'), 'two');
    }
  });

  test('pass: the connection goes on as if it had come in elsewhere', async () => {
    const text = await call(scope, h.port('pass'), 'GET / HTTP/1.0\r\nHost: a\r\n\r\n');
    assert.match(text, /^HTTP\/1\.1 200 OK\r\n/);
    assert.match(text, /http 127\.0\.0\.1$/);
    assert.equal(await call(scope, h.port('nowhere'), 'x'), '');
    await h.logged('port not found for "127.0.0.1:1" while passing connection to port');
  });

  test('proxy_download_rate', async () => {
    const caller = await Caller.to(scope, h.port('slow'));
    const began = performance.now();
    caller.send('x'.repeat(5000));
    await until('all', () => caller.bytes.length === 5000);
    // 2000 at once, the others as seconds go by.
    assert.ok(performance.now() - began > 900);
    caller.socket.destroy();
  });

  test('UDP: answers find their client, and the session ends with the last one', async () => {
    const one = await Datagrams.open(scope);
    const two = await Datagrams.open(scope);
    one.send(h.port('udp'), 'first');
    two.send(h.port('udp'), 'second');
    assert.match((await one.count(1))[0]!, /^first from \d+$/);
    assert.match((await two.count(1))[0]!, /^second from \d+$/);
    await h.logged(/^UDP 200 5\/\d+ "127.0.0.1:\d+" 5 \d+ \d+$/m, 'udp.log');
    one.send(h.port('udp-return'), 'abc');
    assert.equal((await one.count(2))[1], 'UDP 3');
  });

  test('UDP: one session for all datagrams of a client; proxy_requests begins another', async () => {
    const client = await Datagrams.open(scope);
    for (let i = 1; i <= 3; i++) {
      client.send(h.port('udp-open'), `n${i}`);
      await client.count(i);
    }
    const ports = new Set(client.received.map((text) => text.split(' from ')[1]));
    assert.equal(ports.size, 1, 'one socket towards the server');
    client.send(h.port('udp-open'), 'twice');
    await client.count(5);

    const other = await Datagrams.open(scope);
    for (let i = 1; i <= 4; i++) {
      other.send(h.port('udp-two'), `m${i}`);
      await other.count(i);
    }
    const from = other.received.map((text) => text.split(' from ')[1]);
    assert.equal(from[0], from[1]);
    assert.equal(from[2], from[3]);
    assert.notEqual(from[1], from[2]);
  });
});

test('sessions survive a reload; new ones run under the new configuration', async (t) => {
  const echoPort = await listen(t, echo());
  const udpPort = await answer(t, (text, from) => [`${text} ${from}`]);
  const conf =
    (text: string, udp: boolean) =>
    ({ port }: Place): string =>
      `
      server { listen 127.0.0.1:${port('echo')}; proxy_pass 127.0.0.1:${echoPort}; }
      server { listen 127.0.0.1:${port('return')}; return ${text}; }
      ${udp ? `server { listen 127.0.0.1:${port('udp')} udp; proxy_pass 127.0.0.1:${udpPort}; }` : ''}`;
  const h = await Headrace.start(t, () => '', { stream: conf('old', true) });
  const caller = await Caller.to(t, h.port('echo'));
  caller.send('before ');
  await caller.says('before ');
  const client = await Datagrams.open(t);
  client.send(h.port('udp'), 'a');
  await client.count(1);
  assert.equal(await call(t, h.port('return')), 'old');

  for (const text of ['new', 'newer']) {
    h.configure(() => '', conf(text, false));
    h.signal('SIGHUP');
    await until('the new text', async () => (await call(t, h.port('return'))) === text);
    caller.send(`${text} `);
    await caller.says(`${text} `);
  }
  // The address is gone from the configuration; who spoke with it is still answered.
  client.send(h.port('udp'), 'b');
  const [first = '', second = ''] = await client.count(2);
  assert.equal(first.split(' ')[1], second.split(' ')[1]);
  caller.socket.end();
  assert.equal(await caller.rest(), 'before new newer ');
});

test('a graceful end waits for TCP sessions', async (t) => {
  const echoPort = await listen(t, echo());
  const h = await Headrace.start(t, () => '', {
    stream: ({ port }) => `server { listen 127.0.0.1:${port('echo')}; proxy_pass 127.0.0.1:${echoPort}; }`,
  });
  const caller = await Caller.to(t, h.port('echo'));
  caller.send('a');
  await caller.says('a');
  h.signal('SIGQUIT');
  await h.logged('gracefully shutting down');
  caller.send('b');
  await caller.says('ab');
  assert.ok(h.running);
  caller.socket.end();
  await until('the end', () => !h.running);
});
