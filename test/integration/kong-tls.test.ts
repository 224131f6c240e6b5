/** TLS and gRPC through the Kong door: certificates of the store by name, those that are shown to servers, HTTP/2. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { type ClientHttp2Session, connect as connectHttp2, createSecureServer, createServer } from 'node:http2';
import type { Http2Server, IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { createServer as createSecure, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { makeSelfSigned, type SelfSigned } from '../../src/net/self-signed.ts';
import { directory } from '../helpers/headrace.ts';
import { echo, Gateway, get, Target } from '../helpers/kong-gateway.ts';
import { KongProcess } from '../helpers/kong.ts';
import { freePort } from '../helpers/ports.ts';
import { type Scope, until } from '../helpers/wait.ts';

/** The common name of the certificate that is shown for a name. */
function shown(port: number, servername: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, servername, rejectUnauthorized: false }, () => {
      resolve(String(socket.getPeerCertificate().subject.CN));
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

interface Exchange {
  headers: IncomingHttpHeaders;
  trailers: IncomingHttpHeaders;
  body: string;
}

async function exchange(client: ClientHttp2Session, headers: Record<string, string>, body = ''): Promise<Exchange> {
  const stream = client.request({ ':method': 'POST', te: 'trailers', ...headers });
  const answer: Exchange = { headers: {}, trailers: {}, body: '' };
  stream.on('response', (fields) => (answer.headers = fields));
  stream.on('trailers', (fields) => (answer.trailers = fields));
  stream.setEncoding('latin1').on('data', (part: string) => (answer.body += part));
  stream.end(body);
  await new Promise<void>((resolve, reject) => stream.once('close', resolve).once('error', reject));
  return answer;
}

/** A server of gRPC that echoes the message, its path and authority. */
async function grpcServer(scope: Scope, pair: SelfSigned | null): Promise<string> {
  const server: Http2Server = pair === null ? createServer() : createSecureServer(pair);
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    const fields = { path: String(headers[':path']), authority: String(headers[':authority']) };
    stream.respond({ ':status': 200, 'content-type': 'application/grpc', ...fields }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'x-te': String(headers.te) }));
    stream.pipe(stream);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  scope.after(() => void server.close());
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('TLS and gRPC of the Kong door', async (t) => {
  const [secure, plain] = [await freePort(), await freePort()];
  const dir = directory(t);
  const listens = `127.0.0.1:${plain} http2, 127.0.0.1:${secure} http2 ssl`;
  const kong = await KongProcess.start(t, dir, ['--proxy-listen', listens, '--workers', '2']);
  const gate = new Gateway(kong);
  const target = await Target.start(t);
  const now = Date.now();
  const pairs = Object.fromEntries(
    ['exact', 'prefix', 'suffix', 'any', 'other', 'client'].map((name) => [name, makeSelfSigned(name, now)]),
  ) as Record<'exact' | 'prefix' | 'suffix' | 'any' | 'other' | 'client', SelfSigned>;

  await t.test('without a certificate in the store: its own, the same one after a restart', async () => {
    assert.equal(await shown(secure, 'a.test'), 'localhost');
    const raw = async (): Promise<string> =>
      new Promise((resolve, reject) => {
        const socket = connect({ host: '127.0.0.1', port: secure, rejectUnauthorized: false }, () => {
          resolve(socket.getPeerCertificate().fingerprint256);
          socket.destroy();
        });
        socket.on('error', reject);
      });
    const before = await raw();
    await kong.stop();
    await kong.start();
    assert.equal(await raw(), before);
  });

  await t.test('names: the name, a wildcard before, a wildcard behind, any', async () => {
    const ids: Record<string, string> = {};
    for (const [name, snis] of [
      ['exact', ['www.store.test']],
      ['prefix', ['*.store.test']],
      ['suffix', ['www.store.*']],
    ] as const) {
      ids[name] = String((await gate.make('/certificates', { ...pairs[name], snis })).id);
    }
    const rows = [
      ['www.store.test', 'exact'],
      ['WWW.Store.Test', 'exact'],
      ['img.store.test', 'prefix'],
      ['www.store.org', 'suffix'],
      ['a.b.store.test', 'localhost'],
      ['store.test', 'localhost'],
    ] as const;
    for (const [name, want] of rows) {
      // Each of the workers is told for itself.
      await until(`${name} to have ${want}`, async () => {
        const seen = await Promise.all(Array.from({ length: 8 }, () => shown(secure, name)));
        return seen.every((one) => one === want);
      });
    }
    await gate.make('/snis', { name: '*', certificate: { id: (await gate.make('/certificates', pairs.any)).id } });
    await until('any other name', async () => (await shown(secure, 'store.test')) === 'any');
    assert.equal(await shown(secure, 'img.store.test'), 'prefix');

    const patched = await kong.send('PATCH', `/certificates/${ids.exact}`, pairs.other);
    assert.equal(patched.status, 200);
    await until('the new certificate', async () => (await shown(secure, 'www.store.test')) === 'other');
    await kong.send('PUT', '/snis/img.store.test', { certificate: { id: ids.suffix } });
    await until('the name to move', async () => (await shown(secure, 'img.store.test')) === 'suffix');
    assert.equal((await kong.send('DELETE', `/certificates/${ids.exact}`)).status, 204);
    await until('its name to go', async () => (await shown(secure, 'www.store.test')) === 'prefix');
    assert.deepEqual((await kong.send('GET', '/snis/www.store.test')).json, { message: 'Not found' });
  });

  await t.test('routes over TLS: a name that was asked for, HTTPS demanded', async () => {
    await gate.make('/services', { name: 'tls', url: `http://${target.address}` });
    const route = { snis: ['sni.store.test', '*.wild.test'], protocols: ['https'], hosts: ['only.test'] };
    await gate.make('/services/tls/routes', route);
    const ask = (servername: string): Promise<number> =>
      new Promise((resolve, reject) => {
        const headers = { host: 'only.test' };
        const to = { host: '127.0.0.1', port: secure, servername, headers, rejectUnauthorized: false, agent: false };
        const req = request(to, (res) => {
          res.resume().on('end', () => resolve(res.statusCode ?? 0));
        });
        req.on('error', reject).end();
      });
    await until('the route', async () => (await ask('sni.store.test')) === 200);
    assert.equal(await ask('a.wild.test'), 200);
    assert.equal(await ask('b.store.test'), 404);
    const open = await get(plain, '/', { host: 'only.test' });
    assert.deepEqual([open.status, open.headers.upgrade], [426, 'TLS/1.2, HTTP/1.1']);
    assert.match(open.text, /Please use HTTPS protocol/);
  });

  await t.test('the certificate of a service, else that of its upstream, is shown to servers', async () => {
    const seen: string[] = [];
    const server = createSecure({ ...pairs.other, requestCert: true, rejectUnauthorized: false }, (req, res) => {
      const { raw } = (req.socket as TLSSocket).getPeerCertificate();
      const name = raw === undefined ? 'none' : new X509Certificate(raw).subject;
      seen.push(name);
      res.end(JSON.stringify({ name }));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => void server.close());
    const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const { id: client } = await gate.make('/certificates', pairs.client);
    const { id: other } = await gate.make('/certificates', pairs.any);
    await gate.make('/upstreams', { name: 'mutual.test', client_certificate: { id: client } });
    await gate.make('/upstreams/mutual.test/targets', { target: address });
    await gate.make('/services', { name: 'mutual', host: 'mutual.test', protocol: 'https', port: 443 });
    await gate.make('/services/mutual/routes', { hosts: ['mutual.test'] });
    const name = async (): Promise<string> => {
      const answer = await get(plain, '/', { host: 'mutual.test' });
      return answer.status === 200 ? echo(answer).name : String(answer.status);
    };
    await until("the upstream's certificate", async () => (await name()) === 'CN=client');
    await kong.send('PATCH', '/services/mutual', { client_certificate: { id: other } });
    await until("the service's certificate", async () => (await name()) === 'CN=any');
    await kong.send('PATCH', '/services/mutual', { client_certificate: null });
    await kong.send('PATCH', '/upstreams/mutual.test', { client_certificate: null });
    await until('no certificate', async () => (await name()) === 'none');
    const verified = await kong.send('PATCH', '/services/mutual', { tls_verify: true });
    assert.equal(verified.status, 200);
    await until('it not to be trusted', async () => (await name()) === '502');
  });

  await t.test('gRPC: to servers over HTTP/2 and over TLS, with trailers; what is not gRPC is refused', async () => {
    const [open, closed] = [await grpcServer(t, null), await grpcServer(t, pairs.other)];
    await gate.make('/upstreams', { name: 'grpc.up', host_header: 'inner.test' });
    await gate.make('/upstreams/grpc.up/targets', { target: open });
    await gate.make('/services', { name: 'grpc', host: 'grpc.up', protocol: 'grpc', port: 80 });
    await gate.make('/services/grpc/routes', { protocols: ['grpc', 'grpcs'], paths: ['/echo.Echo'] });
    const [host, port] = closed.split(':') as [string, string];
    await gate.make('/services', { name: 'grpcs', host, protocol: 'grpcs', port: Number(port) });
    await gate.make('/services/grpcs/routes', { protocols: ['grpcs'], paths: ['/secure.Echo'] });
    const client = connectHttp2(`http://127.0.0.1:${plain}`);
    const secret = connectHttp2(`https://127.0.0.1:${secure}`, { rejectUnauthorized: false });
    t.after(() => {
      client.close();
      secret.close();
    });
    const type = { 'content-type': 'application/grpc+proto' };
    await until('the routes', async () => {
      const answers = [
        await exchange(client, { ':path': '/echo.Echo/Say', ...type }),
        await exchange(secret, { ':path': '/secure.Echo/Say', ...type }),
      ];
      return answers.every(({ headers }) => headers[':status'] === (200 as never));
    });
    const said = await exchange(client, { ':path': '/echo.Echo/Say?x=1', ...type }, 'hello');
    assert.deepEqual(
      [said.body, said.headers.path, said.headers.authority, said.trailers['grpc-status'], said.trailers['x-te']],
      ['hello', '/echo.Echo/Say?x=1', 'inner.test', '0', 'trailers'],
    );
    assert.match(String(said.headers['x-kong-upstream-latency']), /^\d+$/);
    const sealed = await exchange(secret, { ':path': '/secure.Echo/Say', ...type }, 'x'.repeat(100_000));
    assert.deepEqual([sealed.body.length, sealed.trailers['grpc-status']], [100_000, '0']);
    assert.equal(sealed.headers.authority, closed);

    const lacking = await exchange(client, { ':path': '/secure.Echo/Say', ...type });
    assert.deepEqual(
      [lacking.headers[':status'], lacking.headers['grpc-status'], lacking.headers['grpc-message']],
      [200, '1', 'gRPC request matched gRPCs route'],
    );
    const other = await exchange(client, { ':path': '/echo.Echo/Say', 'content-type': 'text/plain' });
    assert.deepEqual(
      [other.headers[':status'], JSON.parse(other.body).message],
      [415, 'Non-gRPC request matched gRPC route'],
    );
    const old = await fetch(`http://127.0.0.1:${plain}/echo.Echo/Say`, { method: 'POST', headers: type });
    assert.deepEqual([old.status, old.headers.get('grpc-message')], [426, 'Please use HTTP2 protocol']);
    await kong.send('DELETE', `/upstreams/grpc.up/targets/${open}`);
    await until('nobody to be there', async () => {
      const { headers } = await exchange(client, { ':path': '/echo.Echo/Say', ...type });
      return headers[':status'] === (503 as never) && headers['grpc-status'] === '14';
    });
  });

  await t.test('errors in the form that the client prefers', async () => {
    const rows = [
      ['*/*', /^application\/json/],
      ['text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', /^text\/html/],
      ['application/xml', /^application\/xml/],
      ['text/plain;q=0.5, text/html;q=0.1', /^text\/plain/],
    ] as const;
    for (const [accept, want] of rows) {
      const answer = await fetch(`http://127.0.0.1:${plain}/nowhere`, { headers: { accept } });
      assert.match(answer.headers.get('content-type') ?? '', want);
      assert.match(await answer.text(), /no Route matched with those values/);
    }
  });
});
