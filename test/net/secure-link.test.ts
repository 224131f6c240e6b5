/** TLS to servers: over its own connection, over another way, behind a preface; what is told when it fails, and that it is told once. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { after, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { createSecureContext, TLSSocket } from 'node:tls';
import type { ProxySslConfig } from '../../src/config/model.ts';
import { dialDetachable, dialTcp, type DialLink, openTcp, type Opening } from '../../src/net/link.ts';
import { openSecure, type SecureParts } from '../../src/net/secure-link.ts';
import { makeSelfSigned } from '../../src/net/self-signed.ts';
import { ClientTls } from '../../src/net/tls-client.ts';
import type { ConnectOptions } from '../../src/net/dial.ts';
import type { Transport } from '../../src/net/transport.ts';
import { CertificateFiles } from '../helpers/certificate.ts';
import { directory } from '../helpers/headrace.ts';
import { requires } from '../helpers/requires.ts';
import { listen } from '../helpers/stream.ts';
import { type Scope, suiteScope, until } from '../helpers/wait.ts';

const scope = suiteScope(after);
const own = makeSelfSigned('server.test', Date.now());

const CONFIG: ProxySslConfig = {
  verify: true,
  verifyDepth: 1,
  trustedCertificate: own.cert,
  crl: null,
  name: null,
  serverName: true,
  certificate: null,
  certificateKey: null,
  certificatePem: null,
  certificateKeyPem: null,
  passphrases: [],
  protocols: ['TLSv1.2', 'TLSv1.3'],
  ciphers: 'DEFAULT',
  sessionReuse: true,
  certificateCache: null,
  commands: {},
};

function addressOf(port: number): ConnectOptions {
  return { host: '127.0.0.1', port, path: null, localAddress: null, localPort: 0, keepAlive: false };
}

function partsOf(port: number, config: Partial<ProxySslConfig> = {}, more: Partial<SecureParts> = {}): SecureParts {
  const tls = new ClientTls({ ...CONFIG, ...config }, '/');
  const address = addressOf(port);
  const name = 'server.test';
  return { tls, credentials: '', name, server: `:${port}`, address, alpn: [], halfOpen: true, preface: null, ...more };
}

/** A TLS server that sends back what it gets. @param skip bytes before the handshake, which are kept in `before` */
async function tlsEcho(at: Scope, pair: { cert: string; key: string }, skip = 0) {
  const before: string[] = [];
  const secureContext = createSecureContext(pair);
  const secured = (socket: Socket): void => {
    const secure = new TLSSocket(socket, { isServer: true, secureContext });
    secure.on('data', (data) => secure.write(data));
    secure.on('end', () => secure.end());
    secure.on('error', () => {});
  };
  const server = await started(at, (socket) => {
    if (skip === 0) {
      secured(socket);
      return;
    }
    const read = (): void => {
      const bytes = socket.read(skip) as Buffer | null;
      if (bytes === null) return;
      socket.off('readable', read);
      before.push(bytes.latin1Slice());
      secured(socket);
    };
    socket.on('readable', read);
  });
  return { port: (server.address() as AddressInfo).port, before };
}

async function started(at: Scope, taken: (socket: Socket) => void): Promise<Server> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    taken(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  at.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return server;
}

/** What has been told, in order, and what has come over the connection. */
class Told {
  readonly events: string[] = [];
  transport: Transport | null = null;
  text = '';
  readonly begun = (): void => void this.events.push('begun');

  connected(transport: Transport): void {
    this.events.push('connected');
    this.transport = transport;
    transport.owner = {
      onData: (buf, start, end) => void (this.text += buf.latin1Slice(start, end)),
      onEnd() {},
      onDrain() {},
      onClose() {},
    };
    scope.after(() => transport.destroy());
  }

  failed(message: string, ours = false): void {
    this.events.push(`${ours ? 'ours: ' : ''}${message}`);
  }

  async settles(): Promise<string[]> {
    await until('an outcome', () => this.events.some((event) => event !== 'begun'));
    return this.events;
  }

  async echoes(text: string): Promise<void> {
    const bytes = Buffer.from(text);
    this.transport!.write(bytes, 0, bytes.length);
    await until(`"${text}" in "${this.text}"`, () => this.text === text);
  }
}

function openOf(parts: SecureParts, way: DialLink | null = null): { told: Told; opening: Opening } {
  const told = new Told();
  return { told, opening: openSecure(parts, way, told.begun, told) };
}

test('the handshake goes over a connection of its own, or over any way', async () => {
  const { port } = await tlsEcho(scope, own);
  for (const way of [null, dialDetachable(addressOf(port))]) {
    const { told } = openOf(partsOf(port), way);
    assert.deepEqual(told.events, [], 'nothing is told before the caller has the opening');
    assert.deepEqual(await told.settles(), ['begun', 'connected']);
    await told.echoes('over TLS');
  }
});

test('a preface is sent before the handshake', async () => {
  const { port, before } = await tlsEcho(scope, own, 'PREFACE'.length);
  const parts = partsOf(port, {}, { preface: Buffer.from('PREFACE') });
  for (const way of [null, dialDetachable(addressOf(port))]) {
    const { told } = openOf(parts, way);
    assert.deepEqual(await told.settles(), ['begun', 'connected']);
    await told.echoes('behind it');
  }
  assert.deepEqual(before, ['PREFACE', 'PREFACE']);
});

