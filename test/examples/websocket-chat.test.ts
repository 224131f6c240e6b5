/** The example runs: talk reaches everybody on a server, and a cookie leads back to it. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Example } from '../helpers/example.ts';
import { until } from '../helpers/wait.ts';

class Member {
  readonly lines: string[] = [];
  readonly socket: WebSocket;
  open = false;

  constructor(t: TestContext, port: number, cookie: string) {
    this.socket = new WebSocket(`ws://127.0.0.1:${port}/socket`, { headers: { cookie } });
    this.socket.addEventListener('open', () => (this.open = true));
    this.socket.addEventListener('message', (event) => this.lines.push(String(event.data)));
    t.after(() => this.socket.close());
  }

  async hears(text: string): Promise<void> {
    await until(
      () => `"${text}" in ${JSON.stringify(this.lines)}`,
      () => this.lines.some((line) => line.includes(text)),
    );
  }
}

test('a chat over two servers', async (t) => {
  const example = await Example.prepare(t, 'websocket-chat');
  await example.program(t, 'chat.ts', 'one', String(example.port(8081)));
  await example.program(t, 'chat.ts', 'two', String(example.port(8082)));
  await example.start();
  const port = example.port(8080);

  // The page, and with it a server.
  const visit = async (cookie = ''): Promise<{ server: string; cookie: string }> => {
    const page = await fetch(`http://127.0.0.1:${port}/`, { headers: { cookie } });
    assert.match(await page.text(), /<title>Chat<\/title>/);
    const set = page.headers.get('set-cookie');
    return {
      server: page.headers.get('x-server') ?? '',
      cookie: set === null ? cookie : set.slice(0, set.indexOf(';')),
    };
  };
  const here = await visit();
  let there = await visit();
  for (let i = 0; i < 20 && there.server === here.server; i++) there = await visit();
  assert.notEqual(there.server, here.server, 'both servers are used');
  assert.equal((await visit(here.cookie)).server, here.server, 'and a cookie leads back');

  const anna = new Member(t, port, here.cookie);
  const boris = new Member(t, port, here.cookie);
  const carla = new Member(t, port, there.cookie);
  await anna.hears(`on server "${here.server}"`);
  await boris.hears(`on server "${here.server}"`);
  await carla.hears(`on server "${there.server}"`);

  anna.socket.send('hello');
  anna.socket.send('x'.repeat(1000));
  await boris.hears('hello');
  await boris.hears('x'.repeat(1000));
  boris.socket.send('and to you');
  await anna.hears('and to you');
  assert.ok(!carla.lines.includes('hello'), 'the other server is another room');

  // Who comes back finds what was said.
  anna.socket.close();
  const again = new Member(t, port, here.cookie);
  await again.hears('and to you');
});
