/** What one HTTP/2 client may cost is bounded: each flood ends in a refusal, and others are served meanwhile. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import * as h2 from '../../src/http/wire/h2/constants.ts';
import { readUint32 } from '../../src/http/wire/h2/frame-reader.ts';
import { answering, Backend, ok } from '../helpers/backend.ts';
import { Headrace } from '../helpers/headrace.ts';
import { block, frame, RawHttp2, uint32 } from '../helpers/http2.ts';
import { suiteScope, until } from '../helpers/wait.ts';

const scope = suiteScope(after);

describe('HTTP/2: floods', () => {
  let h: Headrace;
  let port: number;

  before(async () => {
    const backend = await Backend.start(
      scope,
      answering(() => ok()),
    );
    h = await Headrace.start(
      scope,
      ({ port: at }) => `
        keepalive_requests 100000;
        client_header_timeout 1s;
        send_timeout 1s;
        client_body_timeout 1s;
        keepalive_timeout 30s;
        server {
          listen 127.0.0.1:${at('h2')};
          http2 on;
          location / { proxy_pass http://127.0.0.1:${backend.port}; }
          location /text { return 200 text; }
        }`,
    );
    port = h.port('h2');
  });

  after(() => assert.ok(h.running));

  /** Nobody else is worse off. */
  const stillServes = async (): Promise<void> => {
    const client = new RawHttp2(scope, port);
    client.request(1, '/text');
    assert.equal((await client.answer(1)).body.toString(), 'text');
    client.socket.destroy();
  };

  /** Sends the same bytes again and again until the connection ends. */
  const flood = async (client: RawHttp2, bytes: () => Buffer, most: number): Promise<number> => {
    let sent = 0;
    for (let k = 0; k < most && !client.closed && client.find(h2.GOAWAY) === undefined; k++) {
      const piece = bytes();
      sent += piece.length;
      if (!client.socket.write(piece)) {
        await until('the peer to take what is sent', () => client.closed || !client.socket.writableNeedDrain);
      }
    }
    return sent;
  };

  test('no flood: many requests, each few after the answers to those before', async () => {
    const client = new RawHttp2(scope, port);
    let id = -1;
    for (let k = 0; k < 8; k++) {
      for (let n = 0; n < 50; n++) client.request((id += 2), '/text');
      assert.equal((await client.answer(id)).status, 200);
    }
    assert.equal(client.find(h2.RST_STREAM), undefined);
    client.socket.destroy();
  });

  test('rapid reset', async () => {
    const client = new RawHttp2(scope, port);
    let id = -1;
    await flood(
      client,
      () => Buffer.concat([client.head((id += 2), '/'), frame(h2.RST_STREAM, 0, id, uint32(h2.CANCEL))]),
      5000,
    );
    assert.equal(await client.refused(), h2.ENHANCE_YOUR_CALM);
    await h.logged('client reset too many streams');
    await stillServes();
  });

  test('streams that the client makes us reset count as well', async () => {
    const client = new RawHttp2(scope, port);
    let id = -1;
    const window = uint32(h2.MAX_WINDOW);
    await flood(
      client,
      () => Buffer.concat([client.head((id += 2), '/'), frame(h2.WINDOW_UPDATE, 0, id, window)]),
      5000,
    );
    assert.equal(await client.refused(), h2.ENHANCE_YOUR_CALM);
    await stillServes();
  });

  test('more streams than were agreed, again and again', async () => {
    const client = new RawHttp2(scope, port);
    let id = -1;
    // Requests without their end: they stay open.
    await flood(client, () => client.head((id += 2), '/', [], h2.FLAG_END_HEADERS, 'POST'), 2000);
    assert.equal(await client.refused(), h2.NO_ERROR);
    const reset = client.find(h2.RST_STREAM);
    assert.equal(readUint32(reset!.payload, 0), h2.REFUSED_STREAM);
    await stillServes();
  });

  test('CONTINUATION without end, empty and full', async () => {
    const empty = new RawHttp2(scope, port);
    empty.send(empty.head(1, '/', [], h2.FLAG_END_STREAM));
    const nothing = Buffer.concat(Array.from({ length: 100 }, () => frame(h2.CONTINUATION, 0, 1)));
    await flood(empty, () => nothing, 1000);
    assert.equal(await empty.refused(), h2.ENHANCE_YOUR_CALM);

    const full = new RawHttp2(scope, port);
    full.send(full.head(1, '/', [], h2.FLAG_END_STREAM));
    const fields = frame(
      h2.CONTINUATION,
      0,
      1,
      block(Array.from({ length: 50 }, (_, i) => [`x-${i}`, 'y'.repeat(50)] as const)),
    );
    await flood(full, () => fields, 1000);
    assert.equal(await full.refused(), h2.ENHANCE_YOUR_CALM);
    await h.logged('client sent too large header');
    await stillServes();
  });

  test('a header bomb: one large line in the table, referred to again and again', async () => {
    const client = new RawHttp2(scope, port);
    const line = Buffer.concat([Buffer.from([0x40, 1, 0x61, 0x7f, 0xa1, 0x1e]), Buffer.alloc(4000, 'b')]);
    const refer = Buffer.alloc(12_000, 0xbe);
    client.send(frame(h2.HEADERS, 5, 1, Buffer.concat([Buffer.from('828684', 'hex'), line, refer])));
    assert.equal(await client.refused(), h2.ENHANCE_YOUR_CALM);
    await stillServes();
  });

  test('a string that announces more than any field may have', async () => {
    const client = new RawHttp2(scope, port);
    client.send(frame(h2.HEADERS, 5, 1, Buffer.from('828684407fff7f', 'hex')));
    assert.equal(await client.refused(), h2.ENHANCE_YOUR_CALM);
  });

  for (const [name, bytes] of [
    ['empty DATA', frame(h2.DATA, 0, 1)],
    ['PING', frame(h2.PING, 0, 0, '12345678')],
    ['SETTINGS', frame(h2.SETTINGS, 0, 0)],
    ['frames of unknown types', frame(0x77, 0, 0)],
    ['WINDOW_UPDATE of streams that are gone', frame(h2.WINDOW_UPDATE, 0, 7, uint32(1))],
  ] as const) {
    test(`${name}, again and again`, async () => {
      const client = new RawHttp2(scope, port);
      client.send(client.head(1, '/', [], h2.FLAG_END_HEADERS, 'POST'));
      const many = Buffer.concat(Array.from({ length: 100 }, () => bytes));
      await flood(client, () => many, 2000);
      assert.equal(await client.refused(), h2.ENHANCE_YOUR_CALM);
      await stillServes();
    });
  }

  test('PRIORITY, again and again', async () => {
    const client = new RawHttp2(scope, port);
    let id = 1;
    await flood(
      client,
      () => frame(h2.PRIORITY, 0, (id += 2), Buffer.concat([uint32(id - 2), Buffer.from([1])])),
      2000,
    );
    assert.equal(await client.refused(), h2.ENHANCE_YOUR_CALM);
  });

  test('windows that grow beyond what there is', async () => {
    const client = new RawHttp2(scope, port);
    client.send(frame(h2.WINDOW_UPDATE, 0, 0, uint32(h2.MAX_WINDOW)));
    assert.equal(await client.refused(), h2.FLOW_CONTROL_ERROR);
    const zero = new RawHttp2(scope, port);
    zero.send(frame(h2.WINDOW_UPDATE, 0, 0, uint32(0)));
    assert.equal(await zero.refused(), h2.PROTOCOL_ERROR);
    const setting = new RawHttp2(
      scope,
      port,
      frame(h2.SETTINGS, 0, 0, Buffer.concat([Buffer.from([0, 4]), uint32(0x80000000)])),
    );
    assert.equal(await setting.refused(), h2.FLOW_CONTROL_ERROR);
  });

  test('body for a stream that is not open', async () => {
    const client = new RawHttp2(scope, port);
    client.send(frame(h2.DATA, 0, 3, Buffer.alloc(16)));
    assert.equal(await client.refused(), h2.PROTOCOL_ERROR);
  });

  test('a window of nothing: the stream ends by send_timeout, the connection goes on', async () => {
    const client = new RawHttp2(scope, port, frame(h2.SETTINGS, 0, 0, Buffer.concat([Buffer.from([0, 4]), uint32(0)])));
    client.request(1, '/text');
    const reset = await client.frame(h2.RST_STREAM, 1);
    assert.equal(readUint32(reset.payload, 0), h2.PROTOCOL_ERROR);
    client.send(frame(h2.PING, 0, 0, 'still on'));
    assert.equal((await client.frame(h2.PING)).payload.toString(), 'still on');
  });

  test('a header block, and a body, that do not come to their end', async () => {
    const client = new RawHttp2(scope, port);
    client.send(client.head(1, '/', [], h2.FLAG_END_STREAM));
    assert.equal(readUint32((await client.frame(h2.RST_STREAM, 1)).payload, 0), h2.PROTOCOL_ERROR);
    const body = new RawHttp2(scope, port);
    body.send(body.head(1, '/', [['content-length', '10']], h2.FLAG_END_HEADERS, 'POST'), frame(h2.DATA, 0, 1, 'four'));
    assert.equal(readUint32((await body.frame(h2.RST_STREAM, 1)).payload, 0), h2.PROTOCOL_ERROR);
  });

  test('a client that never reads: what waits for it is bounded', async () => {
    const before_ = h.memory();
    const client = new RawHttp2(scope, port);
    await client.frame(h2.SETTINGS);
    client.socket.pause();
    const pings = Buffer.concat(Array.from({ length: 50 }, () => frame(h2.PING, 0, 0, '12345678')));
    let id = -1;
    // Requests in between, so that the pings alone are no flood.
    for (let k = 0; k < 400; k++) client.socket.write(Buffer.concat([client.head((id += 2), '/text'), pings]));
    await stillServes();
    assert.ok(h.memory() - before_ < 64 << 20, `${h.memory() - before_} bytes more`);
    client.socket.destroy();
  });
});