test('a session is used again, by whichever way', async () => {
  const { port } = await tlsEcho(scope, own);
  const parts = partsOf(port);
  const reused: boolean[] = [];
  for (const way of [null, null, dialDetachable(addressOf(port))]) {
    const { told } = openOf(parts, way);
    await told.settles();
    // by then the ticket has come
    await told.echoes('a ticket');
    reused.push((told.transport!.socket as TLSSocket).isSessionReused());
    told.transport!.destroy();
  }
  assert.deepEqual(reused, [false, true, true]);
});

test('who is not there: connecting has failed, and no handshake has begun', async () => {
  const server = await started(scope, () => {});
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  const refused = ['connect() failed (111: Connection refused)'];
  const openings = [
    openOf(partsOf(port)),
    openOf(partsOf(port), dialDetachable(addressOf(port))),
    openOf(partsOf(port, {}, { preface: Buffer.from('PREFACE') })),
  ];
  for (const { told } of openings) assert.deepEqual(await told.settles(), refused);
  const plain = new Told();
  openTcp(addressOf(port), plain);
  assert.deepEqual(await plain.settles(), refused);
});

test('who hangs up during the handshake', async () => {
  const port = await listen(scope, ({ socket }) => void socket.once('data', () => socket.end()));
  for (const way of [null, dialDetachable(addressOf(port))]) {
    const [begun, why = ''] = await openOf(partsOf(port), way).told.settles();
    assert.equal(begun, 'begun');
    // Node has a message of its own for a peer that ends without a word.
    assert.match(why, /^(peer closed connection in SSL handshake$|SSL_do_handshake\(\) failed \(SSL: )/);
  }
});

test('a certificate of another name, or of nobody known', async () => {
  const { port } = await tlsEcho(scope, own);
  const other = openOf(partsOf(port, {}, { name: 'other.test' }));
  assert.deepEqual(await other.told.settles(), ['begun', 'upstream SSL certificate does not match "other.test"']);
  const unknown = openOf(partsOf(port, { trustedCertificate: null }));
  assert.match((await unknown.told.settles())[1]!, /^upstream SSL certificate verify error: \(DEPTH_ZERO_SELF_SIGNED/);
});

test('a chain longer than verifyDepth is not believed', async (t) => {
  const openssl = requires(t, 'openssl');
  if (openssl === null) return;
  const { root, server } = makeChain(openssl);
  const { port } = await tlsEcho(scope, server);
  const open = (verifyDepth: number, way: DialLink | null) =>
    openOf(partsOf(port, { trustedCertificate: root, verifyDepth }), way).told.settles();
  for (const way of [null, dialDetachable(addressOf(port))]) {
    assert.deepEqual(await open(1, way), ['begun', 'connected']);
    assert.deepEqual(await open(0, way), [
      'begun',
      'upstream SSL certificate verify error: (22:certificate chain too long)',
    ]);
  }
});

test('credentials that cannot be loaded are told once, later, and nobody is called', async () => {
  let calls = 0;
  const port = await listen(scope, () => void calls++);
  const parts = partsOf(port, {}, { credentials: '/none.crt\n/none.key' });
  const { told } = openOf(parts);
  const way: DialLink = () => assert.fail('tried');
  const over = openOf(parts, way);
  const cancelled = openOf(parts);
  cancelled.opening.cancel();
  assert.deepEqual([told.events, over.told.events], [[], []]);
  await turn();
  for (const { events } of [told, over.told]) {
    assert.equal(events.length, 1);
    assert.match(events[0]!, /^ours: cannot load certificate "\/none\.crt": /);
  }
  assert.deepEqual(cancelled.told.events, []);
  assert.equal(calls, 0);
});

test('after cancel nothing is told, and the connection is gone', async () => {
  let opened = 0;
  let closed = 0;
  const port = await listen(scope, ({ socket }) => {
    opened++;
    socket.on('close', () => closed++);
    socket.resume();
    socket.on('end', () => socket.end());
  });
  const parts = partsOf(port);
  for (const way of [null, dialDetachable(addressOf(port))]) {
    const early = openOf(parts, way);
    early.opening.cancel();
    const late = openOf(parts, way);
    await until('the handshake', () => late.told.events.includes('begun'));
    late.opening.cancel();
    assert.deepEqual([early.told.events, late.told.events], [[], ['begun']]);
  }
  const plain = new Told();
  dialTcp(addressOf(port))(plain).cancel();
  await until('the end of all', () => opened >= 2 && closed === opened);
  // whoever was cancelled before has had its time
  const probe = connect(port, '127.0.0.1');
  probe.on('error', () => {});
  probe.end();
  await new Promise((resolve) => probe.once('close', resolve));
  assert.deepEqual(plain.events, []);
});

/** A server's certificate signed by an intermediate authority, which a root has signed. */
function makeChain(openssl: string): { root: string; server: { cert: string; key: string } } {
  const made = new CertificateFiles(openssl, directory(scope));
  made.selfSigned('root');
  made.issue('middle', 'middle', 'root', 'basicConstraints=critical,CA:TRUE');
  made.issue('leaf', 'server.test', 'middle');
  const read = (file: string): string => made.read(file).toString();
  return { root: read('root.crt'), server: { cert: read('leaf.crt') + read('middle.crt'), key: read('leaf.key') } };
}
