/** The example runs: choice by header and cookie, a switch by reload, and by drain. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { answering, Backend, ok } from '../helpers/backend.ts';
import { ask } from '../helpers/client.ts';
import { Example } from '../helpers/example.ts';
import { all, field, text } from '../helpers/http1.ts';
import { until } from '../helpers/wait.ts';

async function prepare(t: TestContext, conf: string): Promise<Example> {
  const example = await Example.prepare(t, 'blue-green', conf);
  for (const [number, name] of [
    [8081, 'blue'],
    [8082, 'green'],
  ] as const) {
    await Backend.start(
      t,
      answering(() => ok(name)),
      { port: example.port(number) },
    );
  }
  await example.start();
  return example;
}

test('header, cookie, and a switch by reload', async (t) => {
  const example = await prepare(t, 'nginx.conf');
  const release = async (fields: string[] = []): Promise<string> => {
    const answer = await ask(t, example.port(8080), '/', { fields });
    assert.equal(text(answer), field(answer, 'X-Release'));
    return text(answer);
  };
  assert.equal(await release(), 'blue');
  assert.equal(await release(['X-Release: green']), 'green');
  assert.equal(await release(['Cookie: a=b; release=green']), 'green');
  assert.equal(await release(['Cookie: release=green', 'X-Release: blue']), 'blue');
  assert.equal(await release(['X-Release: http://elsewhere']), 'blue', 'nobody chooses another host');

  const choose = await ask(t, example.port(8080), '/release/green');
  assert.equal(choose.status, 303);
  assert.match(field(choose, 'Set-Cookie')!, /^release=green;/);

  example.edit('active.conf', (before) => before.replace('default blue', 'default green'));
  example.reload();
  await until('the switch', async () => (await release()) === 'green');
  assert.equal(await release(['X-Release: blue']), 'blue', 'the old one is still there for who asks for it');
});

test('a switch by drain keeps sessions', async (t) => {
  const example = await prepare(t, 'drain.conf');
  const visit = (cookie = '') =>
    ask(t, example.port(8080), '/', cookie === '' ? {} : { fields: [`Cookie: ${cookie}`] });
  const session = async (): Promise<string> => all(await visit(), 'Set-Cookie')[0]!.split(';')[0]!;

  // As it stands blue drains: everybody new comes to green.
  for (let i = 0; i < 4; i++) assert.equal(text(await visit()), 'green');
  const green = await session();

  // And back.
  example.edit('drain.conf', (before) => before.replace(' drain;', ';').replace(/(:\d+);( +# green)/, '$1 drain;$2'));
  example.reload();
  await until('the switch', async () => text(await visit()) === 'blue');
  for (let i = 0; i < 4; i++) assert.equal(text(await visit()), 'blue');
  assert.equal(text(await visit(green)), 'green', 'who was on green stays there');
});
