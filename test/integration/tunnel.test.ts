/** Tunnels between two of us: every way, mixed groups, HTTP through them, reloads, keys, and connections that are cut. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { createServer as createHttpServer } from 'node:http';
import { makeSelfSigned } from '../../src/net/self-signed.ts';
import { freePort } from '../helpers/ports.ts';
import { Headrace } from '../helpers/headrace.ts';
import { Caller, call, echo, listen } from '../helpers/stream.ts';
import { type Scope, suiteScope, until, within } from '../helpers/wait.ts';

const MIB = 1024 * 1024;
const scope = suiteScope(after);
const pair = makeSelfSigned('far.test', Date.now());

/** Passes connections on and can cut them: the network between two proxies. */
class Network {
  readonly pairs = new Set<[Socket, Socket]>();
  cuts = 0;

  static async between(at: Scope, to: number): Promise<{ network: Network; port: number }> {
    const network = new Network();
    const server = createServer({ noDelay: true }, (near) => {
      const far = connect({ host: '127.0.0.1', port: to, noDelay: true });
      const both: [Socket, Socket] = [near, far];
      network.pairs.add(both);
      near.pipe(far);
      far.pipe(near);
      for (const socket of both) {
        socket.on('error', () => {});
        socket.once('close', () => network.#drop(both));
      }
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    at.after(() => {
      for (const both of network.pairs) network.#drop(both);
      server.close();
    });
    return { network, port: (server.address() as { port: number }).port };
  }

  #drop(both: [Socket, Socket]): void {
    if (!this.pairs.delete(both)) return;
    for (const socket of both) socket.destroy();
  }

  /** Resets one of the connections, with whatever is under way on it. */
  cut(): void {
    const [first] = [...this.pairs].sort(() => Math.random() - 0.5);
    if (first === undefined) return;
    this.cuts++;
    this.pairs.delete(first);
    for (const socket of first) socket.resetAndDestroy();
  }
}

describe('tunnels', () => {
  let far: Headrace;
  let near: Headrace;
  let network: Network;
  const key = 'tunnel_key edge 0123456789abcdef0123456789abcdef;';

  before(async () => {
    const app = await listen(scope, echo());
    const web = createHttpServer((request, response) => {
      request.on('data', () => {});
      request.on('end', () => response.end(`web ${request.url}`));
    });
    await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
    scope.after(() => web.close());
    const webPort = (web.address() as { port: number }).port;
    far = await Headrace.start(scope, () => '', {
      workers: 2,
      files: { 'far.crt': pair.cert, 'far.key': pair.key },
      stream: ({ port }) => `
        log_format line '$remote_addr $ssl_server_name $server_name $bytes_received $bytes_sent';
        access_log far.log line;
        proxy_half_close on;
        ssl_certificate far.crt; ssl_certificate_key far.key;
        server { listen 127.0.0.1:${port('tcp')} tunnel; proxy_pass 127.0.0.1:${app}; }
        server { listen 127.0.0.1:${port('tls')} ssl tunnel; server_name far.test; proxy_pass 127.0.0.1:${app}; }
        server { listen 127.0.0.1:${port('also')} tunnel=also; hello_timeout 200ms; proxy_pass 127.0.0.1:${app}; }
        server { listen 127.0.0.1:${port('theirs')} tunnel; tunnel_wire anyproxy; hello_from 127.0.0.1; proxy_pass 127.0.0.1:${app}; }
        server { listen 127.0.0.1:${port('both')} tunnel; tunnel_wire both; hello_from 127.0.0.1; proxy_pass 127.0.0.1:${app}; }
        server { listen 127.0.0.1:${port('keyed')} tunnel; ${key} proxy_pass 127.0.0.1:${app}; }
        server { listen 127.0.0.1:${port('told')} tunnel; hello_from 127.0.0.1; return "$remote_addr $hello_domain"; }
        server { listen 127.0.0.1:${port('web')} tunnel; proxy_pass 127.0.0.1:${webPort}; }`,
    });
    const cuttable = await Network.between(scope, far.port('tcp'));
    network = cuttable.network;
    near = await Headrace.start(
      scope,
      ({ port }) => `
        upstream web { server 127.0.0.1:${far.port('web')} via=tunnel+tcp; }
        server { listen 127.0.0.1:${port('web')}; location / { proxy_pass http://web; } }`,
      {
        workers: 2,
        files: { 'far.crt': pair.cert },
        stream: ({ port }) => `
          upstream tcp { server 127.0.0.1:${far.port('tcp')} via=tunnel+tcp; }
          upstream tls { server 127.0.0.1:${far.port('tls')} via=tunnel+tls ssl_name=far.test ssl_trusted=far.crt; }
          upstream mixed {
            server 127.0.0.1:${far.port('also')} via=tunnel+tcp;
            server 127.0.0.1:${far.port('also')};
          }
          upstream theirs { server 127.0.0.1:${far.port('theirs')} via=tunnel+tcp tunnel_wire=anyproxy; }
          upstream both {
            server 127.0.0.1:${far.port('both')} via=tunnel+tcp tunnel_wire=anyproxy;
            server 127.0.0.1:${far.port('both')} via=tunnel+tcp;
          }
          upstream keyed { ${key} server 127.0.0.1:${far.port('keyed')} via=tunnel+tcp; }
          upstream keyless { server 127.0.0.1:${far.port('keyed')} via=tunnel+tcp; }
          upstream plain { server 127.0.0.1:${far.port('tcp')}; }
          upstream told { server 127.0.0.1:${far.port('told')} via=tunnel+tcp hello=on; }
          upstream cut { server 127.0.0.1:${cuttable.port} via=tunnel+tcp tunnel_start_streams=5; }
          upstream beating {
            heartbeat interval=50ms timeout=5s fails=2;
            server 127.0.0.1:${far.port('told')} via=tunnel+tcp;
            server 127.0.0.1:${far.port('web')} via=tunnel+tcp;
          }
          ${['tcp', 'tls', 'mixed', 'theirs', 'both', 'keyed', 'keyless', 'plain', 'told', 'cut', 'beating']
            .map((name) => `server { listen 127.0.0.1:${port(name)}; proxy_pass ${name}; proxy_half_close on; }`)
            .join('\n')}`,
      },
    );
  });

  /** What comes back of bytes that are sent and echoed. */
  async function echoed(port: number, bytes: Buffer): Promise<Buffer> {
    const caller = await Caller.to(scope, port);
    caller.send(bytes);
    await until('all of it', () => caller.bytes.length >= bytes.length || caller.closed);
    caller.socket.end();
    await caller.rest();
    return caller.bytes;
  }

  for (const way of ['tcp', 'tls', 'mixed', 'theirs', 'both', 'keyed']) {
    test(`${way}: sessions one after the other, small and large`, async () => {
      for (const size of [1, 1000, 3 * MIB]) {
        const bytes = randomBytes(size);
        assert.ok((await echoed(near.port(way), bytes)).equals(bytes), `${size} bytes`);
      }
    });
  }

  test('the name of the TLS connection chooses the server, and the client is its other end', async () => {
    await far.logged('127.0.0.1 far.test far.test', 'far.log');
  });

  test('several sessions at a time', async () => {
    const all = Array.from({ length: 20 }, () => randomBytes(200_000));
    const back = await Promise.all(all.map((bytes) => echoed(near.port('tcp'), bytes)));
    assert.ok(back.every((bytes, i) => bytes.equals(all[i]!)));
  });

  test('without the key there is no tunnel, and where there are tunnels there is nothing else', async () => {
    assert.equal(await call(scope, near.port('keyless'), 'x'), '');
    assert.equal(await call(scope, near.port('plain'), 'bytes of an application'), '');
    await far.logged('no tunnel begins here');
  });

  test('where tunnels are also taken, who says nothing first is served', async () => {
    const caller = await Caller.to(scope, far.port('also'));
    await new Promise((resolve) => setTimeout(resolve, 400));
    caller.send('late');
    await caller.says('late');
    caller.socket.end();
  });

  test('a hello goes through the tunnel', async () => {
    const text = await call(scope, near.port('told'));
    assert.match(text, /^127\.0\.0\.1 /);
  });

  test('HTTP: connections that are kept go through the tunnel', async () => {
    for (let i = 0; i < 5; i++) {
      const answer = await fetch(`http://127.0.0.1:${near.port('web')}/${i}`);
      assert.equal(await answer.text(), `web /${i}`);
    }
  });

  test('heartbeats go through the tunnel: who reads no hello misses them', async () => {
    await near.logged(new RegExp(`peer is unhealthy while checking heartbeat.*:${far.port('web')} .*"beating"`));
    assert.equal(near.lines(`127.0.0.1:${far.port('told')} in upstream "beating"`).length, 0);
  });

  test('a reload: sessions go on, and new ones use the tunnel that is there', async () => {
    const caller = await Caller.to(scope, near.port('tcp'));
    caller.send('before');
    await caller.says('before');
    for (const h of [near, far]) {
      const count = h.lines('reconfiguring').length;
      h.signal('SIGHUP');
      await until('the reload', () => h.lines('reconfiguring').length > count);
    }
    for (let i = 0; i < 4; i++) {
      const bytes = randomBytes(50_000);
      assert.ok((await echoed(near.port('tcp'), bytes)).equals(bytes));
    }
    caller.send(' after');
    await caller.says('before after');
    caller.socket.end();
    await caller.rest();
  });

  test('an end of one side is passed on, and the other one may go on', async () => {
    const port = await freePort();
    await listen(
      scope,
      ({ socket }) => {
        let size = 0;
        socket.on('data', (data: Buffer) => (size += data.length));
        socket.on('end', () => socket.end(`got ${size}`));
      },
      port,
    );
    const h = await Headrace.start(scope, () => '', {
      stream: ({ port: name }) => `
        upstream far { server 127.0.0.1:${name('far')} via=tunnel+tcp; }
        server { listen 127.0.0.1:${name('near')}; proxy_pass far; proxy_half_close on; }
        server { listen 127.0.0.1:${name('far')} tunnel; proxy_pass 127.0.0.1:${port}; proxy_half_close on; }`,
    });
    const caller = await Caller.to(scope, h.port('near'));
    caller.send(randomBytes(100_000));
    caller.socket.end();
    assert.equal(await caller.rest(), 'got 100000');
  });

  test('bytes arrive whole while connections are cut', async (t) => {
    // The whole gibibyte: HEADRACE_TUNNEL_MIB=1024.
    const total = Number(process.env.HEADRACE_TUNNEL_MIB ?? 64) * MIB;
    const everyMs = total > 256 * MIB ? 1000 : 100;
    const chunk = randomBytes(MIB);
    const sent = createHash('sha256');
    const received = createHash('sha256');
    const socket = connect({ host: '127.0.0.1', port: near.port('cut') });
    t.after(() => socket.destroy());
    let back = 0;
    let most = 0;
    const errors: Error[] = [];
    socket.on('error', (error) => errors.push(error));
    socket.on('data', (data) => {
      received.update(data);
      back += data.length;
    });
    const ended = new Promise<void>((resolve) => socket.once('end', resolve));
    const cutter = setInterval(() => {
      most = Math.max(most, network.pairs.size);
      if (network.pairs.size > 1) network.cut();
    }, everyMs);
    t.after(() => clearInterval(cutter));
    for (let at = 0; at < total; at += chunk.length) {
      chunk.writeUInt32LE(at / chunk.length, at % 1000);
      sent.update(chunk);
      if (!socket.write(Buffer.from(chunk))) await new Promise((resolve) => socket.once('drain', resolve));
      assert.deepEqual(errors, []);
    }
    socket.end();
    await within(() => `the rest: ${back} of ${total}`, ended, 600_000);
    clearInterval(cutter);
    assert.equal(back, total);
    assert.equal(received.digest('hex'), sent.digest('hex'));
    assert.ok(network.cuts >= 2, `${network.cuts} cuts`);
    assert.ok(most >= 4, `${most} connections`);
    t.diagnostic(`${total / MIB} MiB, ${network.cuts} cuts, up to ${most} connections`);
  });
});
