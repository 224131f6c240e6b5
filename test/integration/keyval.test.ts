/** keyval_zone, keyval and the API of them: the real program with three workers. */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { type Answer, askApi, codeOf } from '../admin/plus/asking.ts';
import { ask } from '../helpers/client.ts';
import { Headrace, type Place } from '../helpers/headrace.ts';
import { field, text } from '../helpers/http1.ts';
import { Caller, call, echo, listen } from '../helpers/stream.ts';
import { type Scope, suiteScope, until } from '../helpers/wait.ts';

const WORKERS = 3;
/** So many connections come to all workers, as good as certainly. */
const MANY = 24;

const api = (scope: Scope, h: Headrace, path: string, method = 'GET', body?: unknown): Promise<Answer> =>
  askApi(scope, h.port('api'), path, method, body);

const scope = suiteScope(after);
let h: Headrace;

const API = ({ port }: Place): string => `
  server {
    listen 127.0.0.1:${port('api')};
    location /api { api write=on; client_body_buffer_size 64k; }
    location /read { api; }
    location = /metrics { prometheus; }
  }`;

beforeEach(async () => {
  for (const name of ['texts', 'ends', 'short', 'nets', 'paths'])
    await api(scope, h, `/http/keyvals/${name}`, 'DELETE');
});

before(async () => {
  const first = await listen(scope, echo('first '));
  const second = await listen(scope, echo('second '));
  h = await Headrace.start(
    scope,
    (place) => `
    keyval_zone zone=texts:64k;
    keyval_zone zone=ends:64k timeout=1h;
    keyval_zone zone=short:64k timeout=1s;
    keyval_zone zone=nets:64k type=ip;
    keyval_zone zone=paths:64k type=prefix;
    keyval $arg_key $text zone=texts;
    keyval $arg_key $end zone=ends;
    keyval $arg_key $brief zone=short;
    keyval $arg_address $net zone=nets;
    keyval $uri $path zone=paths;
    keyval "$http_x_one:$http_x_two" $seen zone=ends;
    keyval pool $Pool zone=texts;
    keyval $loop_b $loop_a zone=texts;
    keyval "$loop_a" $loop_b zone=texts;
    map $text $mapped { default no; "~^y" yes; }
    log_format both '$status $text $end';
    server {
      listen 127.0.0.1:${place.port('main')};
      location /text { return 200 "[$text]"; }
      location /mapped { return 200 $mapped; }
      location /pool { return 200 $pool; }
      location /loop { return 200 "[$loop_a]"; }
      location /end { return 200 "[$end]"; }
      location /brief { return 200 "[$brief]"; }
      location /net { if ($net) { return 403; } return 200 "free"; }
      location /set { set $text $arg_value; return 200 "[$text]"; }
      location /brief-set { set $brief $arg_value; return 200 "[$brief]"; }
      location /net-set { set $net 1; return 200 "[$net]"; }
      location /paths { return 200 "[$path]"; }
      location /logged { access_log ${place.dir}/access.log both; return 200; }
      location /seen {
        if ($seen = "") { set $seen 1; set $new yes; }
        add_header X-New $new;
        return 200 $seen;
      }
    }
    ${API(place)}`,
    {
      workers: WORKERS,
      stream: ({ port }) => `
      keyval_zone zone=targets:64k;
      keyval_zone zone=names:64k;
      keyval $server_port $target zone=targets;
      keyval last $last zone=names;
      upstream first { server 127.0.0.1:${first}; }
      upstream second { server 127.0.0.1:${second}; }
      server { listen 127.0.0.1:${port('tcp')}; set $last $remote_addr; proxy_pass $target; }`,
    },
  );
});

/** As the test's client shows it: a character for each byte. */
function latin1(value: object): unknown {
  return JSON.parse(Buffer.from(JSON.stringify(value)).toString('latin1'));
}

