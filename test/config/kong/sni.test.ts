/** Which certificate a name has, and which names a route is for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KongCertificate } from '../../../src/config/kong/model.ts';
import { NameSet, SniTable } from '../../../src/config/kong/sni.ts';

const certificate = (id: string, snis: string[]): KongCertificate => ({
  id,
  cert: '',
  key: '',
  certAlt: null,
  keyAlt: null,
  snis,
});

test('certificates: the name, one label before, one label behind, any', () => {
  const table = new SniTable([
    certificate('name', ['www.shop.test']),
    certificate('before', ['*.shop.test', '*.a.b.test']),
    certificate('behind', ['www.shop.*', 'api.*']),
  ]);
  const rows: [name: string, id: string | undefined][] = [
    ['www.shop.test', 'name'],
    ['WWW.SHOP.TEST', 'name'],
    ['img.shop.test', 'before'],
    ['x.a.b.test', 'before'],
    ['x.y.shop.test', undefined],
    ['shop.test', undefined],
    ['www.shop.org', 'behind'],
    ['www.shop.co.uk', undefined],
    ['api.test', 'behind'],
    ['localhost', undefined],
    ['', undefined],
  ];
  for (const [name, id] of rows) assert.equal(table.find(name)?.id, id, name);
  const any = new SniTable([certificate('any', ['*']), certificate('name', ['a.test'])]);
  assert.equal(any.find('b.test')?.id, 'any');
  assert.equal(any.find('a.test')?.id, 'name');
  // Without a name there is nothing to go by, as in Kong.
  assert.equal(any.find(''), null);
});

test('routes: a wildcard stands for any number of labels, and for at least one character', () => {
  const set = new NameSet(['a.test.', '*.b.test', 'c.*']);
  for (const name of ['a.test', 'A.test', 'x.b.test', 'x.y.b.test', 'c.test', 'c.x.y']) assert.ok(set.has(name), name);
  for (const name of ['', 'x.a.test', 'b.test', '.b.test', 'c.', 'cc.test']) assert.ok(!set.has(name), name);
});
