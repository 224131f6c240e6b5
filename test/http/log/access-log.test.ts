import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { escapeDefault, escapeJson } from '../../../src/variables/escape.ts';
import { Site } from '../variables/site.ts';

test('formats: escaping, what is not found, what is empty', async () => {
  const site = await Site.server(
    `access_log /log/d d; access_log /log/j j; access_log /log/n n; location / { return 200; }`,
    `log_format d '[$uri] [$arg_x] [$http_none] "$http_user_agent" $status';
     log_format j escape=json '{"x":"$arg_x","n":"$http_none","a":"$http_user_agent"}';
     log_format n escape=none '$arg_x|$http_none|$http_user_agent';`,
  );
  await site.ask('/?x=', { headers: ['User-Agent: q"\\\t\xe4'] });
  assert.deepEqual(site.lines, [
    '/log/d: [/] [] [-] "q\\x22\\x5C\\x09\\xE4" 200\n',
    '/log/j: {"x":"","n":"","a":"q\\"\\\\\\t\xe4"}\n',
    '/log/n: ||q"\\\t\xe4\n',
  ]);
});

test('combined is there without being defined', async () => {
  const site = await Site.server('access_log /log/a; location / { return 200 abc; }');
  await site.ask('/x?y', { headers: ['Referer: r', 'User-Agent: u'] });
  assert.match(
    site.lines[0]!,
    /^\/log\/a: 127\.0\.0\.1 - - \[\d\d\/\w{3}\/\d{4}:[\d:]{8} [+-]\d{4}\] "GET \/x\?y HTTP\/1\.1" 200 3 "r" "u"\n$/,
  );
});

test('conditions, several logs, off, nested settings', async () => {
  const site = await Site.server(
    `access_log /log/a u; location / { return 200; } location /if { access_log /log/if u if=$arg_x; return 200; }
     location /off { access_log off; return 200; } location /two { access_log /log/1 u; access_log /log/2 u; return 200; }`,
    "log_format u '$uri';",
  );
  for (const target of ['/', '/if', '/if?x=0', '/if?x=00', '/if?x=1', '/off', '/two']) await site.ask(target);
  assert.deepEqual(site.lines, ['/log/a: /\n', '/log/if: /if\n', '/log/if: /if\n', '/log/1: /two\n', '/log/2: /two\n']);
});

test('names with variables: only below a root that is there, and never out of their directory', async () => {
  const site = await Site.server(
    `root ${import.meta.dirname}; access_log /log/$arg_f.log u; location / { return 200; } location /noroot { root /nowhere/at/all; return 200; }`,
    "log_format u '$uri';",
  );
  for (const target of ['/?f=a', '/?f=../../etc/x', '/noroot?f=b', '/?f=..']) await site.ask(target);
  assert.deepEqual(site.lines, ['/log/a.log: /\n', '/log/...log: /\n']);
  assert.ok(
    site.errors.some((line) =>
      line.includes('testing "/nowhere/at/all" existence failed (2: No such file or directory)'),
    ),
  );
});

test('a log line is one line, whatever the value; JSON strings are JSON', () => {
  const bytes = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((b) => String.fromCharCode(b)) });
  fc.assert(
    fc.property(bytes, (value) => {
      assert.match(escapeDefault(value), /^[ !#-~]*$/);
      assert.equal(JSON.parse(`"${escapeJson(value)}"`), value);
    }),
  );
});
