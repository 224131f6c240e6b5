/** QUIC through the helper (quinn), alone and with an independent implementation (quiche, by @currentspace/http3). */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { after, before, describe, test } from 'node:test';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { transportOf } from '../../../src/net/pipe.ts';
import { DEFAULT_QUIC_CLIENT, QuicClient, QuicHelpers } from '../../../src/net/quic/client.ts';
import type { QuicClientOptions } from '../../../src/net/quic/client.ts';
import { QuicFrameReader, QUIC_FIN, QUIC_RESET, quicPiece, quicSign } from '../../../src/net/quic/frames.ts';
import { DEFAULT_QUIC_LISTEN, QuicListener } from '../../../src/net/quic/listener.ts';
import type { QuicListenOptions } from '../../../src/net/quic/protocol.ts';
import { hasQuic } from '../../../src/net/quic/package.ts';
import type { QuicSocket } from '../../../src/net/quic/stream.ts';
import { TunnelClient } from '../../../src/net/tunnel/client.ts';
import { DEFAULT_TUNNEL_CLIENT, DEFAULT_TUNNEL_SERVER } from '../../../src/net/tunnel/options.ts';
import { TunnelServer } from '../../../src/net/tunnel/server.ts';
import { makeCertificate } from '../../helpers/certificate.ts';
import type { MadeCertificate } from '../../helpers/certificate.ts';
import { findProgram, inCi } from '../../helpers/requires.ts';
import { assertEchoed, echo, exchange, open } from '../../helpers/tunnel.ts';
import { until, within } from '../../helpers/wait.ts';

/** What is used here of the independent implementation. */
interface Quiche {
  connectQuicAsync(authority: string, options: object): Promise<{ openStream(): Duplex; close(): Promise<void> }>;
  createQuicServer(options: object): {
    on(event: 'session', listener: (session: QuicheSession) => void): void;
    listen(port: number, host: string): Promise<{ port: number }>;
    close(): Promise<void>;
  };
}

interface QuicheSession {
  on(event: 'stream', listener: (stream: Duplex) => void): void;
}

/** Skips the test without it; in CI that is a failure. */
function quiche(t: { skip(reason: string): void }): Quiche | null {
  try {
    return createRequire(join(import.meta.dirname, 'peer', 'x.cjs'))('@currentspace/http3') as Quiche;
  } catch (error) {
    if (inCi()) throw error;
    t.skip('test/net/quic/peer is not installed');
    return null;
  }
}

const openssl = findProgram('openssl');
const skip = inCi()
  ? false
  : openssl === null
    ? 'openssl is not installed'
    : hasQuic()
      ? false
      : 'the optional package "deno" is not installed';

test('what goes between worker and helper is read in any pieces, and nonsense is told', () => {
  const bytes = Buffer.concat([
    Buffer.from('{"a":1}\n'),
    quicPiece(Buffer.from('hello')),
    quicPiece(Buffer.alloc(70_000, 1)),
    quicSign(QUIC_FIN),
    quicSign(QUIC_RESET),
  ]);
  for (const size of [1, 3, 7, 1000, bytes.length]) {
    const seen: string[] = [];
    let count = 0;
    const reader = new QuicFrameReader({
      onLine: (line) => void seen.push(line),
      onBytes: (buf) => void (count += buf.length),
      onSign: (sign) => void seen.push(String(sign)),
    });
    for (let at = 0; at < bytes.length; at += size) assert.ok(reader.feed(bytes.subarray(at, at + size)));
    assert.deepEqual(seen, ['{"a":1}', '0', '4294967295']);
    assert.equal(count, 70_005);
  }
  const nobody = { onLine() {}, onBytes() {}, onSign() {} };
  assert.ok(!new QuicFrameReader(nobody).feed(Buffer.alloc(70_000, 65)), 'a line without end');
  assert.ok(!new QuicFrameReader(nobody).feed(Buffer.concat([Buffer.from('\n'), Buffer.from([0, 255, 255, 255])])));
});

