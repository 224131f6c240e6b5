/** Services of TCP, TLS and UDP through the Kong door: routes by address, port and name of TLS; balancing and health. */
import assert from 'node:assert/strict';
import { connect as connectTcp } from 'node:net';
import { connect, createServer, type TLSSocket } from 'node:tls';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { makeSelfSigned } from '../../src/net/self-signed.ts';
import { directory } from '../helpers/headrace.ts';
import { Gateway } from '../helpers/kong-gateway.ts';
import { KongProcess } from '../helpers/kong.ts';
import { freePort } from '../helpers/ports.ts';
import { answer, call, Caller, Datagrams, listen } from '../helpers/stream.ts';
import { type Scope, until } from '../helpers/wait.ts';

/** A server that says its name at once, as a database does. */
const named = (scope: Scope, name: string): Promise<number> => listen(scope, (caller) => caller.socket.end(name));

/** A TLS server that says which name it was asked for, and its own. */
async function secret(scope: Scope, cn: string): Promise<number> {
  const server = createServer(makeSelfSigned(cn, Date.now()), (socket: TLSSocket) => {
    socket.on('error', () => {});
    socket.end(`${cn} asked as ${String(socket.servername)}`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  scope.after(() => void server.close());
  return (server.address() as AddressInfo).port;
}

/** What a TLS client sees: the common name of the certificate, and what is sent. */
function speak(port: number, servername: string): Promise<{ cn: string; text: string }> {
  return new Promise((resolve, reject) => {
    let [cn, text] = ['', ''];
    const socket = connect({ host: '127.0.0.1', port, servername, rejectUnauthorized: false }, () => {
      cn = String(socket.getPeerCertificate().subject.CN);
    });
    socket.setEncoding('latin1').on('data', (part: string) => (text += part));
    socket.on('error', reject).on('close', () => resolve({ cn, text }));
  });
}

test('TCP, TLS and UDP of the Kong door', async (t) => {
  const ports = { open: await freePort(), other: await freePort(), secure: await freePort(), udp: await freePort() };
  const listens = [
    `127.0.0.1:${ports.open}`,
    `127.0.0.1:${ports.other}`,
    `127.0.0.1:${ports.secure} ssl`,
    `127.0.0.1:${ports.udp} udp`,
  ];
  const kong = await KongProcess.start(t, directory(t), ['--stream-listen', listens.join(', ')]);
  const gate = new Gateway(kong);
  /** An upstream with its targets, a service, and a route with these conditions. */
  const put = async (name: string, protocol: string, targets: number[], route: object, more: object = {}) => {
    await gate.make('/upstreams', { name, ...more });
    for (const port of targets) await gate.make(`/upstreams/${name}/targets`, { target: `127.0.0.1:${port}` });
    await gate.make('/services', { name, protocol, host: name, port: 1, retries: 3 });
    await gate.make(`/services/${name}/routes`, { name, ...route });
  };
  const said = async (port: number, name: string): Promise<boolean> =>
    call(t, port).then(
      (text) => text === name,
      () => false,
    );

  await t.test('without a route the connection is closed', async () => {
    const caller = await Caller.to(t, ports.open);
    assert.equal(await caller.rest(), '');
    await until('the log', () => kong.log.includes('no Route found with those values'));
  });

  await t.test('TCP: by port of the destination, and by the source; servers speak first', async () => {
    const [a, b, c] = [await named(t, 'a'), await named(t, 'b'), await named(t, 'c')];
    await put('by-port', 'tcp', [a, b], { protocols: ['tcp'], destinations: [{ port: ports.open }] });
    await until('the route', () => said(ports.open, 'a'));
    const seen = [];
    for (let i = 0; i < 10; i++) seen.push(await call(t, ports.open));
    assert.equal(seen.filter((name) => name === 'a').length, 5);
    assert.equal(await said(ports.other, 'a'), false);

    const both = { sources: [{ ip: '127.0.0.9' }], destinations: [{ ip: '127.0.0.0/8', port: ports.open }] };
    await put('by-both', 'tcp', [c], { protocols: ['tcp'], ...both });
    const from = (localAddress: string): Promise<string> =>
      new Promise((resolve, reject) => {
        let text = '';
        const socket = connectTcp({ host: '127.0.0.1', port: ports.open, localAddress });
        socket.setEncoding('latin1').on('data', (part: string) => (text += part));
        socket.on('error', reject).on('close', () => resolve(text));
      });
    await until('the stricter route', async () => (await from('127.0.0.9')) === 'c');
    assert.notEqual(await from('127.0.0.8'), 'c');
  });

  await t.test('a dead target: another one is tried, failures are counted, and a mark brings it back', async () => {
    const alive = await named(t, 'alive');
    const dead = await freePort();
    const healthchecks = { passive: { unhealthy: { tcp_failures: 2 }, healthy: { successes: 1 } } };
    const route = { protocols: ['tcp'], destinations: [{ port: ports.other }] };
    await put('dead', 'tcp', [alive, dead], route, { healthchecks });
    await until('the route', () => said(ports.other, 'alive'));
    for (let i = 0; i < 8; i++) assert.equal(await call(t, ports.other), 'alive');
    const states = async (): Promise<string[]> => (await gate.health('dead')).toSorted();
    assert.deepEqual(await states(), ['HEALTHY', 'UNHEALTHY']);
    assert.match(
      kong.log,
      new RegExp(`target 127\\.0\\.0\\.1:${dead} of upstream "dead" is unhealthy: connection error`),
    );
    await kong.send('PUT', `/upstreams/dead/targets/127.0.0.1:${dead}/healthy`);
    await until('the mark', async () => !(await states()).includes('UNHEALTHY'));
    await kong.send('PUT', `/upstreams/dead/targets/127.0.0.1:${dead}/unhealthy`);
    await kong.send('PUT', `/upstreams/dead/targets/127.0.0.1:${alive}/unhealthy`);
    assert.equal(await call(t, ports.other), '');
    await until('the reason', () => kong.log.includes('all targets unhealthy (upstream "dead")'));
  });

  await t.test('TLS: ended with the certificate of the store, or passed through, by name', async () => {
    const plain = await named(t, 'plain');
    const inner = await secret(t, 'inner');
    await gate.make('/certificates', { ...makeSelfSigned('front', Date.now()), snis: ['*.end.test'] });
    await put('ended', 'tcp', [plain], { protocols: ['tls'], snis: ['a.end.test', '*.more.test'] });
    await put('again', 'tls', [inner], { protocols: ['tls'], snis: ['b.end.test'] }, { host_header: 'asked.test' });
    await put('through', 'tcp', [inner], { protocols: ['tls_passthrough'], snis: ['c.end.test'] });
    const expect = async (name: string, cn: string, text: string): Promise<void> => {
      await until(`${name} to be served`, async () => {
        const seen = await speak(ports.secure, name).catch(() => null);
        return seen !== null && seen.cn === cn && seen.text === text;
      });
    };
    await expect('a.end.test', 'front', 'plain');
    await expect('x.more.test', 'localhost', 'plain');
    await expect('b.end.test', 'front', 'inner asked as asked.test');
    await expect('c.end.test', 'inner', 'inner asked as c.end.test');
    await assert.rejects(speak(ports.secure, 'nobody.end.test'));
    const caller = await Caller.to(t, ports.secure);
    caller.send('this is no hello\r\n');
    assert.equal(await caller.rest(), '');
  });

  await t.test('UDP: datagrams and their answers, spread over the targets', async () => {
    const [a, b] = [await answer(t, (text) => [`a ${text}`]), await answer(t, (text) => [`b ${text}`])];
    await put('udp', 'udp', [a, b], { protocols: ['udp'], sources: [{ ip: '127.0.0.1' }] });
    const client = await Datagrams.open(t);
    await until('an answer', async () => {
      client.send(ports.udp, 'x');
      return client.received.length > 0;
    });
    const names = new Set<string>();
    for (let i = 0; i < 4; i++) {
      const other = await Datagrams.open(t);
      other.send(ports.udp, 'y');
      names.add((await other.count(1))[0] ?? '');
    }
    assert.deepEqual([...names].toSorted(), ['a y', 'b y']);
  });

  await t.test('over HTTP such a service is none', async () => {
    await gate.make('/routes', { hosts: ['tcp.test'], service: { name: 'udp' } });
    await until('the route', async () => (await gate.get('tcp.test')).status === 503);
    assert.equal((await gate.get('tcp.test')).headers['x-headrace-reason'], 'protocol udp');
  });

  await t.test('a reload keeps routes and sessions', async () => {
    const held: Caller[] = [];
    const port = await listen(t, (caller) => {
      held.push(caller);
      caller.send('hello');
    });
    await put('held', 'tcp', [port], {
      protocols: ['tcp'],
      sources: [{ ip: '127.0.0.1' }],
      destinations: [{ port: ports.open }],
    });
    let session: Caller | null = null;
    await until('the route', async () => {
      const caller = await Caller.to(t, ports.open);
      await until('an answer', () => caller.text !== '' || caller.closed);
      session = caller;
      return caller.text === 'hello';
    });
    kong.signal('SIGHUP');
    await until('the reload', () => /reconfiguring|generation 2/.test(kong.log));
    await until('another session', () => call(t, ports.other).then(() => true));
    held.at(-1)!.send(' again');
    assert.equal(await session!.says('hello again'), 'hello again');
  });
});
