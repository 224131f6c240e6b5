/** TLS on both sides: listeners with SNI and client certificates, servers that are verified. */
import assert from 'node:assert/strict';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { answering, Backend, ok } from '../helpers/backend.ts';
import { CertificateFiles } from '../helpers/certificate.ts';
import { ask, Client, compose, raw } from '../helpers/client.ts';
import { directory, Headrace } from '../helpers/headrace.ts';
import { helloBytes } from '../helpers/hello.ts';
import { field, text } from '../helpers/http1.ts';
import { findProgram, inCi } from '../helpers/requires.ts';
import { suiteScope, until } from '../helpers/wait.ts';

const openssl = findProgram('openssl');
const skip = openssl === null && !inCi() ? 'openssl is not installed' : false;
const scope = suiteScope(after);

describe('TLS', { skip }, () => {
  let h: Headrace;
  let backend: Backend;
  let dir: string;
  const file = (name: string): string => join(dir, name);
  const pem = (name: string): Buffer => readFileSync(file(name));

  before(async () => {
    dir = directory(scope);
    const made = new CertificateFiles(openssl!, dir);
    made.selfSigned('ca', 'Test CA');
    made.selfSigned('self', 'Myself');
    for (const [f, name] of [
      ['one', 'one.test'],
      ['two', 'two.test'],
      ['new', 'one.test'],
      ['backend', 'backend.test'],
      ['client', 'someone'],
    ] as const)
      made.issue(f, name, 'ca');
    backend = await Backend.start(
      scope,
      answering((r, c) => {
        const socket = c.socket as TLSSocket;
        if (r.target.startsWith('/?c=')) return ok(socket.getPeerCertificate().subject.CN as string);
        return ok(`${socket.servername || '-'} ${r.target}`);
      }),
      {
        tls: {
          key: pem('backend.key'),
          cert: pem('backend.crt'),
          ca: pem('ca.crt'),
          requestCert: true,
          rejectUnauthorized: false,
        },
      },
    );
    h = await Headrace.start(scope, configuration('one'));
  });

  const configuration =
    (certificate: string) =>
    ({ port }: { port: (name: string) => number }): string => {
      const s = `https://127.0.0.1:${backend.port}`;
      return `
    upstream secure { server 127.0.0.1:${backend.port}; keepalive 4; }
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    server {
      listen 127.0.0.1:${port('tls')} ssl;
      server_name one.test;
      ssl_certificate ${file(`${certificate}.crt`)}; ssl_certificate_key ${file(`${certificate}.key`)};
      location / { return 200 "one $ssl_protocol $ssl_server_name $scheme $https"; }
      location /up/ { proxy_pass http://127.0.0.1:${port('plain')}/; }
    }
    server {
      listen 127.0.0.1:${port('tls')} ssl;
      server_name two.test;
      ssl_certificate ${file('two.crt')}; ssl_certificate_key ${file('two.key')};
      location / { return 200 "two $host"; }
    }
    server {
      listen 127.0.0.1:${port('clients')} ssl;
      ssl_certificate ${file('one.crt')}; ssl_certificate_key ${file('one.key')};
      ssl_client_certificate ${file('ca.crt')};
      ssl_verify_client on;
      location / { return 200 "$ssl_client_verify $ssl_client_s_dn"; }
      location /silent { reset_timedout_connection on; return 444; }
    }
    map $ssl_server_name $kept { default one; two.test two; }
    server {
      listen 127.0.0.1:${port('named')} ssl;
      server_name kept.test two.test;
      ssl_certificate ${dir}/$kept.crt; ssl_certificate_key ${dir}/$kept.key;
      ssl_certificate_cache max=4 valid=1h;
      return 200 "kept";
    }
    server {
      listen 127.0.0.1:${port('named')} ssl;
      server_name *.read.test;
      ssl_certificate ${dir}/$ssl_server_name.crt; ssl_certificate_key ${dir}/$ssl_server_name.key;
      return 200 "read";
    }
    server {
      listen 127.0.0.1:${port('commands')} ssl;
      ssl_certificate ${file('one.crt')}; ssl_certificate_key ${file('one.key')};
      ssl_certificate ${file('new.crt')}; ssl_certificate_key ${file('new.key')};
      ssl_session_tickets off; ssl_protocols TLSv1.2;
      ssl_conf_command Certificate ${file('two.crt')}; ssl_conf_command PrivateKey ${file('two.key')};
      ssl_conf_command Options SessionTicket,-ServerPreference; ssl_conf_command Groups P-384;
      return 200 "$ssl_curve|$ssl_curves|$ssl_ciphers|$ssl_session_reused";
    }
    server {
      listen 127.0.0.1:${port('plain')};
      location / { return 200 plain; }
      location /own/ { proxy_ssl_certificate ${dir}/$arg_c.crt; proxy_ssl_certificate_key ${dir}/$arg_c.key;
        proxy_ssl_certificate_cache max=4; proxy_pass ${s}/; }
      location /unverified/ { proxy_pass ${s}/; }
      location /sni/ { proxy_ssl_server_name on; proxy_ssl_name backend.test; proxy_pass ${s}/; }
      location /verified/ { proxy_ssl_verify on; proxy_ssl_trusted_certificate ${file('ca.crt')}; proxy_ssl_name backend.test; proxy_ssl_server_name on; proxy_pass ${s}/; }
      location /wrongname/ { proxy_ssl_verify on; proxy_ssl_trusted_certificate ${file('ca.crt')}; proxy_ssl_name other.test; proxy_pass ${s}/; }
      location /wrongca/ { proxy_ssl_verify on; proxy_ssl_trusted_certificate ${file('two.crt')}; proxy_ssl_name backend.test; proxy_pass ${s}/; }
      location /group/ { proxy_ssl_server_name on; proxy_ssl_name $arg_n; proxy_pass https://secure/; }
      location /nottls/ { proxy_pass https://127.0.0.1:${port('plain')}/; }
    }`;
    };

  const secure = (servername: string, more = {}) => ({ client: { tls: { servername, ca: [pem('ca.crt')], ...more } } });

  test('the certificate is that of the name asked for', async (t) => {
    for (const [name, body] of [
      ['one.test', /^one TLSv1\.[23] one\.test https on$/],
      ['two.test', /^two two\.test$/],
    ] as const) {
      const r = await ask(t, h.port('tls'), '/', {
        fields: [`Host: ${name}`],
        client: { tls: { servername: name, ca: [pem('ca.crt')], rejectUnauthorized: true } },
      });
      assert.match(text(r), body);
    }
    // An unknown name gets the default server's.
    const client = await Client.connect(t, h.port('tls'), { tls: { servername: 'none.test' } });
    assert.equal((client.socket as TLSSocket).getPeerCertificate().subject.CN, 'one.test');
  });

  test('keep-alive, pipelining and large answers over TLS', async (t) => {
    const client = await Client.connect(t, h.port('tls'), { tls: { servername: 'one.test' } });
    await client.send(
      Buffer.concat([compose('/up/a'), compose('/up/b'), compose('/', { fields: ['Host: one.test'] })]),
    );
    assert.deepEqual([text(await client.response()), text(await client.response())], ['plain', 'plain']);
    assert.match(text(await client.response()), /^one /);
  });

  test('plain HTTP on the TLS port is told so', async (t) => {
    const answer = await raw(t, h.port('tls'), 'GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    // nginx: 400 "The plain HTTP request was sent to HTTPS port".
    if (answer !== '') assert.match(answer, /^HTTP\/1\.1 400 /);
  });

  test('client certificates', async (t) => {
    const without = await ask(t, h.port('clients'), '/', secure('one.test'));
    assert.equal(without.status, 400);
    const withOne = await ask(
      t,
      h.port('clients'),
      '/',
      secure('one.test', { key: pem('client.key'), cert: pem('client.crt') }),
    );
    assert.equal(text(withOne), 'SUCCESS CN=someone');
    const own = await ask(
      t,
      h.port('clients'),
      '/',
      secure('one.test', { key: pem('self.key'), cert: pem('self.crt') }),
    );
    assert.equal(own.status, 400);
    await h.logged('client SSL certificate verify error');
  });

  test('a client that ends its side in the handshake is not waited for', async (t) => {
    const hello = await helloBytes({ servername: 'one.test' });
    for (const name of ['tls', 'clients']) {
      const client = await Client.connect(t, h.port(name), { allowHalfOpen: true });
      await client.send(hello);
      client.socket.end();
      await until(`${name} to close`, () => client.closed, 20_000);
    }
  });

  // A TLSSocket cannot be reset: asked to, it throws.
  test('return 444 with reset_timedout_connection, over TLS that Node does', async (t) => {
    const certified = secure('one.test', { key: pem('client.key'), cert: pem('client.crt') });
    const client = await Client.connect(t, h.port('clients'), certified.client);
    await client.send('GET /silent HTTP/1.1\r\nHost: a\r\n\r\n');
    await client.end();
    assert.equal(client.text, '');
    assert.equal(text(await ask(t, h.port('clients'), '/', certified)), 'SUCCESS CN=someone');
  });

  test('a server over TLS: unverified, by name, verified', async (t) => {
    assert.equal(text(await ask(t, h.port('plain'), '/unverified/x')), '- /x');
    assert.equal(text(await ask(t, h.port('plain'), '/sni/x')), 'backend.test /x');
    assert.equal(text(await ask(t, h.port('plain'), '/verified/x')), 'backend.test /x');
    assert.equal((await ask(t, h.port('plain'), '/wrongname/x')).status, 502);
    assert.equal((await ask(t, h.port('plain'), '/wrongca/x')).status, 502);
    assert.equal((await ask(t, h.port('plain'), '/nottls/x')).status, 502);
    await h.logged(/upstream SSL certificate (verify error|does not match)/);
  });

  test('idle connections of one name are not used for another', async (t) => {
    assert.equal(text(await ask(t, h.port('plain'), '/group/x?n=one.test')), 'one.test /x?n=one.test');
    assert.equal(text(await ask(t, h.port('plain'), '/group/x?n=two.test')), 'two.test /x?n=two.test');
    const before = backend.connections.length;
    assert.equal(text(await ask(t, h.port('plain'), '/group/y?n=one.test')), 'one.test /y?n=one.test');
    assert.equal(backend.connections.length, before);
  });

  const subject = (client: Client): string => (client.socket as TLSSocket).getPeerCertificate().subject.CN as string;

  test('certificates named by variables: read at each handshake, or kept', async (t) => {
    const shown = async (servername: string): Promise<string> => {
      const client = await Client.connect(t, h.port('named'), { tls: { servername } });
      return subject(client);
    };
    const put = (from: string, to: string): void => {
      for (const kind of ['crt', 'key']) {
        writeFileSync(file(`${to}.${kind}.new`), pem(`${from}.${kind}`));
        renameSync(file(`${to}.${kind}.new`), file(`${to}.${kind}`));
      }
    };
    assert.equal(await shown('kept.test'), 'one.test');
    assert.equal(await shown('two.test'), 'two.test');
    put('client', 'a.read.test');
    assert.equal(await shown('a.read.test'), 'someone');
    put('two', 'a.read.test');
    assert.equal(await shown('a.read.test'), 'two.test');
    await assert.rejects(shown('b.read.test'));
    await h.logged(/cannot load certificate ".*b\.read\.test\.crt"/);
  });

  test('certificates towards servers named by variables', async (t) => {
    assert.equal(text(await ask(t, h.port('plain'), '/own/?c=client')), 'someone');
    assert.equal(text(await ask(t, h.port('plain'), '/own/?c=two')), 'two.test');
    assert.equal((await ask(t, h.port('plain'), '/own/?c=absent')).status, 500);
    await h.logged(/cannot load certificate ".*absent\.crt"/);
  });

  test('ssl_conf_command; what the client offers, and the group', async (t) => {
    const ciphers = 'ECDHE-ECDSA-AES128-GCM-SHA256';
    const tls = { servername: 'two.test', ciphers, ecdhCurve: 'P-384:P-256', maxVersion: 'TLSv1.2' as const };
    const first = await Client.connect(t, h.port('commands'), { tls });
    assert.equal(subject(first), 'two.test');
    await first.send(compose('/', { fields: ['Host: two.test'] }));
    const offers = `secp384r1|secp384r1:prime256v1|${ciphers}`;
    assert.equal(text(await first.response()), `${offers}|.`);
    const session = (first.socket as TLSSocket).getSession();
    const again = await Client.connect(t, h.port('commands'), { tls: { ...tls, session } });
    await again.send(compose('/', { fields: ['Host: two.test'] }));
    assert.equal(text(await again.response()), `${offers}|r`);
  });

  test('a reload brings new certificates, connections go on', async (t) => {
    const old = await Client.connect(t, h.port('tls'), { tls: { servername: 'one.test' } });
    const serial = (client: Client): string => (client.socket as TLSSocket).getPeerCertificate().serialNumber;
    h.configure(configuration('new'));
    h.signal('SIGHUP');
    await until('the new certificate', async () => {
      const client = await Client.connect(t, h.port('tls'), { tls: { servername: 'one.test' } });
      const now = serial(client);
      client.destroy();
      return now !== serial(old);
    });
    await old.send(compose('/', { fields: ['Host: one.test'] }));
    const r = await old.response();
    assert.equal(r.status, 200);
    assert.notEqual(field(r, 'content-length'), null);
  });
});