describe('QUIC', { skip }, () => {
  const log: string[] = [];
  let helpers: QuicHelpers;
  let made: MadeCertificate;
  before(() => {
    made = makeCertificate(openssl!, 'a.test');
    helpers = new QuicHelpers((level, text) => log.push(`${level} ${text}`));
  });
  after(() => helpers.close());

  async function listen(
    onStream: (stream: QuicSocket) => void,
    options: Partial<QuicListenOptions> = {},
  ): Promise<QuicListener> {
    const { certificate, key } = made;
    const listener = new QuicListener(
      { ...DEFAULT_QUIC_LISTEN, host: '127.0.0.1', port: 0, certificate, key, ...options },
      helpers.get('public'),
      (stream) => {
        stream.on('error', (error) => log.push(`stream ${error.message}`));
        onStream(stream);
      },
    );
    await listener.listen();
    return listener;
  }

  function client(port: number, options: Partial<QuicClientOptions> = {}, name = 'a.test') {
    const quic = new QuicClient({ ...DEFAULT_QUIC_CLIENT, trusted: made.certificate, ...options }, helpers);
    return { open: quic.dial({ host: '127.0.0.1', port, localAddress: null }, name) };
  }

  test('bytes and ends go both ways; name, protocol and addresses are known', async (t) => {
    const streams: QuicSocket[] = [];
    const listener = await listen((stream) => {
      streams.push(stream);
      stream.pipe(stream);
    });
    t.after(() => listener.close());
    const transport = await open(client(listener.port));
    assertEchoed(await exchange(transport, 3_000_000), 3_000_000);
    const [stream] = streams;
    assert.deepEqual([stream!.serverName, stream!.alpn, stream!.remoteAddress], ['a.test', 'ALPN', '127.0.0.1']);
    assert.equal(transport.remotePort, listener.port);
  });

  test('the server speaks on after our end', async (t) => {
    const listener = await listen((stream) => {
      let size = 0;
      stream.on('data', (chunk: Buffer) => (size += chunk.length));
      stream.on('end', () => stream.end(`${size}`));
    });
    t.after(() => listener.close());
    const result = await exchange(await open(client(listener.port)), 500_000);
    assert.deepEqual([result.received, result.error], [6, null]);
  });

  test('a certificate is checked: who signed it, and for whom it is', async (t) => {
    const listener = await listen((stream) => stream.pipe(stream));
    t.after(() => listener.close());
    const other = makeCertificate(openssl!, 'a.test');
    await assert.rejects(
      open(client(listener.port, { trusted: other.certificate })),
      /QUIC handshake failed.*certificate/,
    );
    await assert.rejects(open(client(listener.port, {}, 'b.test')), /QUIC handshake failed.*certificate/);
    await assert.rejects(open(client(listener.port, { trusted: null })), /QUIC handshake failed.*certificate/);
    const unchecked = client(listener.port, { trusted: null, verify: false }, 'c.test');
    assertEchoed(await exchange(await open(unchecked), 1000), 1000);
    await assert.rejects(open(client(listener.port, { alpn: ['other'] })), /QUIC handshake failed/);
  });

  test('who does not read holds up who writes', async (t) => {
    const streams: QuicSocket[] = [];
    const listener = await listen((stream) => void streams.push(stream));
    t.after(() => listener.close());
    const transport = await open(client(listener.port));
    const chunk = Buffer.alloc(65_536, 1);
    let taken = 0;
    let held = false;
    transport.owner = {
      onData() {},
      onEnd() {},
      onDrain: () => (held = false),
      onClose() {},
    };
    let before = -1;
    // It is over when nothing has moved for a while.
    await until('it is held', async () => {
      before = taken;
      for (let i = 0; i < 64 && !held; i++) {
        taken += chunk.length;
        held = transport.write(chunk, 0, chunk.length) === 1;
      }
      await new Promise((resolve) => setTimeout(resolve, 250));
      return held && taken === before;
    });
    assert.ok(taken < 16 * 1024 * 1024, `${taken}`);
    let read = 0;
    streams[0]!.on('data', (data: Buffer) => (read += data.length));
    await until('all has come', () => read === taken);
    transport.destroy(true);
  });

  test('a reset is seen as one, both ways', async (t) => {
    const streams: QuicSocket[] = [];
    const listener = await listen((stream) => {
      streams.push(stream);
      stream.on('data', (chunk: Buffer) => {
        if (chunk.includes('cut')) stream.resetAndDestroy();
      });
    });
    t.after(() => listener.close());
    const first = await open(client(listener.port));
    const closed = new Promise<Error | null>((resolve) => {
      first.owner = { onData() {}, onEnd() {}, onDrain() {}, onClose: resolve };
    });
    first.write(Buffer.from('cut'), 0, 3);
    assert.match((await within('the reset', closed))!.message, /reset|reads no more/);
    const second = await open(client(listener.port));
    second.write(Buffer.from('x'), 0, 1);
    await until('it has come', () => streams.length === 2);
    second.destroy(true);
    await until('it is seen', () => streams[1]!.errored !== null);
  });

  test('another certificate on the same port: streams go on', async () => {
    const first = await listen((stream) => stream.pipe(stream));
    const { port } = first;
    const old = await open(client(port));
    const got: Buffer[] = [];
    const closed = new Promise<Error | null>((resolve) => {
      old.owner = {
        onData: (buf, start, end) => void got.push(Buffer.from(buf.subarray(start, end))),
        onEnd() {},
        onDrain() {},
        onClose: resolve,
      };
    });
    old.write(Buffer.from('one'), 0, 3);
    await until('it comes back', () => got.length > 0);
    first.close();
    const next = makeCertificate(openssl!, 'b.test');
    const second = await listen((stream) => stream.pipe(stream), { ...next, port });
    assert.equal(second.port, port);
    const fresh = client(port, { trusted: next.certificate }, 'b.test');
    assertEchoed(await exchange(await open(fresh), 1000), 1000);
    old.write(Buffer.from('two'), 0, 3);
    await until('the old one goes on', () => Buffer.concat(got).toString() === 'onetwo');
    old.end();
    assert.equal(await within('its end', closed), null);
    second.close();
  });

  test('a port where nobody listens any more is free', async (t) => {
    const gone = await listen(() => {});
    gone.close();
    const own = new QuicHelpers(() => {});
    t.after(() => own.close());
    await until('another process may have it', () => {
      const { certificate, key } = made;
      const options = { ...DEFAULT_QUIC_LISTEN, host: '127.0.0.1', port: gone.port, certificate, key };
      return new QuicListener(options, own.get('public'), () => {}).listen().then(
        () => true,
        () => false,
      );
    });
  });

  test('nobody there: a failure, not a wait', async () => {
    const gone = await listen(() => {});
    gone.close();
    // The helper hears of the end a moment later.
    const failure = await until('the failure', async () => {
      const late = client(gone.port, { idleMs: 300, keepAliveMs: 100 });
      try {
        (await within('an outcome', open(late), 20_000)).destroy();
        return null;
      } catch (error) {
        return (error as Error).message;
      }
    });
    assert.match(failure, /QUIC handshake failed/);
    await assert.rejects(listen(() => {}, { certificate: 'nonsense' }));
  });

  test('a tunnel over QUIC', async (t) => {
    const server = new TunnelServer(DEFAULT_TUNNEL_SERVER, echo, () => {});
    const listener = await listen((stream) => server.accept(transportOf(stream), Buffer.alloc(0)));
    const { open: dial } = client(listener.port);
    const tunnel = new TunnelClient({ ...DEFAULT_TUNNEL_CLIENT, startStreams: 3 }, dial, () => {});
    t.after(() => {
      tunnel.close();
      listener.close();
    });
    const result = await exchange(await open(tunnel), 5_000_000);
    assertEchoed(result, 5_000_000);
    await until('all are idle', () => tunnel.idle >= 1);
    assertEchoed(await exchange(await open(tunnel), 5000), 5000);
  });

  test('quiche connects to us', async (t) => {
    const peer = quiche(t);
    if (peer === null) return;
    const listener = await listen((stream) => stream.pipe(stream));
    const session = await peer.connectQuicAsync(`127.0.0.1:${listener.port}`, {
      ca: made.certificate,
      servername: 'a.test',
      alpn: ['ALPN'],
      runtimeMode: 'portable',
    });
    t.after(async () => {
      await session.close();
      listener.close();
    });
    const stream = session.openStream();
    const sent = Buffer.alloc(300_000, 'quiche ');
    const got: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => void got.push(chunk));
    stream.end(sent);
    await within('the echo', new Promise((resolve) => void stream.once('end', resolve)));
    assert.ok(Buffer.concat(got).equals(sent));
  });

  test('we connect to quiche', async (t) => {
    const peer = quiche(t);
    if (peer === null) return;
    const server = peer.createQuicServer({
      key: made.key,
      cert: made.certificate,
      alpn: ['ALPN'],
      runtimeMode: 'portable',
      disableRetry: true,
    });
    server.on('session', (session) => session.on('stream', (stream) => void stream.pipe(stream)));
    const { port } = await server.listen(0, '127.0.0.1');
    t.after(() => server.close());
    assertEchoed(await exchange(await open(client(port)), 300_000), 300_000);
  });

  test('a helper that dies ends its streams with an error, and listens again', async (t) => {
    const own = new QuicHelpers(() => {});
    t.after(() => own.close());
    const { certificate, key } = made;
    let streams = 0;
    const listener = new QuicListener(
      { ...DEFAULT_QUIC_LISTEN, host: '127.0.0.1', port: 0, certificate, key },
      own.get('public'),
      (stream) => {
        streams++;
        stream.on('error', () => {});
        stream.pipe(stream);
      },
    );
    await listener.listen();
    const { port } = listener;
    const transport = await open(client(port, { idleMs: 1500, keepAliveMs: 300 }));
    const closed = new Promise<Error | null>((resolve) => {
      transport.owner = { onData() {}, onEnd() {}, onDrain() {}, onClose: resolve };
    });
    transport.write(Buffer.from('x'), 0, 1);
    await until('it has come', () => streams === 1);
    own.get('public').kill();
    assert.notEqual(await within('the end', closed), null);
    await until('it listens again', async () => {
      const again = await open(client(port, { idleMs: 500, keepAliveMs: 100 })).catch(() => null);
      if (again === null) return false;
      assertEchoed(await exchange(again, 1000), 1000);
      return true;
    });
  });
});
