/** `ntlm`: servers that authenticate connections, through the real program. */
import assert from 'node:assert/strict';
import { connect as connectHttp2 } from 'node:http2';
import { after, before, test } from 'node:test';
import { Backend, ok, type Script } from '../helpers/backend.ts';
import { Client, compose } from '../helpers/client.ts';
import { Headrace } from '../helpers/headrace.ts';
import { field, type Response, text } from '../helpers/http1.ts';
import { suiteScope, until } from '../helpers/wait.ts';

const scope = suiteScope(after);
const servers: Backend[] = [];
let h: Headrace;

/**
 * NTLM's three messages in letters: `T` asks, `C<connection>` challenges, `A<connection>:<user>` answers. From then on every
 * request of that connection is the user's, whatever it says.
 */
const authenticating: Script = async (c) => {
  let user = '';
  for (;;) {
    const request = await c.request();
    if (request === null) return;
    const [scheme = '', message = ''] = (field(request, 'Authorization') ?? '').split(' ');
    const place = `${c.backend.port}.${c.number}`;
    if (message === 'T') {
      user = '';
      await c.send(refused(`WWW-Authenticate: ${scheme} C${place}`));
      continue;
    }
    if (message.startsWith('A')) {
      const [challenge, name = ''] = message.slice(1).split(':');
      if (challenge === place) user = name;
    }
    await c.send(user === '' ? refused('WWW-Authenticate: NTLM') : ok(`${user} ${place}`));
    if (request.target === '/last') {
      c.end();
      return;
    }
  }
};
const refused = (line: string): string => `HTTP/1.1 401 Unauthorized\r\n${line}\r\nContent-Length: 0\r\n\r\n`;

before(async () => {
  for (let i = 0; i < 2; i++) servers.push(await Backend.start(scope, authenticating));
  const list = servers.map(({ port }) => `server 127.0.0.1:${port};`).join(' ');
  h = await Headrace.start(
    scope,
    ({ port }) => `
    upstream app { zone app 64k; ${list} keepalive 4; ntlm; }
    upstream plain { ${list} ntlm; keepalive 1; sticky cookie srv; }
    server {
      listen 127.0.0.1:${port('http')}; http2 on;
      proxy_http_version 1.1; proxy_set_header Connection "";
      location / { proxy_pass http://app; }
      location /plain { proxy_pass http://plain; }
    }`,
    { workers: 2 },
  );
});

class User {
  readonly client: Client;
  readonly name: string;

  constructor(client: Client, name: string) {
    this.client = client;
    this.name = name;
  }

  static async come(name: string): Promise<User> {
    return new User(await Client.connect(scope, h.port('http')), name);
  }

  async ask(target: string, fields: string[] = []): Promise<Response> {
    await this.client.send(compose(target, { fields }));
    return this.client.response();
  }

  /** All of a handshake. @returns the answer to its last message */
  async logIn(target = '/', scheme = 'NTLM'): Promise<Response> {
    const challenge = field(await this.ask(target, [`Authorization: ${scheme} T`]), 'WWW-Authenticate') ?? '';
    assert.match(challenge, new RegExp(`^${scheme} C`));
    return this.ask(target, [`Authorization: ${scheme} A${challenge.slice(scheme.length + 2)}:${this.name}`]);
  }
}

/** Connections that a server has with the proxy now. */
const open = (): number => servers.flatMap(({ connections }) => connections.filter(({ ended }) => !ended)).length;

test('each client keeps the connection that it has authenticated, and nobody else is given it', async () => {
  const users = await Promise.all(['ann', 'bob', 'eve', 'joe'].map((name) => User.come(name)));
  const places = new Map<User, string>();
  for (const user of users) {
    const answer = await user.logIn('/', user.name === 'bob' ? 'Negotiate' : 'NTLM');
    assert.equal(answer.status, 200);
    places.set(user, text(answer));
  }
  assert.equal(new Set(places.values()).size, 4);
  const nobody = await User.come('nobody');
  for (let i = 0; i < 10; i++) {
    const all = [...users, nobody];
    const answers = await Promise.all(all.map((user) => user.ask(`/${i}`)));
    for (const [at, user] of all.entries()) {
      if (user === nobody) assert.equal(answers[at]!.status, 401);
      else assert.equal(text(answers[at]!), places.get(user));
    }
  }
  h.signal('SIGHUP');
  await h.logged('drained');
  for (const user of users) assert.equal(text(await user.ask('/after')), places.get(user));
  for (const { client } of users) client.destroy();
  for (const [user, place] of places) {
    const [port, number] = place.split(' ')[1]!.split('.');
    const server = servers.find((one) => one.port === Number(port))!;
    const connection = server.connections.find((one) => one.number === Number(number))!;
    await until(`the end of ${user.name}'s connection`, () => connection.ended);
  }
});

test('a server that closes the connection: the client has to authenticate again, and can', async () => {
  const ann = await User.come('ann');
  const place = text(await ann.logIn());
  assert.equal(text(await ann.ask('/last')), place);
  await until('the end of it', () => servers.some((one) => one.connections.some((c) => c.ended)));
  assert.equal((await ann.ask('/')).status, 401);
  assert.match(text(await ann.logIn()), /^ann /);
  assert.match(text(await ann.ask('/')), /^ann /);
});

test('two groups over one connection; stickiness does not take a client elsewhere', async () => {
  const ann = await User.come('ann');
  const one = text(await ann.logIn('/'));
  const other = text(await ann.logIn('/plain'));
  assert.notEqual(one, other);
  for (const { port } of servers) {
    assert.equal(text(await ann.ask('/', [`Cookie: srv=${port}`])), one);
    assert.equal(text(await ann.ask('/plain', ['Cookie: srv=x'])), other);
  }
});

test('a request that ends its connection leaves nothing behind', async () => {
  await until('quiet', () => open() <= 12);
  const ann = await User.come('ann');
  const challenge = field(await ann.ask('/', ['Authorization: NTLM T']), 'WWW-Authenticate')!;
  const answer = await ann.ask('/', [`Authorization: NTLM A${challenge.slice(6)}:ann`, 'Connection: close']);
  const [port, number] = text(answer).split(' ')[1]!.split('.');
  const server = servers.find((one) => one.port === Number(port))!;
  await until('the end', () => server.connections.find((one) => one.number === Number(number))!.ended);
});

test('over HTTP/2 no connection is authenticated: what carried such a request is given to nobody', async () => {
  const session = connectHttp2(`http://127.0.0.1:${h.port('http')}`);
  scope.after(() => session.destroy());
  const ask = (authorization: string): Promise<{ status: number; challenge: string }> =>
    new Promise((resolve, reject) => {
      const stream = session.request({ ':path': '/', ...(authorization === '' ? null : { authorization }) });
      stream.on('response', (head) => {
        resolve({ status: Number(head[':status']), challenge: String(head['www-authenticate']) });
        stream.resume();
      });
      stream.on('error', reject);
    });
  const { challenge } = await ask('NTLM T');
  // the connection that the challenge was for is closed by now
  assert.equal((await ask(`NTLM A${challenge.slice(6)}:eve`)).status, 401);
  for (let i = 0; i < 8; i++) assert.equal((await ask('')).status, 401);
});
