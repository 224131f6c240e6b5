/** What a worker knows of Kong's entities: groups made when they are asked for, and what a change drops. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostKey, type KongGroup, upstreamKey } from '../../../src/config/kong/groups.ts';
import { KnownEntities, type Planned } from '../../../src/config/kong/known.ts';
import type { KongService } from '../../../src/config/kong/model.ts';

const groupOf = (key: string): KongGroup => ({ key }) as KongGroup;
const serviceOf = (id: string, host: string): KongService => ({ id, host, port: 80 }) as KongService;

function knowing(...keys: string[]) {
  const made: string[] = [];
  const dropped: string[] = [];
  const known = new KnownEntities<KongGroup, Planned<KongGroup>>(
    (data) => {
      made.push(data.key);
      return data;
    },
    ({ key }) => void dropped.push(key),
  );
  known.take({ groups: { set: keys.map(groupOf), removed: [] } });
  const plan = (service: KongService): boolean => {
    const upstream = known.groupFor(service);
    if (upstream !== null) known.plans.set(service.id, { service, upstream });
    return upstream !== null;
  };
  return { known, made, dropped, plan };
}

test('a group is made once, when a service first asks for it; an upstream of that name comes before the host', () => {
  const { known, made, plan } = knowing(upstreamKey('a'), hostKey('a', 80), hostKey('b', 80));
  assert.deepEqual(made, []);
  assert.ok(plan(serviceOf('1', 'a')) && plan(serviceOf('2', 'a')) && plan(serviceOf('3', 'b')));
  assert.deepEqual(made, [upstreamKey('a'), hostKey('b', 80)]);
  assert.equal(known.groupFor(serviceOf('4', 'c')), null);
});

test('a group that changes is dropped with the plans that lead to it, and no others', () => {
  const { known, dropped, plan } = knowing(upstreamKey('a'), upstreamKey('b'), upstreamKey('never asked for'));
  for (const service of [serviceOf('1', 'a'), serviceOf('2', 'b')]) plan(service);
  known.take({ groups: { set: [groupOf(upstreamKey('a'))], removed: [upstreamKey('never asked for')] } });
  assert.deepEqual([[...known.plans.keys()], dropped], [['2'], [upstreamKey('a')]]);
  assert.ok(plan(serviceOf('1', 'a')), 'made anew');
  known.take({ groups: { set: [], removed: [upstreamKey('a')] } });
  assert.equal(plan(serviceOf('1', 'a')), false);
});

test('an upstream takes the place of a plain host, and leaves it', () => {
  const { known, plan } = knowing(hostKey('a', 80));
  const service = serviceOf('1', 'a');
  plan(service);
  known.take({ groups: { set: [groupOf(upstreamKey('a'))], removed: [] } });
  assert.equal(known.plans.size, 0);
  assert.equal(known.groupFor(service)!.key, upstreamKey('a'));
  known.take({ groups: { set: [], removed: [upstreamKey('a')] } });
  assert.equal(known.groupFor(service)!.key, hostKey('a', 80));
});

test('services and certificates change: plans go, groups stay', () => {
  const { known, made, dropped, plan } = knowing(upstreamKey('a'));
  const service = serviceOf('1', 'a');
  for (const change of [{ services: [service] }, { certificates: [] }, { caCertificates: [] }]) {
    plan(service);
    known.take(change);
    assert.equal(known.plans.size, 0);
  }
  assert.deepEqual([made, dropped], [[upstreamKey('a')], []]);
  assert.equal(known.services.get('1'), service);
  known.close();
  assert.deepEqual(dropped, [upstreamKey('a')]);
});
