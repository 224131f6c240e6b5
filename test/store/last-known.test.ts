/** What a store held last, in a file: for its owner alone, for that store alone. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { readDeclarative } from '../../src/config/kong/declarative.ts';
import { Feed } from '../../src/store/feed.ts';
import { LastKnown } from '../../src/store/last-known.ts';
import { openStore, placeOf } from '../../src/store/open.ts';
import { StoreUnavailable } from '../../src/store/store.ts';
import { directory } from '../helpers/headrace.ts';
import { until } from '../helpers/wait.ts';

const { entities } = readDeclarative(
  { _format_version: '3.0', upstreams: [{ name: 'u' }] },
  { now: () => 1, uuid: randomUUID },
);

test('it is kept at the end, and read again', (t) => {
  const dir = directory(t);
  const kept = new LastKnown(join(dir, 'data'), 'db', assert.ifError);
  assert.equal(kept.read(), null);
  let asked = 0;
  for (let i = 0; i < 3; i++) kept.note(() => (asked++, entities!));
  kept.flush();
  kept.flush();
  assert.equal(asked, 1);
  const file = join(dir, 'data/last-known.json');
  assert.equal(statSync(file).mode & 0o077, 0);
  assert.deepEqual(kept.read(), { revision: -1, entities });
  assert.equal(new LastKnown(join(dir, 'data'), 'another', assert.ifError).read(), null);
  writeFileSync(file, readFileSync(file, 'utf8').slice(0, 40));
  assert.equal(kept.read(), null);
});

test('it is written a while after a change, with all kinds of entities, and not by halves when the end comes', async (t) => {
  const dir = directory(t);
  const { entities: many } = readDeclarative(
    {
      _format_version: '3.0',
      services: [{ name: 's', host: 'u', routes: [{ name: 'r', paths: ['/'] }] }],
      upstreams: Array.from({ length: 400 }, (_, i) => ({ name: `u${i}`, targets: [{ target: `10.0.0.1:${i + 1}` }] })),
    },
    { now: () => 1, uuid: randomUUID },
  );
  const kept = new LastKnown(join(dir, 'data'), 'db', assert.ifError, 1);
  kept.note(() => many!);
  await until('the file', () => kept.read() !== null);
  assert.deepEqual(kept.read(), { revision: -1, entities: many });
  // the end comes while it is written: what was noted last is there
  let begun = false;
  kept.note(() => {
    begun = true;
    return entities!;
  });
  await until('the write', () => begun);
  kept.note(() => many!);
  kept.note(() => entities!);
  kept.flush();
  assert.deepEqual(kept.read(), { revision: -1, entities });
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual(kept.read(), { revision: -1, entities });
});

test('where it cannot be written, that is said once', (t) => {
  const dir = directory(t);
  writeFileSync(join(dir, 'file'), '');
  let said = 0;
  const kept = new LastKnown(join(dir, 'file/data'), 'db', () => said++);
  for (let i = 0; i < 3; i++) {
    kept.note(() => entities!);
    kept.flush();
  }
  assert.equal(said, 1);
});

test('places have no passwords', () => {
  assert.equal(
    placeOf('postgres://me:secret@db:5432/kong?password=secret&x=1'),
    'postgres://me@db:5432/kong?password=***&x=1',
  );
});

test('a follower is told what is known while the store is away, and everything when it is back', async (t) => {
  const store = await openStore('memory');
  t.after(() => store.close());
  let away = true;
  const told: string[] = [];
  const flaky = {
    snapshot: () => (away ? Promise.reject(new StoreUnavailable('gone')) : store.snapshot()),
    changes: (since: number) => (away ? Promise.reject(new StoreUnavailable('gone')) : store.changes(since)),
    watch: (wake: () => void) => store.watch(wake),
  };
  const follower = {
    snapshot: ({ entities: all }: { entities: { upstreams: unknown[] } }) =>
      void told.push(`all ${all.upstreams.length}`),
    changes: () => void told.push('changes'),
    trouble: (error: Error | null) => void told.push(error === null ? 'back' : 'away'),
  };
  await assert.rejects(Feed.start(flaky as never, follower), StoreUnavailable);
  const feed = await Feed.start(flaky as never, follower, { revision: -1, entities: entities! });
  t.after(() => feed.stop());
  assert.deepEqual(told, ['away', 'all 1']);
  away = false;
  await until('the store', () => told.length === 4);
  assert.deepEqual(told.slice(2).toSorted(), ['all 0', 'back']);
});
