/** A ring whose thread is not in a hurry: all comes, and not one by one. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { createServer } from 'node:net';
import { dial, useRing } from '../../src/net/dial.ts';
import { IoUring } from '../../src/net/io-uring.ts';
import { suiteScope, until } from '../helpers/wait.ts';

const scope = suiteScope(after);
const PATIENCE_MS = 100;
const ring = IoUring.open(PATIENCE_MS);
if (typeof ring !== 'string') useRing(ring);

test('what comes is looked at when patience is over', { skip: typeof ring === 'string' ? ring : false }, async () => {
  const sentAt: number[] = [];
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (data) => {
      sentAt.push(performance.now());
      socket.write(data);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  scope.after(() => server.close());
  const { port } = server.address() as { port: number };
  const cameAt: number[] = [];
  let closed = false;
  const options = { host: '127.0.0.1', port, path: null, localAddress: null, localPort: 0, keepAlive: false };
  const say = (): void => void transport.write(Buffer.from('x'), 0, 1);
  const owner = {
    onData: (): void => void cameAt.push(performance.now()),
    onEnd() {},
    onDrain() {},
    onClose: (): void => void (closed = true),
  };
  const transport = dial(options, owner, say);
  for (let i = 1; i <= 4; i++) {
    await until('an echo', () => cameAt.length === i);
    if (i < 4) say();
  }
  // what this thread sends meanwhile has it look sooner, so not each of them was waited for
  const waits = cameAt.map((at, i) => at - sentAt[i]!);
  assert.ok(Math.max(...waits) > PATIENCE_MS / 2, waits.join(' '));
  transport.destroy();
  await until('the end', () => closed);
});
