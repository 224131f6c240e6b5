/** One suite for both databases: what `Store` promises. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, suite, test } from 'node:test';
import { KongError } from '../../src/config/kong/errors.ts';
import { KINDS } from '../../src/config/kong/schema.ts';
import type { Entity, EntityKind, JsonObject } from '../../src/config/kong/schema.ts';
import { SCHEMAS } from '../../src/config/kong/schemas.ts';
import { create } from '../../src/config/kong/validate.ts';
import { openStore } from '../../src/store/open.ts';
import { type Entities, StaleWrite, type Store, type Write } from '../../src/store/store.ts';
import { directory } from '../helpers/headrace.ts';
import { Postgres } from '../helpers/postgres.ts';
import { suiteScope, until } from '../helpers/wait.ts';
import { join } from 'node:path';

const env = { now: () => Date.now() / 1000, uuid: randomUUID };

function make(kind: EntityKind, input: JsonObject): Entity {
  const { entity, errors } = create(SCHEMAS[kind], input, env);
  assert.equal(errors, null);
  return entity as Entity;
}
const put = (kind: EntityKind, entity: Entity, expect: number | null = null): Write => ({
  op: 'put',
  kind,
  entity,
  expect,
});
const message = (text: RegExp) => (error: unknown) => error instanceof KongError && text.test(error.message);
const empty = (): Entities => Object.fromEntries(KINDS.map((kind) => [kind, []])) as unknown as Entities;

for (const driver of ['sqlite', 'postgres'] as const) {
  suite(driver, () => {
    const scope = suiteScope(after);
    let url = '';
    let store: Store;

    before(async (t) => {
      if (driver === 'sqlite') url = `sqlite:${join(directory(scope), 'data', 'kong.db')}`;
      else {
        const postgres = await Postgres.start(t as never, scope);
        if (postgres === null) return;
        url = await postgres.database();
      }
      store = await openStore(url);
      scope.after(() => store.close());
    });

    const check = (name: string, work: () => Promise<void>): void => {
      test(name, async (t) => {
        if (url === '') return t.skip('postgres is not installed');
        await work();
      });
    };

    check('an entity comes back as it was written, with its fields in order', async () => {
      const upstream = make('upstreams', { name: 'back', tags: ['a'] });
      const revision = await store.write([put('upstreams', upstream)]);
      const row = await store.get('upstreams', upstream.id);
      assert.deepEqual(row, { entity: upstream, revision });
      assert.equal(JSON.stringify(row.entity), JSON.stringify(upstream));
      assert.deepEqual(await store.find('upstreams', 'name', 'back'), row);
      assert.equal(await store.find('upstreams', 'name', 'BACK'), null);
      assert.equal(await store.get('targets', upstream.id), null);
    });

    check('a key can be had once, and again when it is free', async () => {
      const [a, b] = [make('upstreams', { name: 'twice' }), make('upstreams', { name: 'twice' })];
      await store.write([put('upstreams', a)]);
      await assert.rejects(
        store.write([put('upstreams', b)]),
        message(/^UNIQUE violation detected on '\{name="twice"\}'$/),
      );
      await store.write([{ op: 'delete', kind: 'upstreams', id: a.id }, put('upstreams', b)]);
      await assert.rejects(store.write([put('upstreams', { ...b, name: 'other' })]), message(/primary key violation/));
    });

    check('the same target may stand in two upstreams, not twice in one', async () => {
      const [a, b] = [make('upstreams', { name: 'pair-a' }), make('upstreams', { name: 'pair-b' })];
      const target = (upstream: Entity): Entity => make('targets', { upstream: { id: upstream.id }, target: 'h:1' });
      await store.write([
        put('upstreams', a),
        put('upstreams', b),
        put('targets', target(a)),
        put('targets', target(b)),
      ]);
      await assert.rejects(store.write([put('targets', target(a))]), message(/^UNIQUE violation detected/));
    });

    check('a reference must lead somewhere; all of a write happens, or nothing', async () => {
      const upstream = make('upstreams', { name: 'lonely' });
      const id = randomUUID();
      const target = make('targets', { upstream: { id }, target: 'h:1' });
      await assert.rejects(
        store.write([put('upstreams', upstream), put('targets', target)]),
        message(/^the foreign key '\{id="[-0-9a-f]+"\}' does not reference an existing 'upstreams' entity\.$/),
      );
      assert.equal(await store.get('upstreams', upstream.id), null);
    });

    check('what refers goes along, or keeps what it refers to', async () => {
      const upstream = make('upstreams', { name: 'cascade' });
      const target = make('targets', { upstream: { id: upstream.id }, target: 'h:1' });
      const service = make('services', { name: 'kept', host: 'h' });
      const route = make('routes', { paths: ['/'], service: { id: service.id } });
      await store.write([
        put('upstreams', upstream),
        put('targets', target),
        put('services', service),
        put('routes', route),
      ]);
      await store.write([{ op: 'delete', kind: 'upstreams', id: upstream.id }]);
      assert.equal(await store.get('targets', target.id), null);
      await assert.rejects(
        store.write([{ op: 'delete', kind: 'services', id: service.id }]),
        message(/^an existing 'routes' entity references this 'services' entity$/),
      );
      await store.write([
        { op: 'delete', kind: 'routes', id: route.id },
        { op: 'delete', kind: 'services', id: service.id },
      ]);
      await store.write([{ op: 'delete', kind: 'services', id: service.id }]);
    });

    check('who writes on what is old is told', async () => {
      const upstream = make('upstreams', { name: 'stale' });
      const first = await store.write([put('upstreams', upstream)]);
      const second = await store.write([put('upstreams', { ...upstream, slots: 11 }, first)]);
      await assert.rejects(store.write([put('upstreams', { ...upstream, slots: 12 }, first)]), StaleWrite);
      assert.deepEqual(await store.get('upstreams', upstream.id), {
        entity: { ...upstream, slots: 11 },
        revision: second,
      });
      await store.write([{ op: 'delete', kind: 'upstreams', id: upstream.id }]);
      await assert.rejects(store.write([put('upstreams', upstream, second)]), StaleWrite);
    });

    check('pages in order of ids, by tags and by reference', async () => {
      const consumers = Array.from({ length: 25 }, (_, i) =>
        make('consumers', {
          username: `c${i}`,
          tags: [i % 2 === 0 ? 'even' : 'odd', ...(i % 5 === 0 ? ['five'] : [])],
        }),
      );
      await store.write(consumers.map((entity) => put('consumers', entity)));
      const read = async (query: object): Promise<[ids: string[], pages: number]> => {
        const ids: string[] = [];
        let next: string | null = null;
        let pages = 0;
        do {
          const page = await store.page('consumers', { size: 10, after: next, ...query });
          ids.push(...page.rows.map(({ entity }) => entity.id));
          ({ next } = page);
          pages++;
        } while (next !== null);
        return [ids, pages];
      };
      const ids = (keep: (i: number) => boolean): string[] =>
        consumers
          .filter((_, i) => keep(i))
          .map(({ id }) => id)
          .sort();
      assert.deepEqual(await read({}), [ids(() => true), 3]);
      assert.deepEqual(await read({ tags: { match: 'all', names: ['even', 'five'] } }), [ids((i) => i % 10 === 0), 1]);
      assert.deepEqual(await read({ tags: { match: 'all', names: ['even', 'even'] } }), [ids((i) => i % 2 === 0), 2]);
      assert.deepEqual(await read({ tags: { match: 'any', names: ['odd', 'five'] } }), [
        ids((i) => i % 2 === 1 || i % 5 === 0),
        2,
      ]);
      assert.deepEqual(await read({ tags: { match: 'all', names: ['none'] } }), [[], 1]);

      const upstream = make('upstreams', { name: 'paged' });
      const targets = ['a:1', 'b:1', 'c:1'].map((target) => make('targets', { upstream: { id: upstream.id }, target }));
      await store.write([put('upstreams', upstream), ...targets.map((entity) => put('targets', entity))]);
      const ref = { field: 'upstream', to: 'upstreams', id: upstream.id } as const;
      const sorted = targets.map(({ id }) => id).sort();
      assert.deepEqual(
        (await store.children('targets', ref)).map(({ entity }) => entity.id),
        sorted,
      );
      const page = await store.page('targets', { size: 2, after: null, ref });
      assert.deepEqual([page.rows.map(({ entity }) => entity.id), page.next], [sorted.slice(0, 2), sorted[1]]);
    });

    check('tags in order, of all kinds or one tag', async () => {
      const upstream = make('upstreams', { name: 'tagged', tags: ['t-all', 't-ü'] });
      const service = make('services', { host: 'h', tags: ['t-all'] });
      await store.write([put('upstreams', upstream), put('services', service)]);
      const { rows } = await store.tags({ size: 10, after: null, tag: 't-all' });
      assert.deepEqual(rows, [
        { tag: 't-all', kind: 'services', id: service.id },
        { tag: 't-all', kind: 'upstreams', id: upstream.id },
      ]);
      const first = await store.tags({ size: 1, after: null, tag: 't-all' });
      const second = await store.tags({ size: 1, after: first.next, tag: 't-all' });
      assert.deepEqual([...first.rows, ...second.rows], rows);
      assert.equal(second.next, null);
      // Replaced with the entity.
      await store.write([put('services', { ...service, tags: null }, await revisionOf('services', service.id))]);
      assert.equal((await store.tags({ size: 10, after: null, tag: 't-all' })).rows.length, 1);
    });

    const revisionOf = async (kind: EntityKind, id: string): Promise<number> =>
      (await store.get(kind, id))?.revision ?? -1;

    check('changes since a revision, each once, as it is now', async () => {
      const [a, b, c] = ['since-a', 'since-b', 'since-c'].map((name) => make('upstreams', { name })) as [
        Entity,
        Entity,
        Entity,
      ];
      const start = await store.write([put('upstreams', a), put('upstreams', b)]);
      assert.deepEqual(await store.changes(start), { revision: start, changes: [], marks: [] });
      const first = await store.write([put('upstreams', { ...a, slots: 11 }, start)]);
      await store.write([put('upstreams', { ...a, slots: 12 }, first)]);
      await store.write([put('upstreams', c)]);
      const mark = { node: 'n', upstream: a.id, target: b.id, address: null, healthy: false };
      await store.publish(mark);
      const end = await store.write([{ op: 'delete', kind: 'upstreams', id: b.id }]);
      assert.deepEqual(await store.changes(start), {
        revision: end,
        changes: [
          { kind: 'upstreams', id: a.id, entity: { ...a, slots: 12 } },
          { kind: 'upstreams', id: c.id, entity: c },
          { kind: 'upstreams', id: b.id, entity: null },
        ],
        marks: [mark],
      });
      // Made again under the same id: it is not gone.
      await store.write([put('upstreams', b)]);
      assert.deepEqual((await store.changes(end)).changes, [{ kind: 'upstreams', id: b.id, entity: b }]);
      assert.equal((await store.changes(start)).changes?.filter(({ entity }) => entity === null).length, 0);
      // From a store that was ahead, before it was restored from a copy.
      assert.equal((await store.changes(end + 1000)).changes, null);
    });

    check('another node sees it within a second', async () => {
      const other = await openStore(url);
      try {
        let woken = 0;
        const stop = other.watch(() => woken++);
        const before = (await other.snapshot()).revision;
        const upstream = make('upstreams', { name: 'elsewhere' });
        const started = performance.now();
        await store.write([put('upstreams', upstream)]);
        await until('a wake', () => woken > 0);
        assert.ok(performance.now() - started < 1500, 'waited too long');
        assert.deepEqual((await other.changes(before)).changes, [
          { kind: 'upstreams', id: upstream.id, entity: upstream },
        ]);
        stop();
      } finally {
        await other.close();
      }
    });

    check('two nodes that write at once lose nothing', async () => {
      const upstream = make('upstreams', { name: 'counter', slots: 10 });
      await store.write([put('upstreams', upstream)]);
      const other = await openStore(url);
      const add = async (node: Store): Promise<void> => {
        for (let done = 0; done < 15;) {
          const row = await node.get('upstreams', upstream.id);
          assert.ok(row !== null);
          const slots = (row.entity.slots as number) + 1;
          try {
            await node.write([put('upstreams', { ...row.entity, slots }, row.revision)]);
            done++;
          } catch (error) {
            if (!(error instanceof StaleWrite)) throw error;
          }
        }
      };
      try {
        await Promise.all([add(store), add(other), add(store), add(other)]);
      } finally {
        await other.close();
      }
      assert.equal((await store.get('upstreams', upstream.id))?.entity.slots, 70);
    });

    check('everything can be replaced at once; who follows is told to look at everything', async () => {
      const before = (await store.snapshot()).revision;
      const upstream = make('upstreams', { name: 'only', tags: ['x'] });
      const revision = await store.replace({ ...empty(), upstreams: [upstream] });
      assert.ok(revision > before);
      assert.deepEqual(await store.snapshot(), { revision, entities: { ...empty(), upstreams: [upstream] } });
      assert.equal((await store.changes(before)).changes, null);
      assert.equal((await store.tags({ size: 10, after: null })).rows.length, 1);
      assert.equal(await store.find('upstreams', 'name', 'counter'), null);
    });

    check('opened again, it has what it had', async () => {
      const there = await store.snapshot();
      const again = await openStore(url);
      assert.deepEqual(await again.snapshot(), there);
      assert.equal(await again.ping(), true);
      await again.close();
      assert.equal(await again.ping(), false);
    });
  });
}