/** What every one of many connections gets. */
async function all(path: string, fields: string[] = []): Promise<string> {
  const answers = await Promise.all(Array.from({ length: MANY }, () => ask(scope, h.port('main'), path, { fields })));
  const [one, ...others] = new Set(
    answers.map((answer) => (answer.status === 200 ? text(answer) : String(answer.status))),
  );
  assert.deepEqual(others, [], 'all workers say the same');
  return one!;
}

test('pairs are added, read, changed, removed; all workers have them at once', async () => {
  const path = '/http/keyvals/texts';
  assert.deepEqual((await api(scope, h, path)).value, {});
  assert.equal(await all('/text?key=a'), '[]');
  assert.equal((await api(scope, h, path, 'POST', { a: 'one', 'b "c"': 2, '__proto__ ': 'x', 7: '' })).status, 201);
  assert.equal(await all('/text?key=a'), '[one]');
  assert.equal(await all('/text?key=7'), '[]');
  assert.deepEqual((await api(scope, h, path)).value, { a: 'one', 'b "c"': '2', '__proto__ ': 'x', 7: '' });
  assert.deepEqual((await api(scope, h, `${path}?key=b%20%22c%22`)).value, { 'b "c"': '2' });

  assert.equal((await api(scope, h, path, 'PATCH', { a: 'two' })).status, 204);
  assert.equal(await all('/text?key=a'), '[two]');
  assert.equal(await all('/text?key=A'), '[]', 'case matters');
  assert.equal((await api(scope, h, path, 'POST', { d: 'three' })).status, 201);
  assert.equal((await api(scope, h, path, 'PATCH', { a: null })).status, 204);
  assert.equal(await all('/text?key=a'), '[]');
  assert.equal((await api(scope, h, path, 'PATCH', { d: { value: null } })).status, 204);
  assert.equal((await api(scope, h, path, 'DELETE')).status, 204);
  assert.deepEqual((await api(scope, h, path)).value, {});
});

test('what is not ASCII travels as UTF-8', async () => {
  const path = '/http/keyvals/texts';
  assert.equal((await api(scope, h, path, 'POST', '{"cl\\u00e9":"\\u20ac"}')).status, 201);
  assert.equal(Buffer.from(await all('/text?key=cl\xc3\xa9'), 'latin1').toString(), '[€]');
  assert.deepEqual((await api(scope, h, `${path}?key=cl%C3%A9`)).value, latin1({ clé: '€' }));
});

