/** QUIC in stream: listened to, spoken to servers, names, certificates that change, tunnels over it. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { hasQuic } from '../../src/net/quic/package.ts';
import { makeSelfSigned } from '../../src/net/self-signed.ts';
import { Headrace } from '../helpers/headrace.ts';
import { inCi } from '../helpers/requires.ts';
import { Caller, call, echo, listen } from '../helpers/stream.ts';
import { suiteScope, until } from '../helpers/wait.ts';

const scope = suiteScope(after);
const far = makeSelfSigned('far.test', Date.now());
const other = makeSelfSigned('other.test', Date.now());
const skip = hasQuic() || inCi() ? false : 'the package "deno" is not installed';

describe('QUIC', { skip }, () => {
  let h: Headrace;

  before(async () => {
    const app = await listen(scope, echo());
    h = await Headrace.start(
      scope,
      ({ port }) => `
        upstream passed { server 127.0.0.1:${port('pass')} via=quic ssl_name=far.test; via_ssl_trusted_certificate far.crt; }
        server { listen 127.0.0.1:${port('passed')}; location / { proxy_pass http://passed; } }
        upstream web { server 127.0.0.1:${port('to web')} via=quic ssl_name=far.test; via_ssl_trusted_certificate far.crt; }
        server { listen 127.0.0.1:${port('web')}; location / { proxy_pass http://web; } }
        server { listen 127.0.0.1:${port('app')}; location / { return 200 "app $uri"; } }`,
      {
        workers: 2,
        files: { 'far.crt': far.cert, 'far.key': far.key, 'other.crt': other.cert },
        stream: ({ port }) =>
          `
          log_format line '$remote_addr $ssl_server_name $server_name $ssl_alpn_protocol $bytes_received';
          ssl_certificate far.crt; ssl_certificate_key far.key; via_ssl_trusted_certificate far.crt;
          server { listen 127.0.0.1:${port('quic')} quic; access_log quic.log line; proxy_pass 127.0.0.1:${app}; }
          server { listen 127.0.0.1:${port('quic')} quic; server_name far.test; access_log quic.log line; proxy_pass 127.0.0.1:${app}; }
          server { listen 127.0.0.1:${port('told')} quic; hello_from 127.0.0.1; return "$remote_addr $hello_domain"; }
          server { listen 127.0.0.1:${port('tunnel')} quic tunnel; proxy_pass 127.0.0.1:${app}; }
          server { listen 127.0.0.1:${port('pass')} quic; pass 127.0.0.1:${port('app')}; }
          server { listen 127.0.0.1:${port('to web')} quic; proxy_pass 127.0.0.1:${port('app')}; }

          upstream far { server 127.0.0.1:${port('quic')} via=quic ssl_name=far.test ssl_trusted=far.crt; }
          upstream strange { server 127.0.0.1:${port('quic')} via=quic ssl_name=far.test ssl_trusted=other.crt; }
          upstream careless { server 127.0.0.1:${port('quic')} via=quic ssl_name=any.test ssl_verify=off; }
          upstream told { server 127.0.0.1:${port('told')} via=quic ssl_name=far.test ssl_trusted=far.crt hello=on; }
          upstream tunnel { server 127.0.0.1:${port('tunnel')} via=tunnel+quic ssl_name=far.test ssl_trusted=far.crt; }
          upstream beating {
            heartbeat interval=100ms timeout=5s fails=2;
            server 127.0.0.1:${port('told')} via=quic ssl_name=far.test ssl_trusted=far.crt;
            server 127.0.0.1:${port('nobody')} via=quic ssl_name=far.test ssl_trusted=far.crt heartbeat=interval=100ms,timeout=1s,fails=2;
          }
          ${['far', 'strange', 'careless', 'told', 'tunnel', 'beating']
            .map((name) => `server { listen 127.0.0.1:${port(name)}; proxy_pass ${name}; }`)
            .join('\n')}`.replace('via_ssl_trusted_certificate far.crt;', ''),
      },
    );
  });

  async function echoed(name: string, size: number): Promise<void> {
    const bytes = randomBytes(size);
    const caller = await Caller.to(scope, h.port(name));
    caller.send(bytes);
    await until(`${size} bytes`, () => caller.bytes.length >= size || caller.closed);
    assert.ok(caller.bytes.equals(bytes), `${caller.bytes.length} of ${size} bytes`);
    caller.socket.end();
    await caller.rest();
  }

  test('bytes there and back; the name chooses the server', async () => {
    for (const size of [1, 10_000, 1_000_000]) await echoed('far', size);
    await h.logged('127.0.0.1 far.test far.test ALPN 1000000', 'quic.log');
  });

  test('a server that nobody vouches for gets nothing, unless that is what is wanted', async () => {
    assert.equal(await call(scope, h.port('strange'), 'x'), '');
    await h.logged(/QUIC handshake failed/);
    await echoed('careless', 1000);
  });

  test('a hello opens the way for servers that speak first', async () => {
    assert.match(await call(scope, h.port('told')), /^127\.0\.0\.1 /);
  });

  test('a tunnel over QUIC', async () => {
    for (const size of [1, 1_000_000]) await echoed('tunnel', size);
  });

  test('HTTP over QUIC streams', async () => {
    for (let i = 0; i < 3; i++) {
      const answer = await fetch(`http://127.0.0.1:${h.port('web')}/${i}`);
      assert.equal(await answer.text(), `app /${i}`);
    }
  });

  test('streams that are handed on to HTTP', async () => {
    for (let i = 0; i < 3; i++) {
      const answer = await fetch(`http://127.0.0.1:${h.port('passed')}/${i}`);
      assert.equal(await answer.text(), `app /${i}`);
    }
  });

  test('heartbeats over QUIC: who is not there is taken out', async () => {
    await h.logged(new RegExp(`peer is unhealthy.*127\\.0\\.0\\.1:${h.port('nobody')} .*"beating"`));
    for (let i = 0; i < 2; i++) assert.match(await call(scope, h.port('beating'), 'x'), /^127\.0\.0\.1 /);
    assert.equal(h.lines(`peer 127.0.0.1:${h.port('told')} `).length, 0);
  });

  test('a reload shows another certificate; sessions go on', async () => {
    const caller = await Caller.to(scope, h.port('far'));
    caller.send('before');
    await caller.says('before');
    const next = makeSelfSigned('far.test', Date.now());
    h.file('far.crt', next.cert);
    h.file('far.key', next.key);
    h.signal('SIGHUP');
    caller.send(' after');
    await until('a session by the new certificate', async () => {
      const one = await Caller.to(scope, h.port('far'));
      one.send('again');
      await until('an answer or the end', () => one.closed || one.text === 'again');
      const { text } = one;
      one.socket.destroy();
      return text === 'again' && h.lines('reconfiguring').length > 0;
    });
    await caller.says('before after');
    caller.socket.destroy();
  });
});
