import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { connect as connectTls, createSecureContext } from 'node:tls';
import type { ConnectionOptions, SecureContext, SecureVersion } from 'node:tls';
import { IoUring } from '../../src/net/io-uring.ts';
import { Listener } from '../../src/net/listener.ts';
import { acceptsNatively, acceptTlsTransport } from '../../src/net/tls-accept.ts';
import type { TlsInfo } from '../../src/net/tls-info.ts';
import type { TlsChooser } from '../../src/net/tls-server.ts';
import { createTicketSecret, TicketKeys } from '../../src/net/tls-tickets.ts';
import { TlsTransport } from '../../src/net/tls-transport.ts';
import { useRing } from '../../src/net/dial.ts';
import { freePort } from '../helpers/ports.ts';
import { requires } from '../helpers/requires.ts';
import type { Scope } from '../helpers/wait.ts';
import { until, within } from '../helpers/wait.ts';
import { manyConnections, manyMessages, PLAIN, Recorder, transportSuite } from './transport-suite.ts';
import type { Pair } from './transport-suite.ts';

// A kernel that has none, or forbids it, is no fault of ours: the log says which one is used.
const ring = IoUring.open();
if (typeof ring !== 'string') useRing(ring);
const skip = typeof ring === 'string' ? ring : false;

describe('transport by io_uring', { skip }, () => {
  transportSuite(PLAIN);
  manyConnections();
  manyMessages();
});