test('errors have the statuses and codes of NGINX Plus', async () => {
  const path = '/http/keyvals/texts';
  await api(scope, h, path, 'POST', { a: '1' });
  const cases: [method: string, path: string, body: unknown, status: number, code: string, text: RegExp][] = [
    ['GET', '/http/keyvals/none', undefined, 404, 'KeyvalNotFound', /"none"/],
    ['GET', '/http/keyvals/targets', undefined, 404, 'KeyvalNotFound', /"targets"/],
    ['GET', `${path}/x`, undefined, 404, 'PathNotFound', /./],
    ['GET', `${path}?key=none`, undefined, 404, 'KeyvalKeyNotFound', /"none"/],
    ['POST', '/http/keyvals/none', { a: '1' }, 404, 'KeyvalNotFound', /./],
    ['POST', path, { a: '2' }, 409, 'KeyvalKeyExists', /^key "a" already exists$/],
    ['POST', path, { b: '2', c: '3' }, 400, 'KeyvalFormatError', /only one key can be added/],
    ['POST', path, '{', 415, 'JsonError', /./],
    ['POST', path, '[1]', 400, 'KeyvalFormatError', /object/],
    ['POST', path, {}, 400, 'KeyvalFormatError', /key required/],
    ['POST', path, { '': 'x' }, 400, 'KeyvalFormatError', /key required/],
    ['POST', path, { b: true }, 400, 'KeyvalFormatError', /value of key "b"/],
    ['POST', path, { b: ['x'] }, 400, 'KeyvalFormatError', /value of key "b"/],
    ['POST', path, { b: null }, 400, 'KeyvalFormatError', /value of key "b" required/],
    ['POST', path, { b: { value: 'x', expire: 5 } }, 400, 'KeyvalFormatError', /keyval timeout is not enabled/],
    ['POST', '/http/keyvals/ends', { b: { value: 'x', expire: 0 } }, 400, 'KeyvalFormatError', /"expire"/],
    ['POST', '/http/keyvals/ends', { b: { expire: 5 } }, 400, 'KeyvalFormatError', /value of key "b" required/],
    ['POST', '/http/keyvals/ends', { b: { value: 'x', until: 5 } }, 400, 'KeyvalFormatError', /"until"/],
    ['POST', '/http/keyvals/nets', { 'a.test': '1' }, 400, 'KeyvalFormatError', /invalid key format.*"a.test"/],
    ['PATCH', path, { b: '2' }, 404, 'KeyvalKeyNotFound', /"b"/],
    ['PATCH', path, { b: null }, 404, 'KeyvalKeyNotFound', /"b"/],
    ['PATCH', path, { a: '2', b: '3' }, 400, 'KeyvalFormatError', /only one key can be updated/],
    ['PATCH', path, {}, 400, 'KeyvalFormatError', /key required/],
    ['DELETE', '/http/keyvals/none', undefined, 404, 'KeyvalNotFound', /./],
    ['DELETE', '/http/keyvals', undefined, 405, 'MethodDisabled', /./],
    ['PUT', path, { a: '1' }, 405, 'MethodDisabled', /./],
  ];
  for (const [method, where, body, status, code, message] of cases) {
    const answer = await api(scope, h, where, method, body);
    const shown = `${method} ${where} ${JSON.stringify(body)}`;
    assert.deepEqual([answer.status, codeOf(answer)], [status, code], shown);
    assert.match(answer.value.error!.text as unknown as string, message, shown);
  }
  assert.deepEqual((await api(scope, h, path)).value, { a: '1' }, 'nothing has changed');
  const large = await ask(scope, h.port('api'), `/api/9${path}`, {
    method: 'POST',
    body: `{"b":"${'x'.repeat(70_000)}"}`,
  });
  assert.equal(large.status, 413, 'a body beyond client_body_buffer_size');
  const where = `/read/9${path}`;
  assert.equal(text(await ask(scope, h.port('api'), where)), '{"a":"1"}');
  assert.equal((await ask(scope, h.port('api'), where, { method: 'POST', body: '{"b":"1"}' })).status, 405);
  assert.equal((await ask(scope, h.port('api'), where, { method: 'DELETE' })).status, 405);
});

test('collections: names, versions', async () => {
  const zones = (await api(scope, h, '/http/keyvals')).value;
  assert.deepEqual(Object.keys(zones), ['texts', 'ends', 'short', 'nets', 'paths']);
  assert.deepEqual(Object.keys((await api(scope, h, '/stream/keyvals')).value), ['targets', 'names']);
  assert.deepEqual((await api(scope, h, '/stream/keyvals?fields=')).value, ['targets', 'names']);
  const at = async (path: string) => JSON.parse(text(await ask(scope, h.port('api'), path))) as string[];
  assert.ok((await at('/api/1/http')).includes('keyvals'));
  assert.ok(!(await at('/api/1/stream')).includes('keyvals'));
  assert.ok((await at('/api/2/stream')).includes('keyvals'));
  assert.equal((await ask(scope, h.port('api'), '/api/1/stream/keyvals')).status, 404);
  const old = { method: 'POST', body: '{"a":{"value":"x","expire":5}}' };
  assert.equal((await ask(scope, h.port('api'), '/api/4/http/keyvals/ends', old)).status, 400);
});

