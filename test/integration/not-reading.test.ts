/** Clients that ask for much and read nothing: send_timeout ends them, whatever waits for them, and the process can leave. */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import * as h2 from '../../src/http/wire/h2/constants.ts';
import { answering, Backend, ok } from '../helpers/backend.ts';
import { makeCertificate } from '../helpers/certificate.ts';
import { Client, compose } from '../helpers/client.ts';
import { Headrace } from '../helpers/headrace.ts';
import { frame, RawHttp2, uint32 } from '../helpers/http2.ts';
import { findProgram, inCi } from '../helpers/requires.ts';
import { suiteScope, until } from '../helpers/wait.ts';

const openssl = findProgram('openssl');
const skip =
  (openssl === null && !inCi() && 'openssl is not installed') || (process.platform !== 'linux' && 'no /proc here');
const scope = suiteScope(after);
const LARGE = Buffer.alloc(20_000_000, 'x');
const WINDOW = Buffer.concat([Buffer.from([0, h2.SETTING_INITIAL_WINDOW_SIZE]), uint32(1 << 30)]);

describe('clients that do not read', { skip }, () => {
  let h: Headrace;

  before(async () => {
    const { certificate, key } = makeCertificate(openssl ?? 'openssl', 'localhost');
    const backend = await Backend.start(
      scope,
      answering(() => ok(LARGE.toString('latin1'))),
    );
    h = await Headrace.start(
      scope,
      ({ port, dir }) => `
        server {
          listen 127.0.0.1:${port('plain')};
          listen 127.0.0.1:${port('tls')} ssl;
          listen 127.0.0.1:${port('h2')} http2;
          ssl_certificate ${dir}/certificate;
          ssl_certificate_key ${dir}/key;
          http2 on;
          send_timeout 500ms;
          lingering_timeout 500ms;
          location / { root ${dir}; }
          location /proxied { proxy_max_temp_file_size 0; proxy_pass http://127.0.0.1:${backend.port}; }
        }
        server {
          listen 127.0.0.1:${port('asking')} ssl;
          ssl_certificate ${dir}/certificate;
          ssl_certificate_key ${dir}/key;
          ssl_verify_client optional_no_ca;
          send_timeout 500ms;
          location / { root ${dir}; }
          location /proxied { proxy_max_temp_file_size 0; proxy_pass http://127.0.0.1:${backend.port}; }
        }`,
      { files: { certificate, key, large: LARGE } },
    );
  });

  /** A client's connection with an answer under way that it does not take. */
  const ask: Record<string, (path: string) => Promise<Socket>> = {
    'HTTP/1.1': async (path) => http1(await Client.connect(scope, h.port('plain')), path),
    'HTTP/1.1 over TLS': async (path) => http1(await Client.connect(scope, h.port('tls'), { tls: {} }), path),
    'HTTP/1.1 over TLS that asks for certificates': async (path) =>
      http1(await Client.connect(scope, h.port('asking'), { tls: {} }), path),
    'HTTP/2': async (path) => http2(new RawHttp2(scope, h.port('h2'), frame(h2.SETTINGS, 0, 0, WINDOW)), path),
    'HTTP/2 over TLS': async (path) => {
      const { socket } = await Client.connect(scope, h.port('tls'), { tls: { ALPNProtocols: ['h2'] } });
      socket.removeAllListeners('data');
      return http2(new RawHttp2(scope, socket, frame(h2.SETTINGS, 0, 0, WINDOW)), path);
    },
  };

  const http1 = async (client: Client, path: string): Promise<Socket> => {
    client.socket.pause();
    await client.send(compose(path));
    return client.socket;
  };

  const http2 = async (client: RawHttp2, path: string): Promise<Socket> => {
    await client.frame(h2.SETTINGS);
    client.socket.pause();
    client.send(frame(h2.WINDOW_UPDATE, 0, 0, uint32(1 << 30)));
    client.request(1, path);
    return client.socket;
  };

  for (const [protocol, asks] of Object.entries(ask)) {
    for (const path of ['/large', '/proxied']) {
      test(`${protocol}: ${path}`, async () => {
        const descriptors = h.descriptors();
        const timeouts = h.lines('while sending to client').length;
        const socket = await asks(path);
        await until('the timeout', () => h.lines('while sending to client').length > timeouts);
        await until(
          () => `the end of the connection; ${h.descriptors()} descriptors, ${descriptors} before`,
          () => h.descriptors() <= descriptors,
          20_000,
        );
        socket.destroy();
      });
    }
  }

  test('the process leaves', async () => {
    for (const asks of Object.values(ask)) await asks('/proxied');
    h.signal('SIGQUIT');
    await until('the end of the process', () => !h.running, 20_000);
    assert.equal(h.lines('[alert]').length, 0);
  });
});
