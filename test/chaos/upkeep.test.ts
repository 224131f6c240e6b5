/** What goes on without clients leaves nothing behind, however often it happens: reloads, and probes with every outcome. */
import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { test } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import { makeCertificate } from '../helpers/certificate.ts';
import { ask } from '../helpers/client.ts';
import { Headrace } from '../helpers/headrace.ts';
import { text } from '../helpers/http1.ts';
import { requires, requiresThat } from '../helpers/requires.ts';
import { type Scope, until } from '../helpers/wait.ts';
import { staysFlat } from './flat.ts';
import { LONG, TIMEOUT_MS } from './scale.ts';

const RELOADS = LONG ? 50 : 10;
const PROBES = LONG ? 500 : 12;
const OK = Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');

interface Probed {
  port: number;
  /** Connections, or requests where connections are kept. */
  count: number;
}

/** A server that does the same with each request. */
async function probed(
  scope: Scope,
  act: (socket: Socket) => void,
  server: Server = createServer({ allowHalfOpen: false }),
): Promise<Probed> {
  const sockets = new Set<Socket>();
  const about: Probed = { port: 0, count: 0 };
  server.on('connection', (socket: Socket) => {
    about.count++;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  const serve = (socket: Socket): void => {
    socket.on('error', () => {});
    socket.on('data', () => act(socket));
  };
  server.on('secureConnection', serve);
  if (server.listenerCount('secureConnection') > 0 && 'setSecureContext' in server)
    server.on('tlsClientError', () => {});
  else server.on('connection', serve);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  scope.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  about.port = (server.address() as AddressInfo).port;
  return about;
}

test('probes leave nothing behind, whatever comes of them', { timeout: TIMEOUT_MS }, async (t) => {
  const openssl = requires(t, 'openssl');
  if (openssl === null || !requiresThat(t, process.platform === 'linux', 'Linux (/proc)')) return;
  const { certificate, key } = makeCertificate(openssl, 'localhost');
  const say =
    (bytes: Buffer | string) =>
    (socket: Socket): void =>
      void socket.write(bytes);
  const kept: Probed = await probed(t, (socket) => {
    kept.count++;
    socket.write(OK);
  });
  const servers = {
    good: await probed(t, say(OK)),
    kept,
    hanging: await probed(t, () => {}),
    resetting: await probed(t, (socket) => void socket.resetAndDestroy()),
    nonsense: await probed(t, say('nonsense\r\n\r\n')),
    cut: await probed(t, (socket) => void socket.end('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx')),
    secure: await probed(t, say(OK), createTlsServer({ cert: certificate, key })),
    insecure: await probed(t, say('HTTP/1.1 400 no TLS\r\n\r\n')),
    stream: await probed(t, say('+ok\r\n')),
    streamHanging: await probed(t, () => {}),
  };
  const http = ['good', 'kept', 'hanging', 'resetting', 'nonsense', 'cut', 'secure', 'insecure'] as const;
  const stream = ['stream', 'streamHanging'] as const;
  const upstream = (name: keyof typeof servers): string =>
    `upstream ${name} { zone ${name} 64k; server 127.0.0.1:${servers[name].port}; }`;
  const h = await Headrace.start(
    t,
    ({ port }) => `
      proxy_connect_timeout 1s; proxy_read_timeout 50ms;
      ${http.map(upstream).join('\n')}
      upstream refused { zone refused 64k; server 127.0.0.1:${port('nobody')}; }
      server { listen 127.0.0.1:${port('main')};
        ${[...http, 'refused']
          .map((name) => {
            const scheme = name === 'secure' || name === 'insecure' ? 'https' : 'http';
            const more = name === 'kept' ? 'keepalive_time=1m' : '';
            return `location /${name} { proxy_pass ${scheme}://${name}; health_check interval=20ms ${more}; }`;
          })
          .join('\n')} }`,
    {
      workers: 1,
      logLevel: 'crit',
      measured: true,
      stream: ({ port }) => `
        match greeting { send "hello"; expect "+ok"; }
        ${stream.map(upstream).join('\n')}
        ${stream
          .map(
            (name) => `server { listen 127.0.0.1:${port(name)}; proxy_pass ${name};
              health_check interval=20ms match=greeting; health_check_timeout 50ms; }`,
          )
          .join('\n')}`,
    },
  );
  const all = Object.values(servers);
  // Those that are under way when they are counted: the connection kept, and one probe for each server.
  const rounds = { rounds: 10, warm: 6, each: PROBES * all.length, kept: 2 * (all.length + 1) };
  await staysFlat(t, h, rounds, async () => {
    const before = all.map(({ count }) => count);
    await until(
      () => `${PROBES} probes of each: ${all.map(({ count }, i) => count - before[i]!).join(' ')}`,
      () => all.every(({ count }, i) => count - before[i]! >= PROBES),
    );
  });
});

test('reloads leave nothing behind', { timeout: TIMEOUT_MS }, async (t) => {
  const openssl = requires(t, 'openssl');
  if (openssl === null || !requiresThat(t, process.platform === 'linux', 'Linux (/proc)')) return;
  const { certificate, key } = makeCertificate(openssl, 'localhost');
  const backend = await probed(t, (socket) => void socket.write(OK));
  let generation = 0;
  const http = ({ port, dir }: { port: (name: string) => number; dir: string }): string => `
    proxy_cache_path ${dir}/cache keys_zone=c:1m; limit_req_zone $arg_a zone=r:1m rate=1000r/s;
    map $arg_x $mapped { default ${generation}; ~^a(?<rest>.*) $rest; }
    log_format own '$remote_addr $mapped'; access_log off;
    upstream u { zone u 64k; keepalive 4; server 127.0.0.1:${backend.port} weight=${1 + (generation % 3)};
      server 127.0.0.1:${backend.port} weight=${1 + (generation % 2)}; }
    server { listen 127.0.0.1:${port('main')}; listen 127.0.0.1:${port('secure')} ssl; http2 on;
      ssl_certificate cert.pem; ssl_certificate_key key.pem;
      location / { proxy_cache c; limit_req zone=r burst=1000; proxy_pass http://u; }
      location = /generation { return 200 $mapped; }
      location ~ ^/(.*)x$ { rewrite ^/(.*) /; return 200 $1; } }`;
  const h = await Headrace.start(t, http, {
    workers: 1,
    logLevel: 'crit',
    measured: true,
    files: { 'cert.pem': certificate, 'key.pem': key },
    stream: ({ port }) => `server { listen 127.0.0.1:${port('stream')}; proxy_pass 127.0.0.1:${backend.port}; }`,
  });
  await staysFlat(t, h, { rounds: 10, warm: 6, each: RELOADS, kept: 8 }, async () => {
    for (let i = 0; i < RELOADS; i++) {
      generation++;
      h.configure(http);
      h.signal('SIGHUP');
      await until(
        () => `generation ${generation}; ${h.errorLog()}`,
        async () => text(await ask(t, h.port('main'), '/generation')) === String(generation),
      );
      await ask(t, h.port('main'), '/');
      await ask(t, h.port('secure'), '/', { client: { tls: { servername: 'localhost' } } });
    }
  });
});