test('a zone that is full answers 413 and keeps what it has', async () => {
  const path = '/http/keyvals/texts';
  let n = 0;
  let answer: Answer;
  do answer = await api(scope, h, path, 'POST', { [`key${n++}`]: 'v'.repeat(7000) });
  while (answer.status === 201);
  assert.deepEqual([answer.status, codeOf(answer)], [413, 'KeyvalOutOfMemory']);
  assert.ok(n > 6, `${n} pairs of two pages each in sixteen`);
  const zone = (await api(scope, h, path)).value;
  assert.equal(Object.keys(zone).length, n - 1);
  // Several pairs are taken all or none.
  await api(scope, h, path, 'DELETE');
  const many = Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`k${i}`, 'v'.repeat(i > 6 ? 31_000 : 5)]));
  assert.equal((await api(scope, h, path, 'POST', many)).status, 413);
  assert.deepEqual((await api(scope, h, path)).value, {});

  const value = 'v'.repeat(3900);
  const used: number[] = [];
  for (let i = 0; i < 17; i++) used.push((await ask(scope, h.port('main'), `/set?key=s${i}&value=${value}`)).status);
  assert.deepEqual(new Set(used), new Set([200]), 'requests go on');
  await h.logged(/keyval zone "texts" did not take key "s16": the zone is full/);
});

test('set changes the pair for all; maps and logs see it', async () => {
  assert.equal(text(await ask(scope, h.port('main'), '/set?key=k&value=yes')), '[yes]');
  assert.equal(await all('/text?key=k'), '[yes]');
  assert.equal(await all('/mapped?key=k'), 'yes');
  assert.deepEqual((await api(scope, h, '/http/keyvals/texts')).value, { k: 'yes' });
  await ask(scope, h.port('main'), '/logged?key=k');
  assert.equal(await h.logged('yes', 'access.log'), '200 yes -\n');
  await api(scope, h, '/http/keyvals/texts', 'POST', { pool: 'green' });
  assert.equal(await all('/pool'), 'green', 'a key without variables, a variable in capitals');

  const seen = (fields: string[]) => ask(scope, h.port('main'), '/seen', { fields });
  const answers = [];
  for (let i = 0; i < 4; i++) answers.push(await seen(['X-One: a', 'X-Two: b']));
  assert.deepEqual(
    answers.map((answer) => field(answer, 'X-New')),
    ['yes', null, null, null],
  );
  assert.equal(field(await seen(['X-One: a', 'X-Two: c']), 'X-New'), 'yes');
  assert.deepEqual(Object.keys((await api(scope, h, '/http/keyvals/ends')).value).sort(), ['a:b', 'a:c']);
});

test('pairs end with the timeout of the zone, or with their own', async () => {
  await api(scope, h, '/http/keyvals/short', 'POST', { a: 'zone', b: { value: 'own', expire: 3_600_000 } });
  await ask(scope, h.port('main'), '/brief-set?key=c&value=set');
  const begun = performance.now();
  await until('the end of a and c', async () => {
    const left = Object.keys((await api(scope, h, '/http/keyvals/short')).value);
    return left.join() === 'b';
  });
  assert.ok(performance.now() - begun > 500, 'not at once');
  assert.equal(await all('/brief?key=a'), '[]');
  assert.equal(await all('/brief?key=b'), '[own]');
  // The main thread gives their memory back.
  await until('the memory of both', async () => {
    const { slots } = (await api(scope, h, '/slabs/short')).value;
    return (slots!['64']!.used as unknown as number) === 1;
  });

  assert.equal((await api(scope, h, '/http/keyvals/ends', 'POST', { e: 'x' })).status, 201);
  assert.equal((await api(scope, h, '/http/keyvals/ends', 'PATCH', { e: { expire: 1 } })).status, 204);
  await until('the end that was brought forward', async () => (await all('/end?key=e')) === '[]');
  assert.equal((await api(scope, h, '/http/keyvals/ends', 'POST', { e: 'again' })).status, 201, 'its place is free');
});

