/**
 * Clients that come and go in every way there is, over plain connections, TLS and HTTP/2: none of them leaves memory or a
 * descriptor behind. All ways at once; with HEADRACE_CHAOS=long each of them by itself, many times.
 */
import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import * as h2 from '../../src/http/wire/h2/constants.ts';
import { makeCertificate } from '../helpers/certificate.ts';
import { Headrace } from '../helpers/headrace.ts';
import { helloBytes } from '../helpers/hello.ts';
import { block, frame, PREFACE, RawHttp2, uint32 } from '../helpers/http2.ts';
import { requires, requiresThat } from '../helpers/requires.ts';
import { type Scope, within } from '../helpers/wait.ts';
import { staysFlat } from './flat.ts';
import { LONG, TIMEOUT_MS } from './scale.ts';

const BIG = 2 * 1024 * 1024;
/** The short form has all kinds in each round. */
const AT_ONCE = LONG ? 25 : 6;
const WAVES = LONG ? 10 : 1;
const HTTP1 = ['http/1.1'];
const NOBODY: Scope = { after() {} };

/** Answers `/` shortly, `/big` with much, and `/never` not at all. */
async function startBackend(scope: Scope): Promise<number> {
  const sockets = new Set<Socket>();
  const big = Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${BIG}\r\n\r\n`), Buffer.alloc(BIG, 'x')]);
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    socket.setEncoding('latin1').on('data', (text: string) => {
      if (text.startsWith('GET /big')) socket.write(big);
      else if (text.startsWith('GET / ')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  scope.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** Once it is closed; what it was told is lost. */
async function gone(socket: Socket): Promise<void> {
  socket.on('error', () => {});
  socket.resume();
  if (!socket.closed) await within('the end', new Promise<void>((resolve) => socket.once('close', () => resolve())));
}

/** A connection as a mere stream: Node dies when one that carries TLS is reset. */
class Wire extends Duplex {
  readonly #raw: Socket;

  constructor(raw: Socket) {
    super();
    this.#raw = raw;
    raw.on('data', (data) => void (this.push(data) || raw.pause()));
    raw.on('end', () => this.push(null));
    raw.on('close', () => this.destroy());
  }

  override _read(): void {
    this.#raw.resume();
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#raw.write(chunk, () => done());
  }

  override _final(done: () => void): void {
    this.#raw.end(() => done());
  }

  override _destroy(_error: Error | null, done: () => void): void {
    this.#raw.destroy();
    done();
  }
}

interface Secured {
  raw: Socket;
  secure: TLSSocket;
}

/** `end`: in order. `cut`: by FIN alone. `stay`: the server has to close. */
type Leaving = 'end' | 'cut' | 'reset' | 'stay';

class Clients {
  readonly plain: number;
  readonly secure: number;
  /** TLS that waits for no more than a moment. */
  readonly hasty: number;
  readonly hello: Buffer;
  #ticket: Buffer | undefined;
  #ticket12: Buffer | undefined;

  constructor(h: Headrace, hello: Buffer) {
    this.plain = h.port('plain');
    this.secure = h.port('secure');
    this.hasty = h.port('hasty');
    this.hello = hello;
  }

  // -------------------------------------------------------------------------------------------------- bare bytes

  async #connected(port: number): Promise<Socket> {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    await within('a connection', once(socket, 'connect'));
    return socket;
  }

  /** Sends bytes, waits for as many, and leaves. */
  async #leaves(port: number, bytes: Buffer | string, how: Leaving, atLeast = 0): Promise<void> {
    const socket = await this.#connected(port);
    await new Promise<void>((resolve) => socket.write(bytes, () => resolve()));
    if (atLeast > 0) await received(socket, atLeast);
    await leave(socket, socket, how);
  }

  readonly ways: Record<string, () => Promise<void>> = {
    'plain: asks, and closes': () => this.#leaves(this.plain, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', 'end', 30),
    'plain: half a head, reset': () => this.#leaves(this.plain, 'GET / HTTP/1.1\r\nHo', 'reset'),
    'plain: a head, no body, reset': () =>
      this.#leaves(this.plain, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\nabc', 'reset'),
    'plain: reset in an answer': () => this.#leaves(this.plain, 'GET /big HTTP/1.1\r\nHost: a\r\n\r\n', 'reset', 9000),
    'plain: reset before an answer': () => this.#leaves(this.plain, 'GET /never HTTP/1.1\r\nHost: a\r\n\r\n', 'reset'),
    'plain: leaves before an answer': () => this.#leaves(this.plain, 'GET /never HTTP/1.1\r\nHost: a\r\n\r\n', 'end'),
    'plain: says nothing': () => this.#leaves(this.plain, '', 'reset'),

    'TLS: says nothing': () => this.#leaves(this.secure, '', 'reset'),
    'TLS: half a hello, reset': () => this.#leaves(this.secure, this.hello.subarray(0, 90), 'reset'),
    'TLS: half a hello, end': () => this.#leaves(this.secure, this.hello.subarray(0, 90), 'end'),
    'TLS: half a hello, then silence': () => this.#leaves(this.hasty, this.hello.subarray(0, 90), 'stay'),
    'TLS: a hello, reset': () => this.#leaves(this.secure, this.hello, 'reset'),
    'TLS: a hello, end': () => this.#leaves(this.secure, this.hello, 'end'),
    'TLS: reset after what the server said': () => this.#leaves(this.secure, this.hello, 'reset', 200),
    'TLS: a hello, then silence': () => this.#leaves(this.hasty, this.hello, 'stay'),
    'TLS: a hello, then nonsense': () =>
      this.#leaves(this.secure, Buffer.concat([this.hello, Buffer.alloc(300, 'n')]), 'stay'),
    'TLS: none': () => this.#leaves(this.secure, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', 'stay', 30),
    'TLS: nothing in common': () => this.#refused({ ciphers: 'ECDHE-RSA-AES128-SHA', maxVersion: 'TLSv1.2' }),
    'TLS: no protocol in common': () => this.#refused({ ALPNProtocols: ['gopher'] }),
    'TLS: a name that is refused': () => this.#refused({ servername: 'refused' }),
    'TLS 1.3: asks, and closes': () => this.#asks({}),
    'TLS 1.3: resumes': async () => {
      this.#ticket ??= await this.#newTicket({});
      await this.#asks({ session: this.#ticket });
    },
    'TLS 1.2: asks, and closes': () => this.#asks({ maxVersion: 'TLSv1.2' }),
    'TLS 1.2: resumes': async () => {
      this.#ticket12 ??= await this.#newTicket({ maxVersion: 'TLSv1.2' });
      await this.#asks({ maxVersion: 'TLSv1.2', session: this.#ticket12 });
    },
    'TLS: reset in an answer': () => this.#asks({}, '/big', 9000, 'reset'),
    'TLS: reset before an answer': () => this.#asks({}, '/never', 0, 'reset'),
    'TLS: ends before an answer': () => this.#asks({}, '/never', 0, 'end'),
    'TLS: ends without close_notify': () => this.#asks({}, '/', 30, 'cut'),

    'h2: asks, and closes': () => this.#http2((c) => c.request(1, '/'), 'end', 60),
    'h2: reset with streams open': () => this.#http2((c) => [1, 3, 5].map((id) => c.request(id, '/never')), 'reset'),
    'h2: ends with streams open': () => this.#http2((c) => [1, 3, 5].map((id) => c.request(id, '/never')), 'end'),
    'h2: reset in answers': () => this.#http2((c) => [1, 3].map((id) => c.request(id, '/big')), 'reset', 9000),
    'h2: resets streams': () =>
      this.#http2((c) => {
        for (const id of [1, 3, 5]) {
          c.request(id, id === 3 ? '/big' : '/never');
          c.send(frame(h2.RST_STREAM, 0, id, uint32(h2.CANCEL)));
        }
      }, 'end'),
    'h2: half a header block': () =>
      this.#http2((c) => c.send(frame(h2.HEADERS, 0, 1, block([[':method', 'GET']]))), 'reset'),
    'h2: a body that stops': () =>
      this.#http2((c) => {
        c.send(c.head(1, '/', [], h2.FLAG_END_HEADERS, 'POST'), frame(h2.DATA, 0, 1, 'some'));
      }, 'reset'),
    'h2: what is no frame': () => this.#http2((c) => c.send(frame(h2.DATA, 0, 1, 'none')), 'stay'),
    'h2: half a preface': () => this.#leaves(this.plain, PREFACE.subarray(0, 10), 'reset'),
    'h2 over TLS: reset with streams open': () => this.#secureHttp2((c) => c.request(1, '/never'), 'reset'),
    'h2 over TLS: reset in answers': () => this.#secureHttp2((c) => c.request(1, '/big'), 'reset', 9000),
    'h2 over TLS: asks, and closes': () => this.#secureHttp2((c) => c.request(1, '/'), 'end', 60),
  };

  // -------------------------------------------------------------------------------------------------- TLS

  /** TLS over a connection that can be cut. */
  #secured(options: ConnectionOptions): Secured {
    const raw = connect({ port: this.secure, host: '127.0.0.1', allowHalfOpen: true });
    const defaults = { servername: 'localhost', ALPNProtocols: HTTP1, rejectUnauthorized: false };
    const secure = connectTls({ ...defaults, ...options, socket: new Wire(raw) });
    raw.on('error', () => {});
    secure.on('error', () => {});
    return { raw, secure };
  }

  async #shaken(options: ConnectionOptions): Promise<Secured> {
    const secured = this.#secured(options);
    await within('a handshake', once(secured.secure, 'secureConnect'));
    return secured;
  }

  async #refused(options: ConnectionOptions): Promise<void> {
    await gone(this.#secured(options).secure);
  }

  async #asks(options: ConnectionOptions, path = '/', atLeast = 30, how: Leaving = 'end'): Promise<void> {
    const { raw, secure } = await this.#shaken(options);
    if (options.session !== undefined && !secure.isSessionReused()) throw new Error('the session was not resumed');
    secure.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    if (atLeast > 0) await received(secure, atLeast);
    await leave(raw, secure, how);
  }

  async #newTicket(options: ConnectionOptions): Promise<Buffer> {
    const { secure } = this.#secured(options);
    const session = once(secure, 'session') as Promise<[Buffer]>;
    await once(secure, 'secureConnect');
    secure.resume();
    const [ticket] = await within('a ticket', session);
    secure.destroy();
    return ticket;
  }

  // -------------------------------------------------------------------------------------------------- HTTP/2

  async #http2(act: (client: RawHttp2) => unknown, how: Leaving, atLeast = 0): Promise<void> {
    const socket = await this.#connected(this.plain);
    await speakHttp2(socket, act, atLeast);
    await leave(socket, socket, how);
  }

  async #secureHttp2(act: (client: RawHttp2) => unknown, how: Leaving, atLeast = 0): Promise<void> {
    const { raw, secure } = await this.#shaken({ ALPNProtocols: ['h2'] });
    await speakHttp2(secure, act, atLeast);
    await leave(raw, secure, how);
  }
}

async function speakHttp2(socket: Socket, act: (client: RawHttp2) => unknown, atLeast: number): Promise<void> {
  act(new RawHttp2(NOBODY, socket));
  // SETTINGS come in any case.
  await received(socket, Math.max(atLeast, h2.FRAME_HEAD));
}

async function leave(raw: Socket, over: Socket, how: Leaving): Promise<void> {
  if (how === 'end') over.end();
  else if (how === 'cut') raw.end();
  else if (how === 'reset') raw.resetAndDestroy();
  await gone(raw);
  if (over !== raw) over.destroy();
}

/** Reads so many bytes; then the other side is left to fill its buffers. */
async function received(socket: Socket, n: number): Promise<void> {
  let count = 0;
  await within(
    () => `${n} bytes, ${count} came`,
    new Promise<void>((resolve, reject) => {
      const done = (): void => {
        socket.off('data', take);
        resolve();
      };
      const take = (data: Buffer): void => {
        count += data.length;
        if (count >= n) done();
      };
      socket.on('data', take);
      socket.once('close', () => (count >= n ? done() : reject(new Error(`closed after ${count} bytes, not ${n}`))));
    }),
  );
  socket.pause();
}

test('clients that leave in every way leave nothing behind', { timeout: TIMEOUT_MS }, async (t) => {
  const openssl = requires(t, 'openssl');
  if (openssl === null || !requiresThat(t, process.platform === 'linux', 'Linux (/proc)')) return;
  const backend = await startBackend(t);
  const { certificate, key } = makeCertificate(openssl, 'localhost');
  const h = await Headrace.start(
    t,
    ({ port }) => `
      upstream u { zone u 64k; keepalive 8; server 127.0.0.1:${backend} max_fails=0; }
      keepalive_timeout 2s; http2 on; proxy_http_version 1.1; proxy_set_header Connection "";
      ssl_certificate cert.pem; ssl_certificate_key key.pem; ssl_protocols TLSv1.2 TLSv1.3;
      server { listen 127.0.0.1:${port('plain')}; listen 127.0.0.1:${port('secure')} ssl;
        server_name localhost; location / { proxy_pass http://u; } }
      server { listen 127.0.0.1:${port('secure')} ssl; server_name refused; ssl_reject_handshake on; }
      server { listen 127.0.0.1:${port('hasty')} ssl; client_header_timeout 500ms; }`,
    { workers: 1, logLevel: 'crit', measured: true, files: { 'cert.pem': certificate, 'key.pem': key } },
  );
  const hello = await helloBytes({ servername: 'localhost', ALPNProtocols: HTTP1, rejectUnauthorized: false });
  const clients = new Clients(h, hello);
  const only = process.env.HEADRACE_CHAOS_WAY;
  const ways = Object.entries(clients.ways).filter(([name]) => only === undefined || name.includes(only));
  const parts = LONG ? ways.map((way) => [way]) : [ways];
  for (const part of parts) {
    const name = part.length === 1 ? part[0]![0] : `${part.length} ways`;
    await t.test(name, async (t2) => {
      await staysFlat(t2, h, { rounds: 10, warm: 6, each: part.length * AT_ONCE * WAVES, kept: 10 }, async () => {
        for (let wave = 0; wave < WAVES; wave++)
          await Promise.all(
            Array.from({ length: AT_ONCE * part.length }, async (_, i) => {
              const [way, act] = part[i % part.length]!;
              try {
                await act();
              } catch (error) {
                throw new Error(way, { cause: error });
              }
            }),
          );
      });
    });
  }
});
