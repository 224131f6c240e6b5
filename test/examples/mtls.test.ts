/** examples/mtls: who shows which certificate gets what. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { ask } from '../helpers/client.ts';
import { Example } from '../helpers/example.ts';
import { requires } from '../helpers/requires.ts';

test('mtls: certificates on both sides', async (t) => {
  if (!requires(t, 'openssl')) return;
  const example = await Example.prepare(t, 'mtls');
  execFileSync('sh', ['make-certificates.sh'], { cwd: example.dir, stdio: ['ignore', 'ignore', 'inherit'] });
  await example.start();
  const get = async (port: number, path: string, who: string | null, ...fields: string[]): Promise<string> => {
    const file = (name: string): string => example.read(join('certs', name));
    const own = who === null ? {} : { cert: file(`${who}.crt`), key: file(`${who}.key`) };
    const options = { tls: { ca: file('ca.crt'), servername: 'localhost', ...own } };
    const answer = await ask(t, example.port(port), path, { client: options, fields });
    return `${answer.status} ${answer.body.toString().trim()}`;
  };

  const needed = '403 a certificate of ours is needed: ';
  assert.equal(await get(8043, '/health', null), '200 ok');
  assert.equal(await get(8043, '/', null), `${needed}NONE`);
  assert.equal(await get(8043, '/x', 'carol'), '200 app: staff OU=staff,CN=carol at /x');
  assert.equal(await get(8043, '/admin/', 'carol'), '403 for admins');
  assert.equal(await get(8043, '/admin/', 'alice'), '200 app: admin OU=admin,CN=alice at /admin/');
  // Revoked, and signed by somebody else with the same name.
  assert.equal(await get(8043, '/', 'bob'), `${needed}FAILED:certificate revoked`);
  assert.match(await get(8043, '/', 'mallory'), /^403 a certificate of ours is needed: FAILED:/);
  // What the front tells the application is its own.
  assert.equal(await get(8043, '/', 'carol', 'X-Client-Role: admin'), '200 app: staff OU=staff,CN=carol at /');
  // The application itself is for the front alone.
  assert.equal(await get(8044, '/', 'alice'), '403 only the front may come here');
  assert.match(await get(8044, '/', null), /^400 /);
  assert.match(example.read('access.log'), /"GET \/x HTTP\/1\.1" 200 verify=SUCCESS dn="OU=staff,CN=carol" serial=/);
});
