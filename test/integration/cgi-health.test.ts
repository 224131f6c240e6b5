/** Health checks in the protocols of FastCGI, SCGI, uwsgi and memcached, through the real program. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { after, before, describe, test } from 'node:test';
import { Backend, type BackendConnection, type Script } from '../helpers/backend.ts';
import { ask } from '../helpers/client.ts';
import { Headrace } from '../helpers/headrace.ts';
import { text } from '../helpers/http1.ts';
import { suiteScope, until } from '../helpers/wait.ts';

const scope = suiteScope(after);
let h: Headrace;

function record(type: number, content: string): Buffer {
  const body = Buffer.from(content, 'latin1');
  return Buffer.concat([Buffer.from([1, type, 0, 1, body.length >> 8, body.length & 255, 0, 0]), body]);
}

interface Protocol {
  /** All that a request says of itself, once it is whole; null: more is to come. */
  question(bytes: string): string | null;
  answer(status: string, body: string, question: string): Buffer;
  /** What the location says besides its pass. */
  location: string;
}

const cgi = (status: string, body: string): Buffer =>
  Buffer.from(`Status: ${status}\r\nX-State: ${body}\r\n\r\n${body}`);
const PARAMS = (family: string): string =>
  [
    'SCRIPT_NAME $fastcgi_script_name',
    'QUERY $query_string',
    'METHOD $request_method',
    'OWN $own',
    'CLIENT "<$remote_addr>"',
  ]
    .map((param) => `${family}_param ${param};`)
    .join(' ');

const PROTOCOLS: Record<string, Protocol> = {
  fastcgi: {
    // the empty record of standard input is the last one
    question: (bytes) => (bytes.endsWith('\x01\x05\x00\x01\x00\x00\x00\x00') ? bytes : null),
    answer: (status, body) =>
      Buffer.concat([record(6, cgi(status, body).toString('latin1')), record(6, ''), record(3, '\0'.repeat(8))]),
    location: `${PARAMS('fastcgi')} fastcgi_keep_conn on;`,
  },
  scgi: {
    question: (bytes) => (bytes.endsWith(',') ? bytes : null),
    answer: cgi,
    location: PARAMS('scgi'),
  },
  uwsgi: {
    question: (bytes) =>
      bytes.length > 4 && bytes.length === 4 + Buffer.from(bytes, 'latin1').readUInt16LE(1) ? bytes : null,
    answer: cgi,
    location: PARAMS('uwsgi'),
  },
  memcached: {
    question: (bytes) => (bytes.endsWith('\r\n') ? bytes : null),
    answer: (status, body, question) => {
      const key = question.slice('get '.length, -2);
      return Buffer.from(status.startsWith('200') ? `VALUE ${key} 0 ${body.length}\r\n${body}\r\nEND\r\n` : 'END\r\n');
    },
    location: 'set $memcached_key "$uri?$args of $own";',
  },
};

/** A server that answers by its protocol; `body` is what it says of itself now. */
class Peer {
  status = '200 OK';
  body = 'ready';
  readonly asked: string[] = [];
  backend!: Backend;

  static async start({ question, answer }: Protocol): Promise<Peer> {
    const peer = new Peer();
    const script: Script = async (c: BackendConnection) => {
      for (let from = 0; ;) {
        const bytes = Buffer.concat(c.received).toString('latin1').slice(from);
        const asked = bytes === '' ? null : question(bytes);
        if (asked !== null) {
          from += bytes.length;
          peer.asked.push(asked);
          await c.send(answer(peer.status, peer.body, asked));
          if (answer === cgi) {
            c.end();
            return;
          }
          continue;
        }
        if (c.ended) return;
        await c.activity();
      }
    };
    peer.backend = await Backend.start(scope, script);
    return peer;
  }
}

const peers: Record<string, [one: Peer, other: Peer]> = {};

before(async () => {
  for (const [name, protocol] of Object.entries(PROTOCOLS)) {
    peers[name] = [await Peer.start(protocol), await Peer.start(protocol)];
  }
  h = await Headrace.start(scope, ({ port }) => {
    const groups = Object.entries(peers).map(([name, [one, other]]) => {
      const servers = [one, other].map(({ backend }) => `server 127.0.0.1:${backend.port};`);
      return `upstream ${name} { zone ${name} 64k; ${servers.join(' ')} server 127.0.0.1:${port('nobody')} backup; }`;
    });
    const locations = Object.entries(PROTOCOLS).map(
      ([name, { location }]) =>
        `location /${name}/ { ${name}_pass ${name}; ${location}
           health_check interval=100ms uri=/${name}/up?deep=1 match=ready keepalive_time=1m; }`,
    );
    return `
      match ready { status 200; body ~ "^ready"; }
      ${groups.join('\n')}
      upstream nokey { zone nokey 64k; server 127.0.0.1:${port('nobody')}; }
      server { listen 127.0.0.1:${port('http')}; set $own mine; ${locations.join('\n')}
        location /nokey { memcached_pass nokey; health_check interval=1s; } }`;
  });
});

const unhealthy = (name: string, peer: Peer, stage: string): string =>
  `peer is unhealthy while ${stage}, health check "ready" of peer 127.0.0.1:${peer.backend.port} in upstream "${name}"`;

for (const name of Object.keys(PROTOCOLS)) {
  describe(name, () => {
    test('asks as the location would: its parameters, the URI of the check, nothing of a client', async () => {
      const [one] = peers[name]!;
      await until('a probe', () => one.asked.length > 0);
      const asked = one.asked.find((bytes) => bytes.includes('up'))!;
      const wanted =
        name === 'memcached'
          ? [`get /memcached/up?deep=1%20of%20mine\r\n`]
          : [`/${name}/up`, 'deep=1', 'GET', 'mine', '<>'];
      for (const part of wanted) assert.ok(asked.includes(part), `${part} in ${JSON.stringify(asked)}`);
    });

    if (name !== 'memcached') {
      test('a wrong answer, a wrong status, and well again', async () => {
        const [one, other] = peers[name]!;
        const get = async (): Promise<string> => text(await ask(scope, h.port('http'), `/${name}/x`));
        one.body = 'broken';
        await h.logged(unhealthy(name, one, 'checking body'));
        for (let i = 0; i < 4; i++) assert.equal(await get(), 'ready');
        other.status = '503 Busy';
        await h.logged(unhealthy(name, other, 'checking status code'));
        one.body = 'ready';
        await until('it to be well again', async () => (await get()) === 'ready');
        await h.logged(`connect() failed (111: Connection refused) while connecting to upstream, health check "ready"`);
      });
    }
  });
}

test('memcached: a key that is not there; a location without a key', async () => {
  const [one] = peers['memcached']!;
  const place = `health check "" of peer 127.0.0.1:${h.port('nobody')} in upstream "nokey"`;
  await h.logged(`the "$memcached_key" variable is not set, ${place}`);
  one.status = '404';
  await h.logged(unhealthy('memcached', one, 'checking status code'));
});

test('keepalive_time: probes of FastCGI and memcached share a connection', async () => {
  for (const name of ['fastcgi', 'memcached']) {
    const [, other] = peers[name]!;
    Object.assign(other, { status: '200 OK', body: 'ready' });
    const before = { asked: other.asked.length, connections: other.backend.connections.length };
    await until('ten probes', () => other.asked.length >= before.asked + 10);
    assert.ok(
      other.backend.connections.length <= before.connections + 3,
      `${name}: ${other.backend.connections.length}`,
    );
  }
});
