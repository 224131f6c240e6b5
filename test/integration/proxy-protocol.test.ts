/** `listen … proxy_protocol`, plain and over TLS: what the balancer in front tells, and what it may not. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import tls from 'node:tls';
import { Client, compose, raw } from '../helpers/client.ts';
import { Headrace } from '../helpers/headrace.ts';
import { findProgram } from '../helpers/requires.ts';
import { suiteScope } from '../helpers/wait.ts';
import { TLV, writeProxyV1, writeProxyV2 } from '../../src/net/proxy-protocol.ts';

const scope = suiteScope(after);
const openssl = findProgram('openssl');
const FROM = { address: '192.0.2.1', port: 123 };
const TO = { address: '192.0.2.2', port: 5678 };
const GET = compose('/', { fields: ['Connection: close'] });
const BODY =
  '"$remote_addr!$remote_port $proxy_protocol_addr!$proxy_protocol_port ' +
  '$proxy_protocol_server_addr!$proxy_protocol_server_port $proxy_protocol_tlv_authority"';

describe('listen … proxy_protocol', () => {
  let h: Headrace;

  before(async () => {
    h = await Headrace.start(
      scope,
      ({ port, dir }) => `
        client_header_timeout 1s;
        server {
          listen 127.0.0.1:${port('plain')} proxy_protocol;
          location / { return 200 ${BODY}; }
        }
        server {
          listen 127.0.0.1:${port('real')} proxy_protocol;
          listen unix:${dir}/front proxy_protocol;
          set_real_ip_from 127.0.0.1;
          set_real_ip_from unix:;
          real_ip_header proxy_protocol;
          location / { return 200 ${BODY}; }
        }
        ${
          openssl === null
            ? ''
            : `server {
          listen 127.0.0.1:${port('tls')} ssl proxy_protocol;
          ssl_certificate ${dir}/server.crt;
          ssl_certificate_key ${dir}/server.key;
          location / { return 200 "$ssl_server_name ${BODY.slice(1)}; }
        }`
        }`,
      { files: certificate() },
    );
  });

  function certificate(): Record<string, Buffer> {
    if (openssl === null) return {};
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', '-', '-out', '-'];
    const pem = execFileSync(openssl, ['req', '-x509', ...key, '-subj', '/CN=front.test', '-days', '2'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return { 'server.crt': pem, 'server.key': pem };
  }

  const get = (header: string): Promise<string> =>
    raw(scope, h.port('plain'), Buffer.concat([Buffer.from(header, 'latin1'), GET]));
  const told = async (header: Buffer): Promise<string> =>
    (await get(header.latin1Slice())).replace(/^[^]*\r\n\r\n/, '');

  test('both versions, and headers that tell nothing', async () => {
    const tlvs = [{ type: TLV.authority, value: Buffer.from('front.test') }];
    assert.match(await told(writeProxyV1(FROM, TO)), /^127\.0\.0\.1!\d+ 192\.0\.2\.1!123 192\.0\.2\.2!5678 $/);
    assert.match(await told(writeProxyV2(FROM, TO, tlvs)), / 192\.0\.2\.1!123 192\.0\.2\.2!5678 front\.test$/);
    assert.match(await told(Buffer.from('PROXY UNKNOWN\r\n')), /^127\.0\.0\.1!\d+ ! ! $/);
    assert.match(await told(writeProxyV2({ address: '', port: 0 }, TO)), /^127\.0\.0\.1!\d+ ! ! $/);
  });

  test('real_ip_header proxy_protocol takes address and port, over unix sockets too', async () => {
    for (const where of [h.port('real'), join(h.dir, 'front')]) {
      const answer = await raw(scope, where, Buffer.concat([writeProxyV2(FROM, TO), GET]));
      assert.match(answer, /\r\n\r\n192\.0\.2\.1!123 192\.0\.2\.1!123 192\.0\.2\.2!5678 $/);
    }
  });

  test('a header in single bytes, then requests on a kept-alive connection', async () => {
    const client = await Client.connect(scope, h.port('plain'));
    for (const byte of writeProxyV1(FROM, TO)) await client.send(Buffer.from([byte]));
    for (let i = 0; i < 2; i++) {
      await client.send(compose('/'));
      assert.match((await client.response()).body.latin1Slice(), / 192\.0\.2\.1!123 /);
    }
    client.destroy();
  });

  test('without header, with a broken one, or when it does not come: closed without an answer, and logged', async () => {
    assert.equal(await get(''), '');
    await h.logged('broken header: "GET / HTTP/1.1" while reading PROXY protocol, client: 127.0.0.1');
    assert.equal(await get('PROXY TCP4 1.2.3.4\r\n'), '');
    const silent = await Client.connect(scope, h.port('plain'));
    await silent.send('PROXY TCP4');
    await silent.end();
    assert.equal(silent.text, '');
    await h.logged('client timed out while reading PROXY protocol');
  });

  test('over TLS the header comes before the handshake', { skip: openssl === null }, async () => {
    for (const together of [true, false]) {
      const client = await Client.connect(scope, h.port('tls'));
      const header = writeProxyV2(FROM, TO);
      if (together) client.socket.cork();
      client.socket.write(header);
      const secure = tls.connect({ socket: client.socket, servername: 'front.test', rejectUnauthorized: false });
      scope.after(() => secure.destroy());
      if (together) setImmediate(() => client.socket.uncork());
      secure.write(GET);
      let answer = '';
      for await (const chunk of secure) answer += (chunk as Buffer).latin1Slice();
      assert.match(answer, /\r\n\r\nfront\.test 127\.0\.0\.1!\d+ 192\.0\.2\.1!123 192\.0\.2\.2!5678 $/);
    }
    // A header is a must there, too.
    assert.equal(await raw(scope, h.port('tls'), 'GET / HTTP/1.1\r\n\r\n'), '');
  });
});
