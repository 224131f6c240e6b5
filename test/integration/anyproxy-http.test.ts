/** HTTP servers of an any-proxy configuration: passed on, files, texts, WebSocket, names. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { makeSelfSigned } from '../../src/net/self-signed.ts';
import { directory } from '../helpers/headrace.ts';
import { freePort } from '../helpers/ports.ts';
import { Caller } from '../helpers/stream.ts';
import { until } from '../helpers/wait.ts';

const BINARY = fileURLToPath(new URL('../../bin/headrace', import.meta.url));
const FENCE = '```';
const raw = (toml: string): string => `raw = r${FENCE}\n${toml}\n${FENCE}r;`;

test('HTTP: to a group, files, a text, an upgrade', async (t) => {
  const dir = directory(t);
  mkdirSync(join(dir, 'html'));
  writeFileSync(join(dir, 'html/1.txt'), 'a file');
  const { cert, key } = makeSelfSigned('www.example.cn', Date.now());
  writeFileSync(join(dir, 'c.pem'), cert);
  writeFileSync(join(dir, 'k.pem'), key);
  const backend = createServer((request, response) => response.end(`${request.headers.host} ${request.url}`));
  backend.on('upgrade', (_request, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\n');
    socket.on('data', (data) => socket.write(data));
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => backend.listen(0, '127.0.0.1', resolve));
  t.after(() => (backend.close(), backend.closeAllConnections()));
  const { port } = backend.address() as { port: number };
  const [web, files, text] = await Promise.all([freePort(), freePort(), freePort()]);
  writeFileSync(
    join(dir, 'a.conf'),
    `common {
      worker_threads usize = 1;
      pid str = ./headrace.pid;
    }
    upstream {
      server {
        name str = u;
        proxy_pass_tcp ${raw(`address = "127.0.0.1:${port}"`)}
      }
    }
    http {
      server {
        domain str = "www.example.cn";
        http_server_proxy ${raw('proxy_pass = {version = "http1.1"}')}
        domain_listen_tcp ${raw(`address = "127.0.0.1:${web}"`)}
        proxy_pass_upstream str = u;
        local {
        }
      }
      server {
        domain str = "$$(.*)";
        domain_listen_ssl ${raw(`address = "127.0.0.1:${files}"\nssl = {key = "./k.pem", cert = "./c.pem"}`)}
        local {
          http_server_static ${raw('path = "./html"')}
        }
      }
      server {
        port_listen_tcp ${raw(`address = "127.0.0.1:${text}"`)}
        net_server_http ${raw('')}
        local {
          net_server_http_echo ${raw('body = "hello\\nyou"')}
        }
      }
    }`,
  );
  const child = spawn(BINARY, ['-p', dir, '-c', 'a.conf'], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (one: string) => (said += one));
  t.after(() => child.kill('SIGKILL'));
  await until(
    () => `the pid file: ${said}`,
    () => existsSync(join(dir, 'headrace.pid')) || child.exitCode !== null,
  );
  assert.equal(child.exitCode, null, said);

  /** An answer, as bytes. */
  const ask = async (at: number, request: string): Promise<string> => {
    const caller = await Caller.to(t, at);
    caller.send(request);
    return caller.rest();
  };
  const get = (host: string, path = '/x'): string =>
    `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
  assert.match(await ask(web, get('www.example.cn', '/a?b')), /^HTTP\/1\.1 200 [^]*www\.example\.cn \/a\?b/);
  assert.match(await ask(web, get('other.cn')), /^HTTP\/1\.1 404 /, 'nobody has that name');
  assert.match(await ask(text, get('any')), /^HTTP\/1\.1 200 [^]*\r\n\r\nhello\nyou$/);

  const upgrade = await Caller.to(t, web);
  upgrade.send('GET /ws HTTP/1.1\r\nHost: www.example.cn\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\n');
  await upgrade.says('101 Switching Protocols');
  upgrade.send('both ways');
  await upgrade.says('both ways');
  upgrade.socket.destroy();

  const { request } = await import('node:https');
  const file = await new Promise<string>((resolve, reject) => {
    const sent = request(
      { host: '127.0.0.1', port: files, path: '/1.txt', servername: 'www.example.cn', rejectUnauthorized: false },
      (response) => {
        let body = '';
        response.on('data', (data) => (body += String(data)));
        response.on('end', () => resolve(`${response.statusCode} ${body}`));
      },
    );
    sent.on('error', reject);
    sent.end();
  });
  assert.equal(file, '200 a file');
});
