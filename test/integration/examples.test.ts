/** The examples do what they say, on free ports. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ask } from '../helpers/client.ts';
import { Headrace } from '../helpers/headrace.ts';
import { text } from '../helpers/http1.ts';
import { freePort } from '../helpers/ports.ts';
import { suiteScope, until } from '../helpers/wait.ts';

const scope = suiteScope(after);
const EXAMPLES = join(import.meta.dirname, '../../examples');

test('health-checks: a server that falls ill leaves, and comes back', async () => {
  const dir = join(EXAMPLES, 'health-checks');
  const apps = [await freePort(), await freePort()];
  for (const port of apps) {
    const child = spawn(process.execPath, [join(dir, 'app.ts'), String(port)], { stdio: 'ignore' });
    scope.after(() => void child.kill());
  }
  const conf = readFileSync(join(dir, 'nginx.conf'), 'utf8');
  const http = conf.slice(conf.indexOf('http {') + 'http {'.length, conf.lastIndexOf('}'));
  const h = await Headrace.start(
    scope,
    ({ port }) =>
      http
        .replace('access_log off;', '')
        .replace('8081', String(apps[0]))
        .replace('8082', String(apps[1]))
        .replace('8080', String(port('http'))),
    { workers: 2 },
  );
  const who = async (): Promise<Set<string>> => {
    const seen = new Set<string>();
    for (let i = 0; i < 20; i++) seen.add(text(await ask(scope, h.port('http'))).trim());
    return seen;
  };
  const both = (seen: Set<string>): boolean => apps.every((port) => seen.has(`ready on ${port}`));
  await until('both servers', async () => both(await who()));
  await ask(scope, apps[0]!, '/sick', { method: 'POST' });
  await until('one server', async () => (await who()).size === 1);
  assert.deepEqual(await who(), new Set([`ready on ${apps[1]}`]));
  await ask(scope, apps[0]!, '/well', { method: 'POST' });
  await until('both again', async () => both(await who()));
});