test('type=ip: a list of addresses and networks', async () => {
  const path = '/http/keyvals/nets';
  const blocked = async (address: string): Promise<boolean> => (await all(`/net?address=${address}`)) === '403';
  assert.equal(
    (await api(scope, h, path, 'POST', { '10.0.0.0/8': '1', '10.1.0.0/16': '0', '2001:db8::/32': '1' })).status,
    201,
  );
  assert.equal((await api(scope, h, path, 'POST', { '192.0.2.1': '1' })).status, 201);
  assert.equal(await blocked('10.2.3.4'), true);
  assert.equal(await blocked('10.1.3.4'), false, 'the smaller network counts, and it says 0');
  assert.equal(await blocked('192.0.2.1'), true);
  assert.equal(await blocked('192.0.2.2'), false);
  assert.equal(await blocked('2001:db8:1::5'), true);
  assert.equal(await blocked('nonsense'), false);
  assert.equal((await api(scope, h, path, 'POST', { '10.9.9.9/8': '1' })).status, 409, 'the same network');
  assert.deepEqual((await api(scope, h, `${path}?key=192.0.2.1/32`)).value, { '192.0.2.1/32': '1' });
  await ask(scope, h.port('main'), '/net-set?address=nonsense');
  await h.logged(/keyval zone "nets" did not take key "nonsense": the key cannot be one of this zone/);
});

test('type=prefix: the longest beginning', async () => {
  await api(scope, h, '/http/keyvals/paths', 'POST', { '/paths/': 'all', '/paths/a': 'a', '/paths/abc': 'abc' });
  assert.equal(await all('/paths/x'), '[all]');
  assert.equal(await all('/paths/abb'), '[a]');
  assert.equal(await all('/paths/abcd'), '[abc]');
  assert.equal(await all('/paths'), '[]');
});

test('variables that need each other end', async () => {
  assert.equal(await all('/loop'), '[]');
  await h.logged(/cycle while evaluating variable "loop_[ab]"/);
});

test('stream: the group of a session, and what sessions set', async () => {
  const port = String(h.port('tcp'));
  assert.equal(await call(scope, h.port('tcp'), 'x').catch(() => ''), '', 'nowhere yet');
  const talk = async (): Promise<string> => {
    const caller = await Caller.to(scope, h.port('tcp'));
    caller.socket.write('hi');
    await until('the echo', () => caller.text.endsWith('hi'));
    caller.socket.destroy();
    return caller.text;
  };
  assert.equal((await api(scope, h, '/stream/keyvals/targets', 'POST', { [port]: 'first' })).status, 201);
  assert.equal(await talk(), 'first hi');
  assert.equal((await api(scope, h, '/stream/keyvals/targets', 'PATCH', { [port]: 'second' })).status, 204);
  for (let i = 0; i < 8; i++) assert.equal(await talk(), 'second hi');
  assert.deepEqual((await api(scope, h, '/stream/keyvals')).value, {
    targets: { [port]: 'second' },
    names: { last: '127.0.0.1' },
  });
});

test('slabs: pages and slots of each zone, their counters reset', async () => {
  const slabs = (await api(scope, h, '/slabs')).value;
  assert.deepEqual(Object.keys(slabs), ['texts', 'ends', 'short', 'nets', 'paths', 'targets', 'names']);
  assert.deepEqual(slabs.texts!.pages, { used: 0, free: 16 });
  assert.ok((slabs.texts!.slots!['64']!.reqs as unknown as number) > 0);
  assert.equal((await api(scope, h, '/slabs/texts', 'DELETE')).status, 204);
  await api(scope, h, '/http/keyvals/texts', 'POST', { a: '1' });
  const after = (await api(scope, h, '/slabs/texts')).value;
  assert.deepEqual(after.pages, { used: 1, free: 15 });
  assert.deepEqual(after.slots!['64'], { used: 1, free: 63, reqs: 1, fails: 0 });
  assert.equal(codeOf(await api(scope, h, '/slabs/none')), 'SlabNotFound');
  const metrics = text(await ask(scope, h.port('api'), '/metrics'));
  assert.match(metrics, /^headrace_slab_pages\{zone="texts",state="used"\} 1$/m);
  assert.match(metrics, /^headrace_slab_allocation_fails_total\{zone="nets"\} 0$/m);
});

