/** Who may come in: allow and deny, passwords, satisfy, referers. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ask, Client, compose } from '../helpers/client.ts';
import { Headrace } from '../helpers/headrace.ts';
import { field, text } from '../helpers/http1.ts';
import { suiteScope } from '../helpers/wait.ts';

const scope = suiteScope(after);

describe('access', () => {
  let h: Headrace;

  before(async () => {
    h = await Headrace.start(
      scope,
      ({ port, dir }) => `
        server {
          listen 127.0.0.1:${port('main')};
          listen unix:${dir}/main;
          root ${dir}/files;
          set_real_ip_from 127.0.0.1;
          location /open { try_files /page =404; }
          location /rules {
            allow 192.0.2.0/25; deny 192.0.2.0/24; allow 2001:db8::/32; deny all;
            try_files /page =404;
            location /rules/inherited { try_files /page =404; }
            location /rules/own { allow all; try_files /page =404; }
          }
          location /unix { deny unix:; try_files /page =404; }
          location /methods { limit_except GET { deny all; } try_files /page =404; }
          location /error { error_page 403 =200 /page; deny all; }
          location /page { allow all; }

          auth_basic_user_file users;
          location /secret { auth_basic "the \${uri}"; try_files /page =404; }
          location /secret/not { auth_basic off; try_files /page =404; }
          location /missing { auth_basic x; auth_basic_user_file missing; }
          location /file { auth_basic x; auth_basic_user_file $arg_file; try_files /page =404; }
          location /slow { auth_basic x; auth_delay 300ms; try_files /page =404; }
          location /any { satisfy any; allow 192.0.2.1; deny all; auth_basic x; try_files /page =404; }
          location /both { satisfy all; allow 192.0.2.1; deny all; auth_basic x; try_files /page =404; }
          location /any/none { satisfy any; deny all; auth_basic off; try_files /page =404; }
        }
        server {
          listen 127.0.0.1:${port('referer')};
          server_name own.test ~^re[0-9]\\.test$;
          location / { valid_referers none server_names *.friend.test/path ~\\.caseless\\.; return 200 "[$invalid_referer]"; }
          location /blocked { valid_referers blocked x.test; return 200 "[$invalid_referer]"; }
          location /unset { return 200 "[$invalid_referer]"; }
        }`,
      {
        files: {
          'files/page': 'the page',
          users:
            '# comment\nplain:{PLAIN}secret\napr:$apr1$salt$Xxd1irWT9ycqoYxGFn4cb.:comment\r\nplain:{PLAIN}second\nodd:$y$x$y',
          other: 'other:{PLAIN}x',
        },
      },
    );
  });

  const status = async (target: string, fields: string[] = [], method = 'GET'): Promise<number> =>
    (await ask(scope, h.port('main'), target, { fields, method })).status;
  const from = (address: string): string[] => [`X-Real-IP: ${address}`];
  const basic = (user: string, password: string): string =>
    `Authorization: Basic ${Buffer.from(`${user}:${password}`, 'latin1').toString('base64')}`;

  test('the first rule that fits decides; a location with rules of its own has only those', async () => {
    const cases: [string, string, number][] = [
      ['/rules', '192.0.2.1', 200],
      ['/rules', '192.0.2.129', 403],
      ['/rules', '2001:db8::1', 200],
      ['/rules', '2001:db9::1', 403],
      ['/rules', '::ffff:192.0.2.1', 200],
      ['/rules/inherited', '192.0.2.129', 403],
      ['/rules/own', '192.0.2.129', 200],
    ];
    for (const [target, address, expected] of cases) {
      assert.equal(await status(target, from(address)), expected, `${target} ${address}`);
    }
    await h.logged(/\[error\].* access forbidden by rule, client: 2001:db9::1,/);
    assert.equal(await status('/unix'), 200);
    assert.equal((await ask(scope, join(h.dir, 'main'), '/unix')).status, 403);
    assert.equal(await status('/methods'), 200);
    assert.equal(await status('/methods', [], 'HEAD'), 200);
    assert.equal(await status('/methods', [], 'DELETE'), 403);
    assert.equal(await status('/error'), 200);
  });

  test('passwords, quick and slow; the challenge names the realm', async () => {
    const challenge = await ask(scope, h.port('main'), '/secret');
    assert.equal(challenge.status, 401);
    assert.equal(field(challenge, 'WWW-Authenticate'), 'Basic realm="the /secret"');
    assert.equal(await status('/secret', [basic('plain', 'secret')]), 200);
    assert.equal(await status('/secret', [basic('plain', 'second')]), 401, 'the first line counts');
    assert.equal(await status('/secret', [basic('apr', 'password')]), 200);
    assert.equal(await status('/secret', [basic('apr', 'wrong')]), 401);
    assert.equal(await status('/secret', [basic('', 'secret')]), 401);
    assert.equal(await status('/secret', [basic('nobody', 'secret')]), 401);
    assert.equal(await status('/secret/not'), 200);
    assert.equal(await status('/missing', [basic('a', 'b')]), 403);
    assert.equal(await status('/secret', [basic('odd', 'x')]), 500);
    await h.logged('user "apr": password mismatch, client: 127.0.0.1');
    await h.logged(`user "nobody" was not found in "${h.dir}/users"`);
    await h.logged('user "odd": password method "$y$" is not supported');
    // Names made of variables are relative to the configuration.
    assert.equal(await status('/file?file=other', [basic('other', 'x')]), 200);
    assert.equal(await status('/file?file=none', [basic('other', 'x')]), 403);
    assert.equal(await status('/file', [basic('other', 'x')]), 500, 'a directory');
  });

  test('a changed file counts at once', async () => {
    h.file('changing', 'a:{PLAIN}one');
    assert.equal(await status('/file?file=changing', [basic('a', 'one')]), 200);
    h.file('changing', 'a:{PLAIN}two');
    assert.equal(await status('/file?file=changing', [basic('a', 'one')]), 401);
    assert.equal(await status('/file?file=changing', [basic('a', 'two')]), 200);
    rmSync(join(h.dir, 'changing'));
    assert.equal(await status('/file?file=changing', [basic('a', 'two')]), 403);
  });

  test('clients that leave while a slow password is checked, and several on one connection', async () => {
    for (let i = 0; i < 5; i++) {
      const client = await Client.connect(scope, h.port('main'));
      await client.send(compose('/secret', { fields: [basic('apr', `guess ${i}`)] }));
      client.reset();
    }
    const client = await Client.connect(scope, h.port('main'));
    const passwords = ['wrong 1', 'password', 'wrong 2'];
    await client.send(
      Buffer.concat(passwords.map((password) => compose('/secret', { fields: [basic('apr', password)] }))),
    );
    for (const password of passwords) {
      assert.equal((await client.response()).status, password === 'password' ? 200 : 401, password);
    }
  });

  test('auth_delay holds a refusal back, and nothing else', async () => {
    const begun = performance.now();
    assert.equal(await status('/slow', [basic('plain', 'wrong')]), 401);
    assert.ok(performance.now() - begun >= 290);
    assert.equal(await status('/slow', [basic('plain', 'secret')]), 200);
    const gone = await Client.connect(scope, h.port('main'));
    await gone.send(compose('/slow'));
    await h.logged('delaying unauthorized request');
    gone.reset();
    assert.equal(await status('/open'), 200);
  });

  test('satisfy any: one that allows is enough; satisfy all: none may refuse', async () => {
    const good = basic('plain', 'secret');
    const cases: [string, string[], number][] = [
      ['/any', from('192.0.2.1'), 200],
      ['/any', [good], 200],
      ['/any', [...from('192.0.2.1'), basic('plain', 'wrong')], 200],
      ['/any', [], 401],
      ['/any/none', [], 403],
      ['/both', from('192.0.2.1'), 401],
      ['/both', [good], 403],
      ['/both', [...from('192.0.2.1'), good], 200],
    ];
    for (const [target, fields, expected] of cases) {
      assert.equal(await status(target, fields), expected, `${target} ${fields.join(' ')}`);
    }
    const let_in = await ask(scope, h.port('main'), '/any', { fields: [...from('192.0.2.1')] });
    assert.equal(field(let_in, 'WWW-Authenticate'), null);
  });

  test('valid_referers', async () => {
    const invalid = async (target: string, referer?: string): Promise<string> =>
      text(
        await ask(scope, h.port('referer'), target, referer === undefined ? {} : { fields: [`Referer: ${referer}`] }),
      );
    const cases: [string, string | undefined, boolean][] = [
      ['/', undefined, true],
      ['/', 'http://own.test/x', true],
      ['/', 'HTTPS://OWN.test:8080', true],
      ['/', 'http://re5.test/', true],
      ['/', 'http://re55.test/', false],
      ['/', 'http://a.friend.test/path/on', true],
      ['/', 'http://a.friend.test/other', false],
      ['/', 'http://a.friend.test', false],
      ['/', 'http://x.CASEless.org/', true],
      ['/', 'own.test', false],
      ['/', '', false],
      ['/blocked', 'hidden', true],
      ['/blocked', undefined, false],
      ['/blocked', 'http://y.test/', false],
      ['/unset', 'http://anybody.test', true],
    ];
    for (const [target, referer, valid] of cases) {
      assert.equal(await invalid(target, referer), valid ? '[]' : '[1]', `${target} ${referer}`);
    }
  });
});
