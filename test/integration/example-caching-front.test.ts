/** examples/caching-front, on free ports. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { answering, Backend, ok } from '../helpers/backend.ts';
import { type Ask, ask } from '../helpers/client.ts';
import { Headrace } from '../helpers/headrace.ts';
import { field, type Response, text } from '../helpers/http1.ts';

const CONF = join(import.meta.dirname, '../../examples/caching-front/nginx.conf');

test('a cache in front of an application', async (t) => {
  let fails = false;
  let count = 0;
  const application = await Backend.start(
    t,
    answering(({ target }) => {
      if (fails) return ok('oops', [], '500 Oops');
      return ok(`${target} ${++count}`, target.startsWith('/static/') ? ['Set-Cookie: a=b'] : []);
    }),
  );
  const inside = /^http \{\n([^]*)^\}/m.exec(readFileSync(CONF, 'utf8'))![1]!;
  const h = await Headrace.start(
    t,
    ({ port }) =>
      inside
        .replaceAll(/127\.0\.0\.1:(808[12])/g, `127.0.0.1:${application.port}`)
        .replaceAll('127.0.0.1:8080', `127.0.0.1:${port('main')}`)
        .replaceAll('127.0.0.1:8090', `127.0.0.1:${port('purge')}`)
        .replace(`server 127.0.0.1:${application.port};`, ''),
    { workers: 2 },
  );
  const get = (target: string, options?: Ask): Promise<Response> => ask(t, h.port('main'), target, options);
  const shown = async (target: string, options?: Ask): Promise<string> => {
    const response = await get(target, options);
    return `${response.status} ${field(response, 'x-cache-status') ?? '-'} ${text(response)}`;
  };

  assert.equal(await shown('/page'), '200 MISS /page 1');
  assert.equal(await shown('/page'), '200 HIT /page 1');
  assert.equal(await shown('/page', { fields: ['Cookie: session=1'] }), '200 BYPASS /page 2');
  assert.equal(await shown('/page'), '200 HIT /page 1');
  assert.equal(await shown('/static/a.css'), '200 MISS /static/a.css 3');
  const kept = await get('/static/a.css');
  assert.equal(text(kept), '/static/a.css 3');
  assert.equal(field(kept, 'set-cookie'), null);
  assert.equal(await shown('/api/x'), '200 - /api/x 4');
  assert.equal(await shown('/api/x'), '200 - /api/x 5');

  const purge = (target: string): Promise<Response> => ask(t, h.port('purge'), target, { method: 'PURGE' });
  assert.equal((await purge('/page?host=localhost')).status, 204);
  fails = true;
  assert.equal((await get('/page')).status, 500);
  assert.equal(await shown('/static/a.css'), '200 HIT /static/a.css 3');
  assert.match((await h.logged('cache=HIT', 'access.log')).split('\n')[0]!, /cache=MISS/);
});
