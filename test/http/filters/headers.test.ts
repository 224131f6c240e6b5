import assert from 'node:assert/strict';
import test from 'node:test';
import { FieldList } from '../../../src/http/fields.ts';
import { compileTrailers } from '../../../src/http/filters/headers.ts';
import { parseHttpDate } from '../../../src/http/filters/http-date.ts';
import { Site } from '../variables/site.ts';

test('add_header: order, empty values, statuses, always', async () => {
  const site = await Site.server(`
    location /a { add_header A 1; add_header A 2; add_header B ""; add_header C $arg_x; add_header D d always; return 200; }
    location /b { add_header A 1; add_header D d always; return 404; }
    location /c { add_header A "x\r\nInjected: 1"; return 200; }
    location /d { add_header A $arg_x; return 302 /; }`);
  const a = await site.ask('/a?x=5');
  assert.deepEqual(a.fields, [
    ['A', '1'],
    ['A', '2'],
    ['C', '5'],
    ['D', 'd'],
  ]);
  assert.deepEqual((await site.ask('/b')).fields, [['D', 'd']]);
  assert.equal((await site.ask('/c')).field('a'), 'x');
  assert.equal((await site.ask('/d?x=1')).field('a'), '1');
});

test('add_header replaces validators, and appends to Cache-Control', async () => {
  const site = await Site.server(`
    location /a { add_header ETag '"1"'; add_header Last-Modified "Mon, 28 Sep 1970 06:00:00 GMT"; alias ${import.meta.filename}; }
    location /b { add_header ETag ""; add_header Last-Modified ""; alias ${import.meta.filename}; }
    location /c { expires 1h; add_header Cache-Control public; return 200; }`);
  const a = await site.ask('/a');
  assert.deepEqual([a.field('etag'), a.field('last-modified')], ['"1"', 'Mon, 28 Sep 1970 06:00:00 GMT']);
  const b = await site.ask('/b');
  assert.deepEqual([b.field('etag'), b.field('last-modified')], [null, null]);
  assert.equal((await site.ask('/c')).field('cache-control'), 'max-age=3600 | public');
});

test('expires', async () => {
  const site = await Site.server(
    `location /1 { expires 1h; return 200; } location /2 { expires -1; return 200; }
     location /3 { expires epoch; return 200; } location /4 { expires max; return 200; }
     location /5 { expires 0; return 200; } location /6 { expires 30d; return 404; }
     location /7 { expires $m; return 200; } location /8 { expires @15h30m; return 200; }
     location /9 { expires modified +1h; alias ${import.meta.filename}; } location /10 { expires off; return 200; }`,
    'map $arg_e $m { default $arg_e; }',
  );
  const now = Math.floor(Date.now() / 1000);
  const of = async (target: string) => {
    const answer = await site.ask(target);
    const expires = answer.field('expires');
    return {
      control: answer.field('cache-control'),
      in: expires === null ? null : parseHttpDate(expires) - now,
      expires,
    };
  };
  const near = (value: number | null, expected: number) =>
    assert.ok(Math.abs(value! - expected) <= 2, `${value} is not ${expected}`);
  const one = await of('/1');
  assert.equal(one.control, 'max-age=3600');
  near(one.in, 3600);
  const two = await of('/2');
  assert.equal(two.control, 'no-cache');
  near(two.in, -1);
  assert.deepEqual([(await of('/3')).control, (await of('/3')).expires], ['no-cache', 'Thu, 01 Jan 1970 00:00:01 GMT']);
  assert.deepEqual(
    [(await of('/4')).control, (await of('/4')).expires],
    ['max-age=315360000', 'Thu, 31 Dec 2037 23:55:55 GMT'],
  );
  assert.equal((await of('/5')).control, 'max-age=0');
  assert.equal((await of('/6')).expires, null);
  assert.equal((await of('/7?e=10')).control, 'max-age=10');
  assert.equal((await of('/7?e=epoch')).control, 'no-cache');
  assert.equal((await of('/7?e=junk')).expires, null);
  assert.equal((await of('/7')).expires, null);
  const daily = await of('/8');
  assert.ok(daily.in! > -2 && daily.in! <= 86_400);
  const at = new Date(parseHttpDate(daily.expires!) * 1000);
  assert.deepEqual([at.getHours(), at.getMinutes(), at.getSeconds()], [15, 30, 0]);
  const modified = await site.ask('/9');
  assert.equal(parseHttpDate(modified.field('expires')!) - parseHttpDate(modified.field('last-modified')!), 3600);
  assert.equal((await of('/10')).expires, null);
});

test('trailers are evaluated when asked for, and only for statuses that get them', async () => {
  const site = await Site.server(
    'location / { add_trailer X-A $status; add_trailer X-B "" always; add_trailer X-C c always; return 200; }',
  );
  const { r } = site.request('/');
  const program = compileTrailers(site.config.http!.servers[0]!.root.locations[0]!.headers, r.gen.variables)!;
  const trailers = (status: number) => {
    r.status = status;
    const list = new FieldList();
    program.fill(r, list);
    return list.names.map((name, i) => `${name}: ${list.values[i]}`).join(', ');
  };
  assert.equal(trailers(200), 'X-A: 200, X-C: c');
  assert.equal(trailers(404), 'X-C: c');
  r.status = 404;
  assert.equal(program.expected(r), true);
});
