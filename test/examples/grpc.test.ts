/** examples/grpc, with its own service and Node's HTTP/2 client. */
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { test } from 'node:test';
import { decode, encode, startService } from '../../examples/grpc/backend.ts';
import { Example } from '../helpers/example.ts';
import { until, within } from '../helpers/wait.ts';

test('a gRPC service on two servers', async (t) => {
  const example = await Example.prepare(t, 'grpc');
  const first = await startService(example.port(8081));
  const second = await startService(example.port(8082));
  t.after(() => (first.close(), second.close()));
  await example.start();
  const session = http2.connect(`http://127.0.0.1:${example.port(8080)}`);
  t.after(() => session.destroy());

  interface Answer {
    texts: string[];
    status: string | undefined;
  }

  /** A call: each message is sent when the one before it was answered. */
  const call = async (path: string, ...messages: string[]): Promise<Answer> => {
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    const answer: Answer = { texts: [], status: undefined };
    const closed = new Promise<void>((resolve) => stream.once('close', resolve));
    let held: Buffer = Buffer.alloc(0);
    stream.on('response', (headers) => (answer.status = headers['grpc-status'] as string | undefined));
    stream.on('trailers', (trailers) => (answer.status = trailers['grpc-status'] as string | undefined));
    stream.on('data', (data: Buffer) => {
      const { texts, rest } = decode(Buffer.concat([held, data]));
      held = rest;
      answer.texts.push(...texts);
    });
    for (const [k, message] of messages.entries()) {
      stream.write(encode(message));
      await until('an answer', () => answer.texts.length > k || stream.closed);
    }
    stream.end();
    await within(path, closed);
    return answer;
  };

  // One connection of the client, both servers.
  const from = new Set<string>();
  for (let k = 0; k < 4; k++) {
    const { texts, status } = await call('/greeter.Greeter/Hello', `n${k}`);
    assert.equal(status, '0');
    assert.match(texts[0]!, new RegExp(`^hello n${k}, from \\d+$`));
    from.add(texts[0]!.split(' ').at(-1)!);
  }
  assert.equal(from.size, 2);

  const chat = await call('/greeter.Greeter/Chat', 'one', 'two', 'three');
  assert.deepEqual(
    chat.texts.map((text) => text.split(',')[0]),
    ['hello one', 'hello two', 'hello three'],
  );
  assert.equal(chat.status, '0');
  assert.equal((await call('/greeter.Greeter/Nothing')).status, '12');
  assert.equal((await call('/other.Service/Call')).status, '12');

  // A server that says that it does not serve gets no calls.
  first.serving = false;
  await until('one server', async () => {
    const seen = new Set<string>();
    for (let k = 0; k < 4; k++) seen.add((await call('/greeter.Greeter/Hello', 'x')).texts[0]!);
    return seen.size === 1 && [...seen][0]!.endsWith(String(example.port(8082)));
  });

  // One server is away: calls go on. Both are: a status that clients understand.
  first.close();
  // But for a call that was on its way there: what streams cannot be sent twice.
  await until('calls to go on', async () => {
    for (let k = 0; k < 4; k++) if ((await call('/greeter.Greeter/Hello', 'x')).status !== '0') return false;
    return true;
  });
  second.close();
  await until('a status', async () => (await call('/greeter.Greeter/Hello')).status === '14');
  await until('the log', () =>
    /"POST \/greeter.Greeter\/Hello HTTP\/2\.0" 200 grpc=0/.test(example.read('access.log')),
  );
});