// --------------------------------------------------------------------------------------------- reload, restart, files

test('a reload keeps zones; another size, type or timeout brings the pairs along', async (t) => {
  const server = (place: Place, zone: string, variable = 'keyval $arg_key $value zone=one;'): string => `
    ${zone} ${variable}
    server { listen 127.0.0.1:${place.port('main')}; location / { return 200 "[$value]"; } }
    ${API(place)}`;
  const x = await Headrace.start(t, (place) => server(place, 'keyval_zone zone=one:64k timeout=1h;'), { workers: 2 });
  const generation = async (): Promise<unknown> => (await api(t, x, '/nginx')).value.generation;
  const reload = async (zone: string, variable?: string): Promise<void> => {
    const before = await generation();
    x.configure((place) => server(place, zone, variable));
    x.signal('SIGHUP');
    await until('the reload', async () => (await generation()) !== before);
  };
  const value = async (key: string): Promise<string> => text(await ask(t, x.port('main'), `/?key=${key}`));
  await api(t, x, '/http/keyvals/one', 'POST', { '10.0.0.0/8': 'a', '10.0.0.1': 'b' });
  for (const zone of [
    'keyval_zone zone=one:64k timeout=1h;',
    'keyval_zone zone=one:64k timeout=2h;',
    'keyval_zone zone=one:128k timeout=2h;',
    'keyval_zone zone=one:32k;',
  ]) {
    await reload(zone);
    assert.equal(await value('10.0.0.1'), '[b]', zone);
  }
  assert.equal(await value('10.0.0.2'), '[]');
  await reload('keyval_zone zone=one:32k type=ip;');
  assert.equal(await value('10.0.0.2'), '[a]');

  // What does not fit is refused, and the zone that runs goes on.
  await reload('keyval_zone zone=one:128k;');
  for (let i = 0; i < 8; i++) await api(t, x, '/http/keyvals/one', 'POST', { [`k${i}`]: 'v'.repeat(8000) });
  x.configure((place) => server(place, 'keyval_zone zone=one:32k;'));
  x.signal('SIGHUP');
  await x.logged('keyval_zone "one" is too small for the 10 pairs of the zone that runs');
  x.configure((place) => server(place, 'keyval_zone zone=one:128k type=ip;'));
  x.signal('SIGHUP');
  await x.logged('keyval_zone "one" of type "ip" cannot have key "k');
  assert.equal(Object.keys((await api(t, x, '/http/keyvals/one')).value).length, 10);

  x.configure((place) => server(place, 'keyval_zone zone=one:90000000m;'));
  x.signal('SIGHUP');
  await x.logged('keyval_zone "one": there is no memory for its size of 94371840000000 bytes');
  assert.equal(await value('10.0.0.1'), '[b]');

  await reload('keyval_zone zone=other:64k;', 'keyval $arg_key $value zone=other;');
  assert.equal(codeOf(await api(t, x, '/http/keyvals/one')), 'KeyvalNotFound');
  assert.equal(await value('10.0.0.1'), '[]');
});

