/** Who follows a store is told everything once and in order, and what was missed while it was away. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import type { Entity } from '../../src/config/kong/schema.ts';
import { SCHEMAS } from '../../src/config/kong/schemas.ts';
import { create } from '../../src/config/kong/validate.ts';
import { Feed, type Follower } from '../../src/store/feed.ts';
import { openStore } from '../../src/store/open.ts';
import { StoreUnavailable, type Write } from '../../src/store/store.ts';
import { Postgres } from '../helpers/postgres.ts';
import { until } from '../helpers/wait.ts';

function upstream(name: string): Write {
  const { entity } = create(SCHEMAS.upstreams, { name }, { now: () => 1, uuid: randomUUID });
  return { op: 'put', kind: 'upstreams', entity: entity as Entity, expect: null };
}

class Recorder implements Follower {
  readonly told: string[] = [];
  snapshot({ entities }: Parameters<Follower['snapshot']>[0]): void {
    this.told.push(
      `all: ${entities.upstreams
        .map(({ name }) => name as string)
        .sort()
        .join(' ')}`,
    );
  }
  changes(changes: Parameters<Follower['changes']>[0]): void {
    for (const { entity } of changes) this.told.push((entity?.name as string | undefined) ?? 'gone');
  }
  trouble(error: Error | null): void {
    this.told.push(error === null ? 'back' : 'away');
  }
}

test('first everything, then changes, one at a time', async (t) => {
  const store = await openStore('memory');
  t.after(() => store.close());
  await store.write([upstream('a'), upstream('b')]);
  const recorder = new Recorder();
  const feed = await Feed.start(store, recorder);
  t.after(() => feed.stop());
  let revision = 0;
  for (const name of ['c', 'd', 'e']) revision = await store.write([upstream(name)]);
  assert.equal(await feed.reached(revision, 10_000), true);
  assert.deepEqual(recorder.told, ['all: a b', 'c', 'd', 'e']);
  assert.equal(feed.revision, revision);
  assert.equal(await feed.reached(revision + 1, 1), false);
});

test('what a follower could not take is told again', async (t) => {
  const store = await openStore('memory');
  t.after(() => store.close());
  const recorder = new Recorder();
  let fails = 1;
  const feed = await Feed.start(store, {
    snapshot: (snapshot) => recorder.snapshot(snapshot),
    changes: async (changes) => {
      if (fails-- > 0) throw new Error('not now');
      recorder.changes(changes);
    },
    trouble: (error) => recorder.trouble(error),
  });
  t.after(() => feed.stop());
  await store.write([upstream('a')]);
  await until('both', () => recorder.told.includes('back'));
  assert.deepEqual(recorder.told, ['all: ', 'away', 'a', 'back']);
});

test('PostgreSQL goes away and comes back: nothing is missed', async (t) => {
  const postgres = await Postgres.start(t, t);
  if (postgres === null) return;
  const url = await postgres.database();
  const [here, there] = [await openStore(url), await openStore(url)];
  t.after(() => Promise.all([here.close(), there.close()]));
  const recorder = new Recorder();
  const feed = await Feed.start(here, recorder);
  t.after(() => feed.stop());
  await there.write([upstream('before')]);
  await until('the first', () => recorder.told.includes('before'));

  await postgres.stop();
  await until('it to be noticed', () => recorder.told.includes('away'));
  await assert.rejects(here.write([upstream('lost')]), StoreUnavailable);
  await assert.rejects(here.get('upstreams', randomUUID()), StoreUnavailable);
  assert.equal(await here.ping(), false);

  await postgres.start();
  await until('a write', async () => {
    try {
      await there.write([upstream('after')]);
      return true;
    } catch {
      return false;
    }
  });
  await until('the second', () => recorder.told.includes('after'));
  await until('it to be said', () => recorder.told.includes('back'));
  assert.deepEqual(
    recorder.told.filter((told) => told !== 'back' && told !== 'away'),
    ['all: ', 'before', 'after'],
  );
});

test('nodes that start at once make the tables once', async (t) => {
  const postgres = await Postgres.start(t, t);
  if (postgres === null) return;
  const url = await postgres.database();
  const stores = await Promise.all(Array.from({ length: 4 }, () => openStore(url)));
  t.after(() => Promise.all(stores.map((store) => store.close())));
  await stores[0]?.write([upstream('a')]);
  assert.equal((await stores[3]?.snapshot())?.entities.upstreams.length, 1);
});

test('a database that is not there, or newer, says so', async (t) => {
  await assert.rejects(openStore('postgres://u:secret@127.0.0.1:1/x'), (error) => {
    assert.ok(error instanceof StoreUnavailable);
    assert.match(error.message, /^postgres:\/\/u@127\.0\.0\.1:1\/x: .*ECONNREFUSED/);
    return true;
  });
  await assert.rejects(openStore('sqlite:/dev/null/x/y.db'), /\/dev\/null\/x\/y\.db: ENOTDIR/);
  const { SqliteDriver } = await import('../../src/store/sqlite.ts');
  const { query } = await import('../../src/store/driver.ts');
  const { migrate } = await import('../../src/store/migrations.ts');
  const driver = new SqliteDriver(':memory:');
  t.after(() => driver.close());
  assert.deepEqual(await migrate(driver), { from: 0, to: 1 });
  assert.deepEqual(await migrate(driver), { from: 1, to: 1 });
  await driver.run(query('INSERT INTO headrace_schema (version) VALUES (99)'), 'write');
  await assert.rejects(migrate(driver), /memory has tables of version 99, of a newer Headrace; this one knows up to 1/);
});
