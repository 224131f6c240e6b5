/** examples/anyproxy: each file with real traffic. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { connect } from 'node:tls';
import { createServer as createTlsServer } from 'node:tls';
import { hasQuic } from '../../src/net/quic/package.ts';
import { makeSelfSigned } from '../../src/net/self-signed.ts';
import { Example } from '../helpers/example.ts';
import { inCi } from '../helpers/requires.ts';
import { Caller, call, echo, listen } from '../helpers/stream.ts';
import { until } from '../helpers/wait.ts';

/** Ports of tunnel-edge.conf: TCP, TLS, QUIC. */
const TRANSPORTS = [8080, 8081, 8082];

const WITHOUT_QUIC = hasQuic() || inCi() ? false : 'the package "deno" is not installed';

const pair = makeSelfSigned('www.example.cn', Date.now());

/** Examples that are to meet: their ports are the same. */
async function prepared(
  t: TestContext,
  ...names: string[]
): Promise<{ examples: Example[]; port: (n: number) => number }> {
  const ports = new Map<number, number>();
  const examples: Example[] = [];
  for (const name of names) {
    const example = await Example.prepare(t, 'anyproxy', name, ports);
    mkdirSync(join(example.dir, 'cert'), { recursive: true });
    writeFileSync(join(example.dir, 'cert/www.example.cn.key.pem'), pair.key);
    writeFileSync(join(example.dir, 'cert/www.example.cn.cert.pem'), pair.cert);
    examples.push(example);
  }
  return { examples, port: (n) => ports.get(n)! };
}

describe('examples/anyproxy', () => {
  test('port-mode: in turns, and without the server that is gone', async (t) => {
    const { examples, port } = await prepared(t, 'port-mode.conf');
    const [example] = examples;
    await listen(t, ({ socket }) => socket.end('one'), port(8081));
    let two = true;
    await listen(t, ({ socket }) => (two ? socket.end('two') : socket.destroy()), port(8082));
    await example!.start();
    const answers = [];
    for (let i = 0; i < 4; i++) answers.push(await call(t, port(8080)));
    assert.deepEqual([...answers].sort(), ['one', 'one', 'two', 'two']);
    two = false;
    example!.reload();
    await until('an answer after the reload', async () => (await call(t, port(8080))) === 'one');
  });

  test('domain-mode: by the name in the TLS hello, unread or ended here', async (t) => {
    const { examples, port } = await prepared(t, 'domain-mode.conf');
    const serve = async (name: string, at: number): Promise<void> => {
      const server = createTlsServer({ key: pair.key, cert: pair.cert }, (socket) => socket.end(name));
      server.on('tlsClientError', () => {});
      await new Promise<void>((resolve) => server.listen(port(at), '127.0.0.1', resolve));
      t.after(() => server.close());
    };
    await serve('b', 8083);
    await listen(
      t,
      ({ socket }) => void socket.once('data', (data) => socket.end(`a got ${String(data)}`)),
      port(8081),
    );
    await listen(
      t,
      ({ socket }) => void socket.once('data', (data) => socket.end(`a got ${String(data)}`)),
      port(8082),
    );
    await examples[0]!.start();

    /** All that is said over TLS to this name; null: the handshake fails. */
    const ask = (at: number, servername: string, text = ''): Promise<string | null> =>
      new Promise((resolve) => {
        const socket = connect({ host: '127.0.0.1', port: port(at), servername, rejectUnauthorized: false });
        let said = '';
        socket.on('secureConnect', () => text !== '' && socket.write(text));
        socket.on('data', (data) => (said += String(data)));
        socket.on('end', () => resolve(said === '' ? null : said));
        socket.on('error', () => resolve(null));
        socket.on('close', () => resolve(null));
      });
    assert.equal(await ask(8080, 'x.y.example.net'), 'b', 'passed through');
    assert.equal(await ask(8080, 'example.org'), null, 'nobody has that name');
    assert.equal(await ask(8043, 'www.example.cn', 'hello'), 'a got hello', 'ended here');
    assert.equal(await ask(8043, 'example.org'), null);
  });

  test('tunnel: two hops over each transport', { skip: WITHOUT_QUIC }, async (t) => {
    const { examples, port } = await prepared(t, 'tunnel-edge.conf', 'tunnel-proxy.conf');
    await listen(t, echo(), port(8099));
    for (const example of [...examples].reverse()) await example.start();
    for (const at of TRANSPORTS) {
      for (const size of [10, 2_000_000]) {
        const bytes = randomBytes(size);
        const caller = await Caller.to(t, port(at));
        caller.send(bytes);
        await until(`${size} bytes by ${at}`, () => caller.bytes.length >= size || caller.closed);
        assert.ok(caller.bytes.equals(bytes), `${size} bytes by ${at}`);
        caller.socket.destroy();
      }
    }
  });

  test('edge, proxy and origin: hello from hop to hop, heartbeats answered', async (t) => {
    const { examples, port } = await prepared(t, 'hello-edge.conf', 'hello-proxy.conf', 'hello-origin.conf');
    const seen: string[] = [];
    const onData = (caller: Caller): void =>
      void caller.socket.once('data', (data) => (seen.push(String(data)), caller.socket.end('origin')));
    await listen(t, onData, port(8099));
    for (const example of [...examples].reverse()) await example.start();
    assert.equal(await call(t, port(8080), 'bytes'), 'origin');
    assert.deepEqual(seen, ['bytes'], 'nothing but the client’s bytes');
    const lines = await Promise.all(
      examples.map((example) =>
        until('a line', () =>
          example
            .read('access.log')
            .split('\n')
            .find((line) => line !== ''),
        ),
      ),
    );
    assert.equal(new Set(lines).size, 1, `client, name and request id are the same everywhere: ${lines.join(' | ')}`);
    assert.match(lines[0]!, /^127\.0\.0\.1 www\.example\.cn \S+@\S+$/);
    // The proxy is gone: the edge's heartbeats tell so, and sessions are refused at once.
    await examples[1]!.stop();
    await until('the edge to know', async () => (await call(t, port(8080), 'x')) === '');
  });
});
