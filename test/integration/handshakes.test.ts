/** TLS handshakes: each server block has its own, sessions resume on every worker and never in another server's place. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import tls from 'node:tls';
import { CertificateFiles } from '../helpers/certificate.ts';
import { raw } from '../helpers/client.ts';
import { directory, Headrace } from '../helpers/headrace.ts';
import { findProgram, inCi } from '../helpers/requires.ts';
import { suiteScope, until, within } from '../helpers/wait.ts';

const openssl = findProgram('openssl');
const scope = suiteScope(after);

describe('TLS handshakes', { skip: openssl === null && !inCi() ? 'openssl is not installed' : false }, () => {
  let h: Headrace;
  let dir: string;
  const pem = (name: string): Buffer => readFileSync(join(dir, name));
  before(async () => {
    dir = directory(scope);
    const made = new CertificateFiles(openssl!, dir);
    for (const name of ['one', 'two', 'client', 'other']) made.selfSigned(name);
    made.run('ec', '-in', 'one.key', '-aes128', '-passout', 'pass:second', '-out', 'locked.key');
    const own = (name: string, key = name): string =>
      `ssl_certificate ${dir}/${name}.crt; ssl_certificate_key ${dir}/${key}.key;`;
    h = await Headrace.start(
      scope,
      ({ port, dir: here }) => `
      server { listen 127.0.0.1:${port('tls')} ssl; server_name one; ${own('one')} location / { return 200 "$ssl_protocol $ssl_session_reused"; } }
      server { listen 127.0.0.1:${port('tls')} ssl; server_name old; ssl_protocols TLSv1.2; ${own('two')} location / { return 200 "$ssl_protocol $ssl_session_id"; } }
      server { listen 127.0.0.1:${port('tls')} ssl; server_name rejected; ssl_reject_handshake on; }
      server {
        listen 127.0.0.1:${port('tls')} ssl; server_name private; ${own('two')}
        ssl_verify_client on; ssl_client_certificate ${dir}/client.crt; ssl_trusted_certificate ${dir}/client.crt;
        location / { return 200 "$ssl_client_verify $ssl_session_reused"; }
      }
      server {
        listen 127.0.0.1:${port('tls')} ssl; server_name noca; ${own('two')}
        ssl_verify_client optional_no_ca; ssl_client_certificate ${dir}/client.crt;
        location / { return 200 "$ssl_client_verify"; }
      }
      server { listen 127.0.0.1:${port('tls')} ssl; server_name bare; ssl_verify_client on; location / { return 200 in; } }
      server { listen 127.0.0.1:${port('tls')} ssl; server_name none; ${own('two')} ssl_session_tickets off; location / { return 200 "$ssl_session_reused"; } }
      server { listen 127.0.0.1:${port('locked')} ssl; ssl_password_file ${here}/passwords; ${own('one', 'locked')} location / { return 200 "$ssl_session_reused"; } }
      server {
        listen 127.0.0.1:${port('file')} ssl; ${own('one')}
        ssl_session_ticket_key ${here}/current.key; ssl_session_ticket_key ${here}/previous.key;
        location / { return 200 "$ssl_session_reused"; }
      }`,
      {
        workers: 2,
        files: { passwords: 'first\nsecond\n', 'current.key': randomBytes(48), 'previous.key': randomBytes(80) },
      },
    );
  });

  interface Result {
    status: number;
    body: string;
    session: Buffer;
  }

  /** One request on a connection of its own; out also: the session to resume. */
  async function visit(
    port: string,
    servername: string,
    options: tls.ConnectionOptions = {},
    host = servername,
  ): Promise<Result> {
    const socket = tls.connect({
      port: h.port(port),
      host: '127.0.0.1',
      servername,
      rejectUnauthorized: false,
      ...options,
    });
    let session: Buffer = Buffer.alloc(0);
    let answer = '';
    socket.on('session', (data: Buffer) => (session = data));
    socket.setEncoding('latin1').on('data', (text: string) => (answer += text));
    await within('the handshake', once(socket, 'secureConnect'));
    socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    await within('the answer', once(socket, 'close'));
    const [head = '', body = ''] = answer.split('\r\n\r\n');
    return { status: Number(head.slice(9, 12)), body, session };
  }

  test("versions are the named server's", async () => {
    assert.match((await visit('tls', 'one')).body, /^TLSv1\.3/);
    assert.match((await visit('tls', 'old')).body, /^TLSv1\.2/);
    await assert.rejects(visit('tls', 'old', { minVersion: 'TLSv1.3' }));
  });

  test('a rejected name gets its alert', async () => {
    await assert.rejects(visit('tls', 'rejected'), /unrecognized name/);
  });

  test('clients are asked for a certificate where one is wanted, and only there', async () => {
    const client = { key: pem('client.key'), cert: pem('client.crt') };
    const other = { key: pem('other.key'), cert: pem('other.crt') };
    assert.deepEqual(
      [(await visit('tls', 'private')).status, (await visit('tls', 'private', other)).status],
      [400, 400],
    );
    assert.equal((await visit('tls', 'private', client)).body, 'SUCCESS .');
    assert.match((await visit('tls', 'noca', other)).body, /^FAILED:/);
    assert.equal((await visit('tls', 'noca')).body, 'NONE');
    assert.match((await visit('tls', 'one', client)).body, /^TLSv1\.3/);
    // Another name than that of the handshake opens nothing; nor does a server without a certificate of its own.
    assert.equal((await visit('tls', 'one', client, 'private')).status, 421);
    assert.equal((await visit('tls', 'bare', client)).status, 400);
  });

  test('sessions resume on every worker', async () => {
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const { session } = await visit('tls', 'one', { maxVersion });
      const again = await Promise.all(Array.from({ length: 12 }, () => visit('tls', 'one', { maxVersion, session })));
      assert.deepEqual(
        again.map((r) => r.body),
        Array.from({ length: 12 }, () => `${maxVersion} r`),
      );
    }
  });

  test('sessions are no ticket to another server', async () => {
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const client = { key: pem('client.key'), cert: pem('client.crt'), maxVersion };
      const { session } = await visit('tls', 'one', { maxVersion });
      assert.equal((await visit('tls', 'private', { session, maxVersion })).status, 400);
      assert.equal((await visit('tls', 'private', { ...client, session })).body, 'SUCCESS .');
      const known = await visit('tls', 'private', client);
      assert.equal((await visit('tls', 'private', { session: known.session, maxVersion })).body, 'SUCCESS r');
      assert.match((await visit('tls', 'one', { session: known.session, maxVersion })).body, /\.$/);
    }
  });

  test('the id of a resumed session is told', async () => {
    const { session } = await visit('tls', 'old');
    assert.match((await visit('tls', 'old', { session })).body, /^TLSv1\.2 [0-9a-f]{64}$/);
  });

  test('no tickets where they are off', async () => {
    const { session } = await visit('tls', 'none', { maxVersion: 'TLSv1.2' });
    assert.equal((await visit('tls', 'none', { session, maxVersion: 'TLSv1.2' })).body, '.');
  });

  test('one password of several opens the key', async () => assert.equal((await visit('locked', 'x')).body, '.'));

  test('sessions outlive a reload, with keys of the process and of files, and the files change places', async () => {
    const own = await visit('tls', 'one');
    const first = await visit('file', 'x');
    assert.equal((await visit('file', 'x', { session: first.session })).body, 'r');
    // The old key decrypts only, from now on.
    const current = readFileSync(join(h.dir, 'current.key'));
    h.file('current.key', randomBytes(48));
    h.file('previous.key', current);
    h.signal('SIGHUP');
    const renewed = await until('a session with the new key', async () => {
      const { body, session } = await visit('file', 'x', { session: first.session });
      assert.equal(body, 'r');
      return h.errorLog().includes('reconfiguring') && !session.includes(current.subarray(0, 16)) && session.length > 0
        ? session
        : null;
    });
    assert.equal((await visit('file', 'x', { session: renewed })).body, 'r');
    assert.equal((await visit('tls', 'one', { session: own.session })).body, 'TLSv1.3 r');
  });

  test('plain HTTP is told so', async () => {
    const answer = await raw(scope, h.port('tls'), 'GET / HTTP/1.1\r\nHost: one\r\n\r\n');
    assert.match(answer, /^HTTP\/1\.1 400 [^]*plain HTTP request was sent to HTTPS port/);
  });
});
