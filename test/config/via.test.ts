/** What `server` lines and `listen` say beyond nginx: what becomes of it, and how it may be wrong. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { makeSelfSigned } from '../../src/net/self-signed.ts';
import { load, refusal } from './support.ts';

const { cert } = makeSelfSigned('a.test', Date.now());
const FILES = { '/t/conf/ca.pem': cert };
const stream = (text: string): string => `events {}\nstream {\n${text}\n}\n`;
const group = (text: string): string => stream(`upstream u { ${text} }`);

const upstream = async (text: string) => (await load(group(text), FILES)).config.stream!.upstreams[0]!;

describe('server … via=', () => {
  test('the ways', async () => {
    const ways = ['tcp', 'tls', 'quic', 'tunnel+tcp', 'tunnel+tls', 'tunnel+quic'];
    const { servers } = await upstream(ways.map((way) => `server 127.0.0.1:1 via=${way};`).join(' '));
    assert.deepEqual(
      servers.map(({ server, via }) => [server, via!.transport, via!.tunnel !== null, via!.ssl?.verify]),
      [
        ['127.0.0.1:1', 'tcp', false, undefined],
        ['tls://127.0.0.1:1', 'tls', false, true],
        ['quic://127.0.0.1:1', 'quic', false, true],
        ['tunnel+tcp://127.0.0.1:1', 'tcp', true, undefined],
        ['tunnel+tls://127.0.0.1:1', 'tls', true, true],
        ['tunnel+quic://127.0.0.1:1', 'quic', true, true],
      ],
    );
    assert.deepEqual(servers[3]!.via!.tunnel, {
      maxStreams: 5,
      startStreams: 1,
      minIdle: 50,
      channel: 64,
      wire: 'headrace',
      keys: [],
    });
  });

  test('what the line says counts more than what the group says', async () => {
    const text = `via_ssl_verify off; via_ssl_name b.test; via_ssl_trusted_certificate ca.pem; tunnel_key k 0123456789abcdef;
      server localhost:1 via=tls; server localhost:2 via=tls ssl_name=c.test ssl_verify=on;
      server localhost:3 via=tunnel+tcp tunnel_max_streams=3 tunnel_min_idle=0 tunnel_channel=9 tunnel_wire=anyproxy;`;
    const { servers } = await upstream(text);
    assert.deepEqual(
      servers.map(({ via }) => [via!.ssl?.name, via!.ssl?.verify, via!.ssl?.trustedCertificate]),
      [
        ['b.test', false, null],
        ['c.test', true, cert],
        [undefined, undefined, undefined],
      ],
    );
    assert.deepEqual(servers[2]!.via!.tunnel, {
      maxStreams: 3,
      startStreams: 1,
      minIdle: 0,
      channel: 9,
      wire: 'anyproxy',
      keys: [],
    });
  });

  test('the name is that of the server unless one is written', async () => {
    const { servers } = await upstream('server localhost:1 via=tls;');
    assert.equal(servers[0]!.via!.ssl!.name, 'localhost');
  });

  test('heartbeats: of the group, of a line, none', async () => {
    const text = `heartbeat interval=1s fails=2; server 127.0.0.1:1; server 127.0.0.1:2 heartbeat=type=http,port=80,uri=/x;
      server 127.0.0.1:3 heartbeat=off;`;
    const { servers } = await upstream(text);
    const short = servers.map(({ heartbeat: beat }) =>
      beat === undefined ? null : [beat.intervalMs, beat.timeoutMs, beat.fails, beat.type, beat.port, beat.uri],
    );
    assert.deepEqual(short, [[1000, 10_000, 2, 'hello', null, '/'], [10_000, 10_000, 3, 'http', 80, '/x'], null]);
  });

  test('fair measures connects unless there are heartbeats', async () => {
    const { servers } = await upstream('fair; server 127.0.0.1:1; server 127.0.0.1:2 heartbeat=type=hello;');
    assert.deepEqual(
      servers.map(({ heartbeat }) => heartbeat!.type),
      ['connect', 'hello'],
    );
  });

  test('lookup: there are addresses at once, and they may change', async () => {
    const { servers } = await upstream('server localhost:1 lookup=5s; server 127.0.0.1:2 lookup=5s;');
    assert.deepEqual(
      servers.map(({ resolve, addresses, lookup }) => [resolve, addresses.length, lookup!.intervalMs]),
      [
        [true, 1, 5000],
        [false, 1, 5000],
      ],
    );
  });

  const wrong: [string, RegExp][] = [
    ['server 127.0.0.1:1 via=udp;', /invalid parameter "via=udp", it must be one of tcp, tls, quic, tunnel\+tcp/],
    ['server 127.0.0.1:1 ssl_name=x;', /"ssl_…" parameters need "via" with tls or quic/],
    ['server 127.0.0.1:1 via=tls tunnel_channel=4;', /"tunnel_…" parameters need "via=tunnel\+…"/],
    ['server 127.0.0.1:1 via=tunnel+tcp tunnel_max_streams=0;', /it must be between 1 and 64/],
    ['server 127.0.0.1:1 hello=yes;', /invalid parameter "hello=yes", it must be "on" or "off"/],
    ['server 127.0.0.1:1 heartbeat=every=1s;', /invalid parameter "every=1s" of heartbeat/],
    ['server 127.0.0.1:1 heartbeat=port=1;', /heartbeats of type "hello" go to the port of the server/],
    ['heartbeat; heartbeat; server 127.0.0.1:1;', /"heartbeat" directive is duplicate/],
    ['tunnel_key k short; server 127.0.0.1:1;', /tunnel key "k" is shorter than 16 bytes/],
    ['tunnel_key k file:none; server 127.0.0.1:1;', /cannot read tunnel key "\/t\/conf\/none": 2: No such file/],
    ['server localhost:1 lookup=1s resolve;', /"lookup" and "resolve" exclude each other/],
    ['server 127.0.0.1:1 via=tls ssl_trusted=none;', /No such file or directory\) in \/t\/conf\/nginx\.conf:3/],
  ];
  for (const [text, message] of wrong) {
    test(`refused: ${text}`, async () => assert.match((await refusal(group(text), FILES)).message, message));
  }

  test('http has no hello: connections are kept for other clients', async () => {
    const error = await refusal('events {}\nhttp { upstream u { server 127.0.0.1:1 hello=on; } }');
    assert.match(error.message, /invalid parameter "hello=on"/);
  });

  test('probes of gRPC cannot go by TLS of the group', async () => {
    const location = 'location / { grpc_pass grpc://u; health_check type=grpc; }';
    const text = `upstream u { zone z 64k; server 127.0.0.1:1 via=tls; } server { listen 80; ${location} }`;
    const { message } = await refusal(`events {}\nhttp { ${text} }`);
    assert.match(message, /"type=grpc" cannot check "tls:\/\/127\.0\.0\.1:1" of upstream "u"/);
  });

  test('datagrams cannot go by TLS', async () => {
    const text = 'upstream u { server 127.0.0.1:1 via=tls; }\nserver { listen 53 udp; proxy_pass u; }';
    assert.match(
      (await refusal(stream(text))).message,
      /datagrams cannot go to "tls:\/\/127\.0\.0\.1:1" of upstream "u"/,
    );
  });
});

describe('listen … quic, tunnel', () => {
  const pem = (name: string): { [file: string]: string } => {
    const made = makeSelfSigned(name, Date.now());
    return { [`/t/conf/${name}.crt`]: made.cert, [`/t/conf/${name}.key`]: made.key };
  };
  const files = { ...pem('a'), ...pem('b') };
  const quic = (name: string, more = ''): string =>
    `server { listen 443 quic ${more}; ssl_certificate ${name}.crt; ssl_certificate_key ${name}.key; return x; }`;

  test('beside TCP on the same port', async () => {
    const { listens } = (await load(stream(`${quic('a', 'tunnel')} server { listen 443; return x; }`), files)).config
      .stream!;
    assert.deepEqual(
      listens.map(({ kind, quic: isQuic, tunnel, ssl }) => [kind, isQuic ?? false, tunnel ?? null, ssl]),
      [
        ['udp', true, 'only', true],
        ['tcp', false, null, false],
      ],
    );
  });

  const wrong: [string, RegExp][] = [
    [`${quic('a')} ${quic('b')}`, /QUIC on 0\.0\.0\.0:443 can show one certificate, and there are several/],
    ['server { listen 443 quic; return x; }', /no "ssl_certificate" is defined/],
    [`${quic('a')} server { listen 443 udp; return x; }`, /"quic" and "udp" cannot both listen on 0\.0\.0\.0:443/],
    [
      'server { listen 443 tunnel; tunnel_wire both; return x; }',
      /"tunnel_wire both" on 0\.0\.0\.0:443 needs "hello_from"/,
    ],
    ['server { listen 443 udp tunnel; return x; }', /"tunnel" parameter is incompatible with "udp"/],
  ];
  for (const [text, message] of wrong) {
    test(`refused: ${text}`, async () => assert.match((await refusal(stream(text), files)).message, message));
  }
});

describe('hello in stream', () => {
  test('defaults, and inheritance', async () => {
    const text = `proxy_hello on; hello_from 10.0.0.0/8 unix:;
      server { listen 1; return x; } server { listen 2; proxy_hello off; hello_from 192.0.2.1; hello_timeout 50ms; return x; }`;
    const [one, two] = (await load(stream(text))).config.stream!.servers;
    assert.deepEqual(one!.proxy.hello, { on: true, magic: '2024-08', domain: null });
    assert.deepEqual(one!.readHello, { from: ['10.0.0.0/8', 'unix:'], timeoutMs: 1000 });
    assert.equal(two!.proxy.hello.on, false);
    assert.deepEqual(two!.readHello, { from: ['192.0.2.1/32'], timeoutMs: 50 });
    const [plain] = (await load(stream('server { listen 1; return x; }'))).config.stream!.servers;
    assert.equal(plain!.readHello, undefined);
  });

  test('refused: hello_from in another server of an address than the default one', async () => {
    const text = 'server { listen 1; return x; } server { listen 1; server_name a; hello_from 127.0.0.1; return x; }';
    const { message } = await refusal(stream(text));
    assert.match(message, /"hello_from" has to be in the default server of 0\.0\.0\.0:1, too/);
  });

  test('refused: a name in hello_from', async () => {
    const error = await refusal(stream('hello_from localhost;'));
    assert.match(error.message, /invalid parameter "localhost", it must be an address or a network/);
  });
});
