/** TLS in stream: ended here by the name in the hello, spoken to servers, passed through unread. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { connect, createServer } from 'node:tls';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import { CertificateFiles } from '../helpers/certificate.ts';
import { directory, Headrace } from '../helpers/headrace.ts';
import { findProgram, inCi } from '../helpers/requires.ts';
import { Caller, listen } from '../helpers/stream.ts';
import { suiteScope, until } from '../helpers/wait.ts';

const openssl = findProgram('openssl');
const skip = openssl === null && !inCi() ? 'openssl is not installed' : false;
const scope = suiteScope(after);

describe('stream over TLS', { skip }, () => {
  let h: Headrace;
  let dir: string;
  let serverPort: number;
  /** What the server over TLS saw of each connection. */
  const seen: { name: string; alpn: string; client: string }[] = [];

  const file = (name: string): string => join(dir, name);
  const pem = (name: string): Buffer => readFileSync(file(name));

  before(async () => {
    dir = directory(scope);
    const made = new CertificateFiles(openssl!, dir);
    for (const name of ['one.test', 'two.test', 'server.test', 'client.test']) {
      made.selfSigned(name, name, `subjectAltName=DNS:${name}`);
    }

    const server = createServer(
      {
        key: pem('server.test.key'),
        cert: pem('server.test.crt'),
        ca: pem('client.test.crt'),
        requestCert: true,
        rejectUnauthorized: false,
        ALPNProtocols: ['x1', 'x2'],
      },
      (socket) => {
        const client = socket.getPeerCertificate().subject?.CN;
        seen.push({
          name: (socket as TLSSocket & { servername?: string | false }).servername || '',
          alpn: socket.alpnProtocol || '',
          client: typeof client === 'string' ? client : '',
        });
        socket.on('error', () => {});
        socket.write('secret ');
        socket.on('data', (data) => socket.write(data));
        socket.on('end', () => socket.end());
      },
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    scope.after(() => server.close());
    serverPort = (server.address() as { port: number }).port;
    // Whoever sends a PROXY header first and then the handshake.
    const plainPort = await listen(scope, (caller) => {
      caller.socket.once('data', () => caller.socket.end('no TLS'));
    });

    h = await Headrace.start(scope, () => '', {
      logLevel: 'info',
      stream: ({ port }) => `
        log_format tls '$status $ssl_protocol $ssl_server_name $ssl_alpn_protocol $ssl_client_verify';
        access_log ${file('tls.log')} tls;
        ssl_certificate ${file('one.test.crt')}; ssl_certificate_key ${file('one.test.key')};
        server { listen 127.0.0.1:${port('front')} ssl; server_name one.test; ssl_alpn a b; return "one $ssl_server_name"; }
        server { listen 127.0.0.1:${port('front')} ssl; server_name two.test ~^(?<sub>.+)\\.two\\.test$;
                 ssl_certificate ${file('two.test.crt')}; ssl_certificate_key ${file('two.test.key')}; return "two $sub"; }
        server { listen 127.0.0.1:${port('front')} ssl; server_name no.test; ssl_reject_handshake on; return no; }
        server { listen 127.0.0.1:${port('mutual')} ssl; ssl_verify_client on;
                 ssl_client_certificate ${file('client.test.crt')}; return "$ssl_client_s_dn $ssl_client_verify"; }
        server { listen 127.0.0.1:${port('pass')} ssl; pass 127.0.0.1:${port('inner')}; }
        server { listen 127.0.0.1:${port('inner')}; proxy_pass 127.0.0.1:${port('inmost')}; }
        server { listen 127.0.0.1:${port('inmost')}; return "got it"; }
        server { listen 127.0.0.1:${port('slow')} ssl; ssl_handshake_timeout 300ms; return slow; }
        server { listen 127.0.0.1:${port('back')}; proxy_pass 127.0.0.1:${serverPort}; proxy_ssl on;
                 proxy_ssl_server_name on; proxy_ssl_name server.test; proxy_ssl_verify on; proxy_ssl_alpn x2;
                 proxy_ssl_trusted_certificate ${file('server.test.crt')};
                 proxy_ssl_certificate ${file('client.test.crt')}; proxy_ssl_certificate_key ${file('client.test.key')}; }
        server { listen 127.0.0.1:${port('wrong')}; proxy_pass 127.0.0.1:${serverPort}; proxy_ssl on;
                 proxy_ssl_name other.test; proxy_ssl_verify on; proxy_ssl_trusted_certificate ${file('server.test.crt')}; }
        server { listen 127.0.0.1:${port('both')} ssl; proxy_pass 127.0.0.1:${serverPort}; proxy_ssl on; }
        server { listen 127.0.0.1:${port('header')}; proxy_pass 127.0.0.1:${plainPort}; proxy_ssl on; proxy_protocol on; }
        server { listen 127.0.0.1:${port('through')}; proxy_pass 127.0.0.1:${serverPort}; }`,
    });
  });

  async function secure(port: number, options: ConnectionOptions = {}): Promise<{ socket: TLSSocket; caller: Caller }> {
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options });
    const caller = new Caller(socket);
    scope.after(() => socket.destroy());
    await until(
      () => `a handshake; ${caller.error?.message}`,
      () => socket.getProtocol() !== null || caller.error !== null || caller.closed,
    );
    return { socket, caller };
  }
  const nameOf = (socket: TLSSocket): unknown =>
    (socket.getPeerCertificate() as { subject?: { CN?: string } } | null)?.subject?.CN;

  test('the name in the hello chooses certificate and server', async () => {
    const one = await secure(h.port('front'), { servername: 'one.test', ALPNProtocols: ['b'] });
    assert.equal(await one.caller.rest(), 'one one.test');
    const two = await secure(h.port('front'), { servername: 'deep.two.test' });
    await until('a certificate', () => nameOf(two.socket) !== undefined || two.caller.ended);
    assert.equal(await two.caller.rest(), 'two deep');
    const none = await secure(h.port('front'));
    assert.equal(await none.caller.rest(), 'one ');
    const no = await secure(h.port('front'), { servername: 'no.test' });
    await until('the refusal', () => no.caller.error !== null);
    assert.match(no.caller.error!.message, /unrecognized name|handshake/i);
    await until('a line of the log', () =>
      /^200 TLSv1\.3 one\.test b NONE$/m.test(readFileSync(file('tls.log'), 'latin1')),
    );
  });

  test('what comes out of TLS is passed to another address', async () => {
    const { caller } = await secure(h.port('pass'));
    assert.equal(await caller.rest(), 'got it');
  });

  test('clients show certificates; who does not, or is silent, is sent away', async () => {
    const good = await secure(h.port('mutual'), { key: pem('client.test.key'), cert: pem('client.test.crt') });
    assert.equal(await good.caller.rest(), 'CN=client.test SUCCESS');
    const bare = await secure(h.port('mutual'));
    assert.equal(await bare.caller.rest(), '');
    await h.logged('client sent no required SSL certificate while SSL handshaking, client: 127.0.0.1');
    const silent = await Caller.to(scope, h.port('slow'));
    assert.equal(await silent.rest(), '');
    await h.logged('client timed out (110: Connection timed out) while SSL handshaking');
    const plain = await Caller.to(scope, h.port('front'));
    plain.send('no hello at all');
    assert.equal(await plain.rest(), '');
  });

  test('TLS to servers: name, certificates of both sides, ALPN; a wrong name is not spoken to', async () => {
    const caller = await Caller.to(scope, h.port('back'));
    caller.send('question');
    assert.equal(await caller.says('question'), 'secret question');
    assert.deepEqual(seen.at(-1), { name: 'server.test', alpn: 'x2', client: 'client.test' });
    caller.socket.end();
    await caller.rest();
    const wrong = await Caller.to(scope, h.port('wrong'));
    assert.equal(await wrong.rest(), '');
    await h.logged('upstream SSL certificate does not match "other.test" while SSL handshaking to upstream, client:');
  });

  test('TLS on both sides, large and small; a header before the handshake; TLS passed through', async () => {
    const { socket, caller } = await secure(h.port('both'), { servername: 'one.test' });
    const bytes = Buffer.alloc(2_000_000, 'x');
    socket.write(bytes);
    await until('all of it', () => caller.bytes.length === bytes.length + 7);
    socket.end();
    await caller.rest();

    const header = await Caller.to(scope, h.port('header'));
    await header.rest();
    await h.logged(/SSL_do_handshake\(\) failed .* while SSL handshaking to upstream, client: 127\.0\.0\.1/);

    const through = await secure(h.port('through'), { servername: 'server.test' });
    await through.caller.says('secret ');
    assert.equal(nameOf(through.socket), 'server.test');
    through.socket.destroy();
  });
});