describe('TLS by io_uring', { skip }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'headrace-test-'));
  after(() => rmSync(directory, { recursive: true }));
  const tickets = new TicketKeys(createTicketSecret(), 'test', 300, []);
  // As two workers have them, each its own: what they have in common are the keys of tickets.
  const contexts: SecureContext[] = [];
  let chosen = 0;
  before(() => {
    const [key, certificate] = [join(directory, 'k.pem'), join(directory, 'c.pem')];
    const curve = '-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost -days 2';
    execFileSync('openssl', `req -x509 ${curve} -keyout ${key} -out ${certificate}`.split(' '), { stdio: 'pipe' });
    const options = { key: readFileSync(key), cert: readFileSync(certificate), sessionIdContext: 'test' };
    contexts.push(createSecureContext(options), createSecureContext(options));
  });
  const chooser: TlsChooser<null> = {
    native: true,
    keepsHello: true,
    choose: () => ({
      context: contexts[0]!,
      nativeContext: () => contexts[chosen++ % 2]!,
      requestCertificate: false,
      rejectHandshake: false,
      verifyDepth: 1,
      alpn: ['h2', 'http/1.1'],
      tickets,
    }),
  };

  interface Secured {
    transport: TlsTransport;
    owner: Recorder;
    info: TlsInfo | null;
    failure: string | null;
  }

  async function listen(scope: Scope, taken: (secured: Secured) => void): Promise<number> {
    assert.ok(acceptsNatively(chooser));
    const port = await freePort();
    const listener = new Listener(
      { kind: 'tcp', host: '127.0.0.1', port, ipv6only: false, backlog: 511 },
      true,
      (given) => {
        assert.ok(given instanceof TlsTransport);
        const secured: Secured = { transport: given, owner: new Recorder(), info: null, failure: null };
        acceptTlsTransport(given, chooser, null, 60_000, {
          secure(info) {
            secured.info = info;
            given.owner = secured.owner;
            taken(secured);
          },
          plain() {
            given.owner = secured.owner;
            taken(secured);
          },
          failed(message) {
            secured.failure = message;
            taken(secured);
          },
        });
      },
      { wanted: () => true, make: (by, fd) => new TlsTransport(by, fd) },
    );
    await listener.listen();
    scope.after(() => listener.close());
    return port;
  }

  function make(version: SecureVersion): (scope: Scope) => Promise<Pair> {
    return async (scope) => {
      let secured: Secured | null = null;
      const port = await listen(scope, (given) => void (secured = given));
      const below = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
      const options = { rejectUnauthorized: false, minVersion: version, maxVersion: version };
      const peer = connectTls({ ...options, socket: below, allowHalfOpen: true } as ConnectionOptions);
      below.on('error', () => {});
      peer.on('error', () => {});
      scope.after(() => below.destroy());
      const { transport, owner } = await until('a handshake', () => secured);
      return { transport, owner, peer, below };
    };
  }

  transportSuite({ 'version 1.3': make('TLSv1.3'), 'version 1.2': make('TLSv1.2') });

  for (const version of ['TLSv1.3', 'TLSv1.2'] as const) {
    test(`what is known of a connection of ${version}; a session is resumed by its ticket`, async (t) => {
      if (!requires(t, 'openssl')) return;
      const all: Secured[] = [];
      const port = await listen(t, (secured) => void all.push(secured));
      const options = { port, host: '127.0.0.1', rejectUnauthorized: false, minVersion: version, maxVersion: version };
      let session: Buffer | undefined;
      for (const round of [0, 1]) {
        const client = connectTls({
          ...options,
          servername: 'one.test',
          ALPNProtocols: ['x', 'http/1.1'],
          ...(session === undefined ? {} : { session }),
        });
        t.after(() => client.destroy());
        const ticket = new Promise<Buffer>((resolve) => client.once('session', resolve));
        await within('the handshake', new Promise((resolve) => client.once('secureConnect', resolve)));
        client.write('hello');
        const { info, owner, transport } = await until('the other side', () => all[round]);
        await until('the bytes', () => owner.length === 5);
        assert.ok(info !== null);
        assert.equal(info.protocol, version);
        assert.equal(info.serverName, 'one.test');
        assert.equal(info.alpn, 'http/1.1');
        assert.equal(client.alpnProtocol, 'http/1.1');
        assert.equal(info.cipher, client.getCipher().name);
        assert.match(info.curve, /^[A-Za-z0-9]+$/);
        assert.match(info.ciphers, /:/);
        // With a ticket a session of TLS 1.2 has no id.
        if (version === 'TLSv1.3') assert.match(info.sessionId, /^[0-9a-f]+$/);
        assert.equal(info.sessionReused, round === 1);
        assert.equal(client.isSessionReused(), round === 1);
        transport.write(Buffer.from('x'), 0, 1);
        if (round === 0) session = await within('a ticket', ticket);
        client.end();
      }
    });
  }

  test('no protocol in common, no TLS version in common, garbage: the handshake fails and says why', async (t) => {
    const all: Secured[] = [];
    const port = await listen(t, (secured) => void all.push(secured));
    const options = { port, host: '127.0.0.1', rejectUnauthorized: false };
    const refused = async (client: NodeJS.EventEmitter): Promise<string> =>
      (await within('a refusal', new Promise<Error>((resolve) => client.once('error', resolve)))).message;
    assert.match(await refused(connectTls({ ...options, ALPNProtocols: ['spdy/9'] })), /no application protocol/);
    await until('the failure', () => all.length === 1);
    assert.match(all[0]!.failure!, /no application protocol/i);

    const garbage = connect({ port, host: '127.0.0.1' });
    garbage.on('error', () => {});
    garbage.resume();
    const garbageClosed = new Promise((resolve) => garbage.once('close', resolve));
    garbage.write(Buffer.concat([Buffer.from([22, 3, 1, 0, 200, 1, 0, 0, 196]), Buffer.alloc(196, 0xff)]));
    await until('the failure', () => all.length === 2);
    assert.match(all[1]!.failure!, /error:/);
    await within('the end', garbageClosed);

    const left = connect({ port, host: '127.0.0.1' });
    left.write(Buffer.from([22, 3, 1]), () => left.destroy());
    await until('the failure', () => all.length === 3);
    assert.equal(all[2]!.failure, '');
  });

  test('a client without TLS is a plain connection, from its first byte on', async (t) => {
    const all: Secured[] = [];
    const port = await listen(t, (secured) => void all.push(secured));
    const client = connect({ port, host: '127.0.0.1' });
    t.after(() => client.destroy());
    client.write('GET / ');
    const { owner, transport } = await until('the connection', () => all[0]);
    client.write('HTTP/1.1');
    await until('the bytes', () => owner.bytes.toString() === 'GET / HTTP/1.1');
    const answer = new Promise<Buffer>((resolve) => client.once('data', resolve));
    transport.write(Buffer.from('400'), 0, 3);
    assert.equal((await within('the answer', answer)).toString(), '400');
  });
});
