/** 1,000 upstreams of 20 targets: loaded in under two seconds, and one more target touches one upstream. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { readDeclarative } from '../../src/config/kong/declarative.ts';
import { KongView } from '../../src/config/kong/to-config.ts';
import { openStore } from '../../src/store/open.ts';

const env = { now: () => 1000, uuid: randomUUID };

/** Of the processor: other tests run beside this one. */
async function milliseconds<T>(work: () => Promise<T>): Promise<[T, number]> {
  const before = process.cpuUsage();
  const result = await work();
  const { user, system } = process.cpuUsage(before);
  return [result, (user + system) / 1000];
}

test('21,000 entities', async (t) => {
  const targets = (u: number) => Array.from({ length: 20 }, (_, i) => ({ target: `10.${u >> 8}.${u & 255}.${i}:80` }));
  const upstreams = Array.from({ length: 1000 }, (_, u) => ({ name: `u${u}`, targets: targets(u) }));
  const { entities } = readDeclarative({ _format_version: '3.0', upstreams }, env);
  assert.ok(entities !== null);
  const store = await openStore('memory');
  t.after(() => store.close());
  await store.replace(entities);

  const [view, spent] = await milliseconds(async () => {
    const snapshot = await store.snapshot();
    const now = new KongView(snapshot.entities);
    assert.equal(now.config(snapshot.revision).upstreams.length, 1000);
    return now;
  });
  t.diagnostic(`loaded in ${spent.toFixed(0)} ms of the processor`);
  assert.ok(spent < 2000, `${spent} ms`);

  const [first] = entities.targets;
  assert.ok(first !== undefined);
  const { revision } = await store.snapshot();
  const [update, told] = await milliseconds(async () => {
    const entity = { ...first, id: randomUUID(), target: 'one.more:80' };
    await store.write([{ op: 'put', kind: 'targets', entity, expect: null }]);
    const { changes, revision: now } = await store.changes(revision);
    return view.update(changes ?? [], [], now);
  });
  t.diagnostic(`one more target: ${told.toFixed(1)} ms`);
  assert.deepEqual(
    update.upstreams?.set.map(({ targets: list }) => list.length),
    [21],
  );
  assert.deepEqual(Object.keys(update), ['revision', 'upstreams']);
  assert.ok(told < 100, `${told} ms`);
});
