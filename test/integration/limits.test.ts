/** limit_req and limit_conn of the program: over two workers, with waits, dry runs, reloads. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { answering, Backend, ok } from '../helpers/backend.ts';
import { ask, Client, compose } from '../helpers/client.ts';
import { Headrace } from '../helpers/headrace.ts';
import { field } from '../helpers/http1.ts';
import { suiteScope, until } from '../helpers/wait.ts';

const scope = suiteScope(after);

describe('limits', () => {
  let h: Headrace;
  let backend: Backend;
  /** Answers that wait for the test. */
  const waiting: (() => void)[] = [];

  before(async () => {
    backend = await Backend.start(
      scope,
      answering(async (request) => {
        if (request.target.startsWith('/hold')) await new Promise<void>((resolve) => waiting.push(resolve));
        return ok('answer');
      }),
    );
    h = await Headrace.start(scope, configuration, { workers: 2, files: { 'files/page': 'the page' } });
  });

  const configuration = ({ port, dir }: { port: (name: string) => number; dir: string }): string => `
    limit_req_zone $arg_k zone=minute:64k rate=1r/m;
    limit_req_zone $arg_k zone=second:64k rate=5r/s;
    limit_req_zone $arg_other zone=other:64k rate=1r/m;
    limit_conn_zone $arg_k zone=held:64k;
    limit_conn_zone $server_name zone=all:64k;
    server {
      listen 127.0.0.1:${port('main')};
      root ${dir}/files;
      add_header X-Req $limit_req_status always;
      add_header X-Conn $limit_conn_status always;
      location /burst { limit_req zone=minute burst=9 nodelay; limit_req_status 429; try_files /page =404; }
      location /wait { limit_req zone=second burst=5; try_files /page =404; }
      location /long { limit_req zone=minute burst=1; access_log left.log; try_files /page =404; }
      location /dry { limit_req zone=minute; limit_req_dry_run on; limit_conn held 1; limit_conn_dry_run on;
        try_files /page =404; }
      location /two { limit_req zone=other; limit_req zone=minute burst=1 nodelay; try_files /page =404; }
      location /hold { limit_conn held 3; limit_conn all 100; limit_conn_status 420; proxy_pass http://127.0.0.1:${backend.port}; }
      location /inner { limit_req zone=minute; error_page 503 /burst; }
    }`;

  test('a client that ends its side while it is held back has left', async () => {
    const { status } = await get('/long?k=leaves');
    assert.equal(status, 200);
    const client = await Client.connect(scope, h.port('main'));
    await client.send(compose('/long?k=leaves'));
    await h.logged(/delaying request, excess: (0\.9\d\d|1\.000), by zone "minute"/);
    client.socket.end();
    await h.logged('"GET /long?k=leaves HTTP/1.1" 499', 'left.log');
  });

  const get = (target: string) => ask(scope, h.port('main'), target);
  const release = (): void => {
    for (const go of waiting.splice(0)) go();
  };

  test('a burst is counted once over all workers', async () => {
    const answers = await Promise.all(Array.from({ length: 30 }, () => get('/burst?k=burst')));
    const statuses = answers.map(({ status }) => status);
    assert.equal(statuses.filter((status) => status === 200).length, 10);
    assert.equal(statuses.filter((status) => status === 429).length, 20);
    assert.equal(
      field(
        answers.find(({ status }) => status === 429)!,
        'X-Req',
      ),
      'REJECTED',
    );
    await h.logged(/\[error\].* limiting requests, excess: (9\.9\d\d|10\.000) by zone "minute", client:/);
    assert.equal((await get('/burst?k=another')).status, 200);
    assert.equal(field(await get('/burst'), 'X-Req'), null, 'without a key nothing is counted');
  });

  test('a request above the rate waits; a client that leaves meanwhile does no harm', async () => {
    const begun = performance.now();
    const answers = await Promise.all(Array.from({ length: 4 }, () => get('/wait?k=w')));
    assert.ok(performance.now() - begun >= 590, 'the fourth waits for three fifths of a second');
    assert.deepEqual(answers.map((answer) => `${answer.status} ${field(answer, 'X-Req')}`).sort(), [
      '200 DELAYED',
      '200 DELAYED',
      '200 DELAYED',
      '200 PASSED',
    ]);
    await h.logged(/\[warn\].* delaying request, excess: \d\.\d{3}, by zone "second", client:/);
    const gone = await Client.connect(scope, h.port('main'));
    await gone.send(compose('/wait?k=w'));
    gone.reset();
    assert.equal((await get('/wait?k=x')).status, 200);
  });

  test('a dry run tells and lets through', async () => {
    assert.equal(field(await get('/dry?k=dry'), 'X-Req'), 'PASSED');
    const second = await get('/dry?k=dry');
    assert.deepEqual([second.status, field(second, 'X-Req')], [200, 'REJECTED_DRY_RUN']);
    await h.logged(/limiting requests, dry run, excess: (1\.000|0\.99\d) by zone/);
  });

  test('of several limits all must agree, and a refused request is counted by none', async () => {
    assert.equal((await get('/two?k=two&other=1')).status, 200);
    // "other" refuses: "minute" has counted one so far, and takes another.
    assert.equal((await get('/two?k=two&other=1')).status, 503);
    assert.equal((await get('/two?k=two&other=2')).status, 200);
    assert.equal((await get('/two?k=two&other=3')).status, 503);
    // So "other" does not know 3 yet.
    assert.equal((await get('/two?k=three&other=3')).status, 200);
  });

  test('a request is asked once, also where an error page takes it', async () => {
    await get('/inner?k=inner');
    const page = await get('/inner?k=inner');
    assert.deepEqual([page.status, page.body.latin1Slice()], [503, 'the page']);
  });

  test('connections: so many at a time over all workers, given back when they end, kept over a reload', async () => {
    const hold = async (): Promise<Client> => {
      const client = await Client.connect(scope, h.port('main'));
      await client.send(compose('/hold?k=c'));
      return client;
    };
    const clients = [await hold(), await hold(), await hold()];
    await until('three at the backend', () => waiting.length === 3);
    for (let i = 0; i < 4; i++) {
      const refused = await get('/hold?k=c');
      assert.deepEqual([refused.status, field(refused, 'X-Conn')], [420, 'REJECTED']);
    }
    await h.logged(/\[error\].* limiting connections by zone "held", client:/);

    const reloads = h.lines('reconfiguring').length;
    h.signal('SIGHUP');
    await until('reload', () => h.lines('reconfiguring').length > reloads);
    await until('new generation', async () => (await get('/burst?k=reload')).status === 200);
    assert.equal((await get('/hold?k=c')).status, 420, 'those of the old generation count');

    clients[0]!.reset();
    release();
    for (const client of clients.slice(1)) assert.equal((await client.response()).status, 200);
    const next = await hold();
    await until('it reaches the backend', () => waiting.length > 0);
    release();
    const answer = await next.response();
    assert.deepEqual([answer.status, field(answer, 'X-Conn')], [200, 'PASSED']);
  });
});
