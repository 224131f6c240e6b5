/** ssl_stapling and ssl_ocsp of the program, with a responder of our own and the answers of openssl. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { connect } from 'node:tls';
import type { ConnectionOptions } from 'node:tls';
import { after, before, describe, test } from 'node:test';
import { ask } from '../helpers/client.ts';
import { directory, Headrace } from '../helpers/headrace.ts';
import { OcspAuthority } from '../helpers/ocsp.ts';
import { findProgram, inCi } from '../helpers/requires.ts';
import { suiteScope, until, within } from '../helpers/wait.ts';

const skip = findProgram('openssl') === null && !inCi() ? 'openssl is not installed' : false;

describe('OCSP', { skip }, () => {
  const scope = suiteScope(after);
  const dir = directory(scope);
  let h: Headrace;
  const read = (name: string): string => readFileSync(join(dir, name), 'latin1');
  /** What the responder answers with, in turn of its paths; a missing one: 500. */
  const answers = new Map<string, Buffer>();
  const asked: string[] = [];

  before(async () => {
    const responder = createServer((request, response) => {
      const [, name = '', query = ''] = (request.url ?? '').split('/');
      asked.push(name);
      assert.equal(Buffer.from(decodeURIComponent(query), 'base64')[0], 0x30);
      const answer = answers.get(name);
      if (answer === undefined) response.writeHead(500).end();
      else response.writeHead(200, { 'Content-Type': 'application/ocsp-response' }).end(answer);
    });
    await new Promise<void>((resolve) => responder.listen(0, '127.0.0.1', resolve));
    scope.after(() => void responder.close());
    const url = `http://127.0.0.1:${(responder.address() as AddressInfo).port}`;
    const authority = new OcspAuthority(dir, `${url}/ca`);
    for (const name of ['server', 'rsa-server', 'revoked', 'alice', 'bob']) authority.issue(name);
    authority.revoke('revoked');
    authority.revoke('bob');
    for (const name of ['server', 'revoked', 'alice', 'bob']) answers.set(name, authority.answer(name));
    answers.set('stranger', authority.answer('server', 'rsa-server'));

    const pair = (name: string): string =>
      `ssl_certificate ${dir}/${name}.crt; ssl_certificate_key ${dir}/${name}.key;`;
    const stapled = (port: number, name: string, to: string, more = ''): string =>
      `server { listen 127.0.0.1:${port} ssl; ${pair(name)} ssl_stapling on; ssl_stapling_responder ${url}/${to}; ${more} }`;
    h = await Headrace.start(
      scope,
      ({ port }) => `
      ssl_trusted_certificate ${dir}/ca.crt;
      ${stapled(port('stapled'), 'server', 'server')}
      ${stapled(port('revoked'), 'revoked', 'revoked')}
      ${stapled(port('stranger'), 'server', 'stranger', 'ssl_stapling_verify on;')}
      ${stapled(port('any signer'), 'server', 'stranger')}
      ${stapled(port('down'), 'server', 'nobody')}
      ${stapled(port('two'), 'rsa-server', 'server', pair('server'))}
      server { listen 127.0.0.1:${port('file')} ssl; ${pair('server')} ssl_stapling on; ssl_stapling_file ${dir}/resp.der; }
      server { listen 127.0.0.1:${port('clients')} ssl; ${pair('server')}
        ssl_verify_client optional; ssl_client_certificate ${dir}/ca.crt; ssl_ocsp on;
        return 200 $ssl_client_verify;
        server_name alice bob; ssl_ocsp_responder ${url}/alice; ssl_ocsp_cache shared:o:1m; }
      server { listen 127.0.0.1:${port('bob')} ssl; ${pair('server')}
        ssl_verify_client on; ssl_client_certificate ${dir}/ca.crt; ssl_ocsp leaf; ssl_ocsp_responder ${url}/bob; return 200 in; }
      server { listen 127.0.0.1:${port('named')} ssl; ${pair('server')}
        ssl_verify_client on; ssl_client_certificate ${dir}/ca.crt; ssl_ocsp on; return 200 in; }`,
    );
  });

  /** The staple of one handshake; null: none. */
  function staple(port: string, options: ConnectionOptions = {}): Promise<Buffer | null> {
    const socket = connect({
      port: h.port(port),
      host: '127.0.0.1',
      rejectUnauthorized: false,
      requestOCSP: true,
      ...options,
    });
    scope.after(() => socket.destroy());
    return within(
      'a staple',
      new Promise((resolve, reject) => {
        let found: Buffer | null = null;
        socket.on(
          'OCSPResponse',
          (answer: Buffer | null) => (found = answer !== null && answer.length > 0 ? answer : null),
        );
        socket.once('secureConnect', () => {
          socket.destroy();
          resolve(found);
        });
        socket.once('error', reject);
      }),
    );
  }

  test('the first handshake goes without, those after it have what the responder says', async () => {
    assert.equal(await staple('stapled'), null);
    await until('a staple', async () => (await staple('stapled')) !== null);
    assert.deepEqual(await staple('stapled'), answers.get('server'));
    // It is kept, and not asked for again.
    const count = asked.filter((name) => name === 'server').length;
    for (let i = 0; i < 3; i++) await staple('stapled');
    assert.equal(asked.filter((name) => name === 'server').length, count);
    assert.equal(await staple('stapled', { requestOCSP: false }), null);
  });

  test('only what is good is shown, and with ssl_stapling_verify only what the issuer says', async () => {
    for (const port of ['revoked', 'stranger', 'down']) await staple(port);
    await h.logged('certificate status "revoked" in the OCSP response');
    await h.logged('OCSP response is not signed by the issuer');
    await h.logged('status 500 while requesting certificate status');
    for (const port of ['revoked', 'stranger', 'down']) assert.equal(await staple(port), null, port);
    await until('a staple of any signer', async () => (await staple('any signer')) !== null);
  });

  test('an answer from a file is shown at once', async () => {
    assert.deepEqual(await staple('file'), readFileSync(join(dir, 'resp.der')));
  });

  test('of several certificates each has its own', async () => {
    const ecdsa = { sigalgs: 'ecdsa_secp256r1_sha256:rsa_pss_rsae_sha256' };
    await until('a staple', async () => (await staple('two', ecdsa)) !== null);
    assert.deepEqual(await staple('two', ecdsa), answers.get('server'));
    // What the responder says is about the other certificate.
    const rsa = { sigalgs: 'rsa_pss_rsae_sha256' };
    for (let i = 0; i < 2; i++) assert.equal(await staple('two', rsa), null);
    await h.logged('certificate status not found in the OCSP response');
    // Before TLS 1.3 nobody knows which one it will be.
    assert.equal(await staple('two', { maxVersion: 'TLSv1.2' }), null);
  });

  const visit = async (port: string, who: string | null): Promise<string> => {
    const own = who === null ? {} : { cert: read(`${who}.crt`), key: read(`${who}.key`) };
    const answer = await ask(scope, h.port(port), '/', { client: { tls: { ca: read('ca.crt'), ...own } } });
    return `${answer.status} ${answer.body.toString().slice(0, 60)}`;
  };

  test('clients whose certificate was revoked, or about whom nobody answers, are not let in', async () => {
    assert.equal(await visit('clients', 'alice'), '200 SUCCESS');
    assert.equal(await visit('clients', null), '200 NONE');
    assert.match(await visit('bob', 'bob'), /^400 /);
    await h.logged('client SSL certificate verify error: (certificate revoked)');
    // The answer is about alice.
    assert.match(await visit('clients', 'bob'), /^400 /);
    assert.match(await visit('bob', 'alice'), /^400 /);
    // The certificate's own responder.
    assert.match(await visit('named', 'alice'), /^400 /);
    answers.set('ca', answers.get('alice')!);
    assert.equal(await visit('named', 'alice'), '200 in');
    answers.set('ca', answers.get('bob')!);
    assert.match(await visit('named', 'alice'), /^400 /);
  });

  test('with a cache who is good stays good for as long as the answer holds', async () => {
    assert.equal(await visit('clients', 'alice'), '200 SUCCESS');
    const count = asked.length;
    assert.equal(await visit('clients', 'alice'), '200 SUCCESS');
    assert.equal(asked.length, count);
  });
});
