/** The main thread's side of the Kong door: a change touches its upstream alone, and health outlives what comes back. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { readDeclarative } from '../../../src/config/kong/declarative.ts';
import type { KongChange } from '../../../src/config/kong/groups.ts';
import type { KongUpstream } from '../../../src/config/kong/model.ts';
import { KongView } from '../../../src/config/kong/to-config.ts';
import { HealthMemory } from '../../../src/control/kong/memory.ts';
import { KongPlane } from '../../../src/control/kong/plane.ts';
import { ErrorLog } from '../../../src/observe/error-log.ts';

const env = { now: () => 1000, uuid: randomUUID };

interface Given {
  name: string;
  targets: string[];
  more?: object;
}

function upstreamsOf(given: Given[]): KongUpstream[] {
  const upstreams = given.map(({ name, targets, more }) => ({
    name,
    ...more,
    targets: targets.map((target) => ({ target })),
  }));
  const { entities } = readDeclarative({ _format_version: '3.0', upstreams } as never, env);
  assert.ok(entities !== null);
  return new KongView(entities).config(1).upstreams;
}

function planeWith(upstreams: KongUpstream[]): { plane: KongPlane; sent: KongChange[] } {
  const sent: KongChange[] = [];
  const plane = new KongPlane({
    log: new ErrorLog([]),
    maxWorkers: 2,
    nameServers: () => [],
    send: (change) => void sent.push(change),
  });
  const nothing = { routes: [], services: [], certificates: [], caCertificates: [], consumers: [] };
  plane.load({ revision: 1, ...nothing, upstreams });
  sent.length = 0;
  return { plane, sent };
}

test('a target that is added touches its upstream, and no other of 1,000', (t) => {
  const given = Array.from({ length: 1000 }, (_, u) => ({
    name: `u${u}`,
    targets: Array.from({ length: 20 }, (_unused, i) => `10.${u >> 8}.${u & 255}.${i}:80`),
  }));
  const { plane, sent } = planeWith(upstreamsOf(given));
  t.after(() => plane.close());
  const before = new Map(plane.state.groups.map((group) => [group.key, group]));
  const [changed] = upstreamsOf([{ name: 'u500', targets: [...given[500]!.targets, '10.9.9.9:80'] }]);
  const cpu = process.cpuUsage();
  plane.apply({ revision: 2, upstreams: { set: [changed!], removed: [] } });
  const { user, system } = process.cpuUsage(cpu);
  t.diagnostic(`${((user + system) / 1000).toFixed(1)} ms of the processor`);
  assert.deepEqual(
    sent.map(({ groups }) => groups?.set.map(({ key }) => key)),
    [['upstream u500']],
  );
  assert.deepEqual(Object.keys(sent[0]!).sort(), ['groups', 'serial']);
  assert.equal(plane.health(changed!.id)?.targets.length, 21);
  for (const group of plane.state.groups) {
    const known = before.get(group.key)!;
    if (group.key !== 'upstream u500') assert.equal(group, known);
  }
});

const CHECKED = { healthchecks: { passive: { unhealthy: { http_failures: 1 } } } };
const names = ['10.0.0.1:80', '10.0.0.2:80'];

test('a target, and an upstream, that come back within five minutes are what they were', (t) => {
  const given = (targets: string[], more: object = CHECKED): KongUpstream =>
    upstreamsOf([{ name: 'u', targets, more }])[0]!;
  const other = upstreamsOf([{ name: 'other', targets: names, more: CHECKED }])[0]!;
  const whole = given(names);
  const { plane } = planeWith([whole, other]);
  t.after(() => plane.close());
  const set = (upstream: KongUpstream): void =>
    plane.apply({ revision: 2, upstreams: { set: [upstream], removed: [] } });
  const states = (upstream = whole): (boolean | undefined)[] =>
    plane.health(upstream.id)!.targets.map(({ addresses }) => addresses[0]?.healthy);
  const mark = (healthy: boolean): void => {
    const { id } = whole.targets[0]!;
    assert.equal(plane.mark({ node: '', upstream: whole.id, target: id, address: null, healthy }), 'done');
  };

  mark(false);
  assert.deepEqual(states(), [false, true]);
  set(given([names[1]!]));
  assert.deepEqual(states(), [true]);
  set(whole);
  assert.deepEqual(states(), [false, true]);

  plane.apply({ revision: 3, upstreams: { set: [], removed: [whole.id] } });
  set(whole);
  assert.deepEqual(states(), [false, true]);
  assert.deepEqual(states(other), [true, true], 'the same addresses of another upstream');

  // Once it is well there is nothing to remember.
  mark(true);
  set(given([names[1]!]));
  set(whole);
  assert.deepEqual(states(), [true, true]);

  // Nor without health checks.
  mark(false);
  set(given([names[1]!]));
  set(given(names, {}));
  assert.deepEqual(states(), [true, true]);
});

test('it is remembered for 300 s, and not for ever', () => {
  const memory = new HealthMemory();
  memory.remember('u', 'a', 1000);
  memory.remember('u', 'b', 2000);
  assert.equal(memory.recall('u', 'a', 300_999), true);
  assert.equal(memory.recall('u', 'a', 300_999), false, 'asked for once');
  assert.equal(memory.recall('v', 'b', 2001), false);
  assert.equal(memory.recall('u', 'b', 302_000), false);
  for (let i = 0; i < 1000; i++) memory.remember('u', `${i}`, i * 1000);
  assert.ok(memory.size <= 301, `${memory.size} are kept`);
});
