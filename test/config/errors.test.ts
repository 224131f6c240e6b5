import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { ERROR_CASES } from './error-cases.ts';
import { FILE, inHttp, inUpstream, load, refusal } from './support.ts';

test("mistakes are told in nginx's words", async (t) => {
  for (const { conf, error } of ERROR_CASES) {
    await t.test(conf.slice(0, 100).replace(/\s+/g, ' '), async () => {
      assert.equal((await refusal(conf)).text, error);
    });
  }
});

/** A newest nginx is needed: `HEADRACE_NGINX` names it. Distributions have older texts. */
const nginx = process.env['HEADRACE_NGINX'] ?? '';

// Not a test that is skipped: it compares with a program that somebody names.
if (nginx !== '')
  test('nginx says the same', async (t) => {
    const directory = mkdtempSync(path.join(tmpdir(), 'headrace-config-'));
    t.after(() => rmSync(directory, { recursive: true }));
    mkdirSync(path.join(directory, 'conf'));
    mkdirSync(path.join(directory, 'logs'));
    const file = path.join(directory, 'conf/nginx.conf');
    assert.match(execFileSync(nginx, ['-v'], { encoding: 'utf8', stdio: 'pipe' }), /^$/);

    for (const { conf, error, ours } of ERROR_CASES) {
      if (ours === true) continue;
      writeFileSync(file, conf, 'latin1');
      const { stderr } = spawnSync(nginx, ['-t', '-p', directory, '-c', file, '-e', 'logs/e.log'], {
        encoding: 'latin1',
      });
      const line = /^nginx: \[emerg\] (.*)$/m.exec(stderr)?.[1] ?? 'no error';
      const said = line.replaceAll(`${directory}/`, '/t/').replace(new RegExp(` in ${FILE}:\\d+$`), '');
      await t.test(conf.slice(0, 100).replace(/\s+/g, ' '), () => {
        // Some texts have their place inside.
        assert.equal(said, error.replace(new RegExp(` in ${FILE}:\\d+$`), ''));
      });
    }
  });

test('messages end with the place of the statement', async () => {
  const error = await refusal('events {}\nhttp {\n  server {\n    listen 80\n      foo;\n  }\n}\n');
  assert.equal(error.message, `invalid parameter "foo" in ${FILE}:5`);
  assert.deepEqual(error.place, { file: FILE, line: 5 });
  assert.equal(error.level, 'emerg');
});

test('an unknown directive is compared with those that may stand there', async () => {
  const message = async (conf: string) => (await refusal(conf)).message;
  assert.equal(
    await message(inHttp('server { location / { proxy_pas http://a; } }')),
    `unknown directive "proxy_pas" in ${FILE}:3 (did you mean "proxy_pass"?)`,
  );
  assert.equal(
    await message(inUpstream('sever 127.0.0.1;')),
    `unknown directive "sever" in ${FILE}:4 (did you mean "server"?)`,
  );
  assert.equal(await message('xyzzy;'), `unknown directive "xyzzy" in ${FILE}:1`);
});

test('an unknown variable is told with the place of its first use', async () => {
  const error = await refusal(inHttp('server { listen 80;\n set $x $nosuch; }'));
  assert.equal(error.message, `unknown "nosuch" variable (used in ${FILE}:4)`);
});

test('a file that is not there', async () => {
  const open = (file: string) => `open() "${file}" failed (2: No such file or directory)`;
  assert.equal((await refusal('', {}, { file: '/none.conf' })).message, open('/none.conf'));
  assert.equal((await refusal('\ninclude none.conf;')).message, `${open('/t/conf/none.conf')} in ${FILE}:2`);
});

test('the command line is cited as such', async () => {
  const message = async (globals: string, conf = 'events {}') => (await refusal(conf, {}, { globals })).message;
  assert.equal(await message('foo;'), 'unknown directive "foo" in command line');
  assert.equal(await message('daemon off'), 'unexpected end of parameter, expecting ";" in command line');
  assert.equal(await message('events {}'), 'block directives are not supported in -g option in command line');
  assert.equal(await message('pid a;', 'pid b;'), `"pid" directive is duplicate in ${FILE}:1`);
});

test('warnings do not stop loading', async () => {
  const warned = async (conf: string) => (await load(conf)).warnings.map(({ message }) => message);
  const at = (line: number) => ` in ${FILE}:${line}`;
  assert.deepEqual(await warned(inUpstream('hash $host; least_conn; server 127.0.0.1;')), [
    `load balancing method redefined${at(4)}`,
  ]);
  assert.deepEqual(await warned(inUpstream('server 127.0.0.1; sticky cookie a; least_conn;')), [
    `load balancing method redefined${at(4)}`,
  ]);
  assert.deepEqual(await warned(inHttp('server { listen 80; server_name a; }\nserver { listen 80; server_name a; }')), [
    'conflicting server name "a" on 0.0.0.0:80, ignored',
  ]);
  assert.deepEqual(await warned(inHttp('server { listen 80 http2; }')), [
    `the "listen ... http2" directive is deprecated, use the "http2" directive instead${at(3)}`,
  ]);
  assert.deepEqual(await warned(inHttp('proxy_next_upstream error error;')), [`duplicate value "error"${at(3)}`]);
  assert.deepEqual(await warned(inHttp('set_real_ip_from 10.1.2.3/8;')), [
    `low address bits of 10.1.2.3/8 are meaningless${at(3)}`,
  ]);
  assert.deepEqual(await warned(inHttp('types { a/b c; d/e C; }')), [
    `duplicate extension "c", content type: "d/e", previous content type: "a/b"${at(3)}`,
  ]);
});

test('loops and endless nesting end in an error', async () => {
  assert.match((await refusal('include nginx.conf;')).text, /^too many nested includes of/);
  const deep = inHttp(`server { ${'location / { '.repeat(5000)}`);
  assert.equal((await refusal(deep)).text, 'blocks are nested deeper than 200');
});