test('state: pairs survive restart and kill, with their ends; the file is whole, or refused by line', async (t) => {
  const x = await Headrace.start(
    t,
    (place) => `
    keyval_zone zone=one:1m state=one.keyval timeout=1h;
    keyval_zone zone=two:64k state=${place.dir}/two.keyval type=ip;
    keyval $arg_key $value zone=one;
    server { listen 127.0.0.1:${place.port('main')}; location / { return 200 "[$value]"; }
      location /set { set $value $arg_value; return 200; } }
    ${API(place)}`,
    { workers: 2, mayFail: true },
  );
  const one = '/http/keyvals/one';
  const contents = async (): Promise<unknown> => (await api(t, x, one)).value;
  assert.equal(existsSync(join(x.dir, 'one.keyval')), false);
  assert.equal((await api(t, x, one, 'POST', '{"a":"1","cl\\u00e9 \\"":"\\u20ac\\n"}')).status, 201);
  assert.equal((await api(t, x, one, 'POST', { soon: { value: 'x', expire: 1500 } })).status, 201);
  assert.equal((await api(t, x, '/http/keyvals/two', 'POST', { '10.0.0.0/8': 'ten' })).status, 201);
  assert.equal(x.read('two.keyval'), '[\n["10.0.0.0/8","ten"]\n]\n');
  assert.match(x.read('one.keyval'), /^\[\n(?:.*\n)*\["a","1",\d{13}\],?\n/);

  // What was acknowledged is on the disk.
  assert.equal((await api(t, x, one, 'PATCH', { a: '2' })).status, 204);
  x.signal('SIGKILL');
  await until('its end', () => !x.running);
  await until('the end of the pair', () => Date.now() > Number(/"soon".*?(\d{13})/.exec(x.read('one.keyval'))![1]));
  await x.restart();
  assert.deepEqual(await contents(), latin1({ a: '2', 'clé "': '€\n' }));
  assert.deepEqual((await api(t, x, '/http/keyvals/two')).value, { '10.0.0.0/8': 'ten' });

  // What requests set is written soon, and at the end; also what is no UTF-8.
  await ask(t, x.port('main'), '/set?key=s&value=set\xff');
  await until('the file', () => x.read('one.keyval').includes('["s","set\xff",'));
  await ask(t, x.port('main'), '/set?key=last&value=v');
  await x.restart();
  assert.equal(text(await ask(t, x.port('main'), '/?key=s')), '[set\xff]');
  assert.equal(text(await ask(t, x.port('main'), '/?key=last')), '[v]');
  assert.equal((await api(t, x, one, 'DELETE')).status, 204);
  assert.equal(x.read('one.keyval'), '[]\n');
  assert.deepEqual(
    readdirSync(x.dir).filter((name) => name.endsWith('.tmp')),
    [],
  );

  assert.equal((await api(t, x, one, 'POST', { kept: '1' })).status, 201);
  await x.stop();
  for (const [content, message] of [
    ['[\n["a","1"],\n["b",2]\n]\n', /invalid value of key "b" in .*one\.keyval:3/],
    [
      `[["a","${'x'.repeat(1 << 20)}"]]`,
      /keyval_zone "one" is too small for the 1 pairs of its state file ".*one\.keyval"/,
    ],
  ] as const) {
    writeFileSync(join(x.dir, 'one.keyval'), content);
    writeFileSync(join(x.dir, 'error.log'), '');
    await x.restart();
    assert.match(await x.logged(message), /\[emerg\]/);
    await until('its end', () => !x.running);
    assert.equal(x.read('one.keyval'), content, 'the file is as it was');
  }
});

test('a state file that cannot be written is told of, and the change is in effect', async (t) => {
  const x = await Headrace.start(
    t,
    (place) => `
    keyval_zone zone=one:64k state=gone/one.keyval;
    keyval $arg_key $value zone=one;
    server { listen 127.0.0.1:${place.port('main')}; location / { return 200 "[$value]"; } }
    ${API(place)}`,
  );
  const answer = await api(t, x, '/http/keyvals/one', 'POST', { a: '1' });
  assert.deepEqual([answer.status, codeOf(answer)], [507, 'StateNotWritten']);
  assert.equal(text(await ask(t, x.port('main'), '/?key=a')), '[1]');
  x.file('gone/other', '');
  chmodSync(join(x.dir, 'gone'), 0o777);
  assert.equal((await api(t, x, '/http/keyvals/one', 'PATCH', { a: '2' })).status, 204);
  assert.equal(x.read('gone/one.keyval'), '[\n["a","2"]\n]\n');
});
