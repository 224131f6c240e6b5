/** kong.yml in and out: nested and flat, ids that stay, references, and every mistake with its line. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { EntityLists } from '../../../src/config/kong/declarative.ts';
import { parseDocument } from 'yaml';
import { YamlError, loadKongYaml, parseYaml, writeKongYaml } from '../../../src/config/kong/yaml.ts';

const env = { now: () => 1000, uuid: () => assert.fail('ids come from names') };
const load = (text: string): EntityLists => loadKongYaml('kong.yml', text, env);
const mistakes = (text: string): string[] => {
  try {
    load(text);
  } catch (error) {
    if (error instanceof YamlError) return error.message.split('\n');
    throw error;
  }
  return [];
};

const NESTED = `
_format_version: "3.0"
_transform: true
_comment: of the document
services:
- name: shop
  _comment: of the service
  url: http://shop.internal/base
  routes:
  - name: shop-route
    paths: [/shop]
  - hosts: [shop.example.com]
- name: later
  host: later.internal
upstreams:
- name: shop.internal
  algorithm: least-connections
  healthchecks:
    passive: {unhealthy: {tcp_failures: 3}}
  targets:
  - target: 10.0.0.1:8080
  - target: a.test
    weight: 5
    tags: [blue]
routes:
- name: late
  paths: [/late]
  service: later
- name: later-by-object
  paths: [/later]
  service: {name: later}
consumers:
- username: anna
`;

test('nested lists, references by name', () => {
  const entities = load(NESTED);
  const service = entities.services.find(({ name }) => name === 'shop');
  assert.deepEqual([service?.host, service?.path], ['shop.internal', '/base']);
  const later = entities.services.find(({ name }) => name === 'later');
  assert.deepEqual(
    entities.routes.map(({ name, service: of }) => [name, of]),
    [
      ['shop-route', { id: service?.id }],
      [null, { id: service?.id }],
      ['late', { id: later?.id }],
      ['later-by-object', { id: later?.id }],
    ],
  );
  assert.deepEqual(
    entities.targets.map(({ target, weight, upstream }) => [target, weight, upstream]),
    [
      ['10.0.0.1:8080', 100, { id: entities.upstreams[0]?.id }],
      ['a.test:8000', 5, { id: entities.upstreams[0]?.id }],
    ],
  );
  assert.equal(entities.consumers.length, 1);
});

suite('ids', () => {
  const text = `{"_format_version":"3.0","upstreams":[{"name":"u","targets":[{"target":"a"}]}]}`;
  test('are the same each time, whatever else changes', () => {
    const [a, b] = [load(text), load(text.replace('"name":"u"', '"name":"u","slots":20'))];
    assert.equal(a.upstreams[0]?.id, b.upstreams[0]?.id);
    assert.equal(a.targets[0]?.id, b.targets[0]?.id);
    assert.match(a.upstreams[0]?.id ?? '', /^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });
  test('differ for the same target of another upstream', () => {
    const both = load(`{"_format_version":"3.0","upstreams":[
      {"name":"u","targets":[{"target":"a"}]},{"name":"v","targets":[{"target":"a"}]}]}`);
    assert.notEqual(both.targets[0]?.id, both.targets[1]?.id);
  });
});

test('what is written is read again as it was', () => {
  const entities = load(NESTED);
  const text = writeKongYaml(entities);
  assert.match(text, /^_format_version: "3\.0"\n_transform: false\n/);
  assert.deepEqual(load(text), entities);
  assert.doesNotMatch(text, /: null/);
});

suite('mistakes, each with its line', () => {
  const rows: [text: string, expected: (string | RegExp)[]][] = [
    ['', ['kong.yml: expected a map of lists of entities']],
    [
      'upstreams: [',
      ['kong.yml: Flow sequence in block collection must be sufficiently indented and end with a ] in line 1'],
    ],
    ['upstreams: []', ['kong.yml:1: _format_version: required field missing']],
    ['_format_version: "1.1"', ['kong.yml:1: _format_version: expected one of: 3.0']],
    [
      '_format_version: "3.0"\nplugins:\n- name: cors\nupstreams: 7\n',
      ['kong.yml:2: plugins: unknown field', 'kong.yml:4: upstreams: expected an array'],
    ],
    [
      '_format_version: "3.0"\nupstreams:\n- name: u\n  slots: 7\n- name: 1.2.3.4\n- 5\n',
      [
        'kong.yml:6: upstreams.3: expected a record',
        'kong.yml:4: upstreams.1.slots: value should be between 10 and 65536',
        "kong.yml:5: upstreams.2.name: Invalid name ('1.2.3.4'); no ip addresses allowed",
      ],
    ],
    [
      '_format_version: "3.0"\nupstreams:\n- name: u\n  targets:\n  - target: a b\n  - weight: 5\n',
      [
        "kong.yml:5: upstreams.1.targets.1.target: Invalid target ('a b'); not a valid hostname or ip address",
        'kong.yml:6: upstreams.1.targets.2.target: required field missing',
      ],
    ],
    [
      '_format_version: "3.0"\nroutes:\n- paths: [/]\n  service: nobody\n',
      ["kong.yml:4: routes.1.service: invalid reference 'service: nobody' (no such entry in 'services')"],
    ],
    [
      '_format_version: "3.0"\nupstreams:\n- name: u\n  targets:\n  - target: a:1\n  - id: c2d3a1a0-9f65-4c8e-8f1d-0f5a3f6f5a00\n    target: a:1\n',
      [
        "kong.yml:7: upstreams.1.targets.2.target: uniqueness violation: 'targets' entity with target set to 'a:1' already declared",
      ],
    ],
    [
      '_format_version: "3.0"\nupstreams:\n- name: u\n- name: u\n',
      [
        /kong\.yml:4: upstreams\.2\.id: uniqueness violation: 'upstreams' entity with id set to '[-0-9a-f]{36}' already declared/,
      ],
    ],
  ];
  for (const [text, expected] of rows) {
    test(JSON.stringify(text), () => {
      const found = mistakes(text);
      assert.equal(found.length, expected.length, found.join('\n'));
      for (const [i, line] of expected.entries()) {
        if (typeof line === 'string') assert.equal(found[i], line);
        else assert.match(found[i] ?? '', line);
      }
    });
  }
});

test('both parsers of YAML read a text alike, and JSON is YAML', () => {
  const scalars = [
    '1',
    '-0',
    '0o14',
    '0x1F',
    '1e3',
    '.5',
    '1_000',
    'yes',
    'on',
    'null',
    '~',
    'True',
    '2024-01-01',
    '"a\\tb"',
  ].concat([
    "'it''s'",
    '!!str 12',
    '| \n    a\n    b',
    '>-\n    a\n    b',
    '127.0.0.1:80',
    '1:20',
    '[a, {b: c}]',
    '.inf',
  ]);
  for (const scalar of scalars) {
    const text = `_format_version: "3.0"\nvalue: ${scalar}\n`;
    assert.deepEqual(parseYaml(text).document, parseDocument(text, { merge: true }).toJS(), scalar);
  }
  const merged = '_format_version: "3.0"\nx: &a {weight: 1, tags: [t]}\ntargets:\n- <<: *a\n  target: t\n';
  assert.deepEqual(parseYaml(merged).document.targets, [{ weight: 1, tags: ['t'], target: 't' }]);
  assert.deepEqual(parseYaml(' {"a": [1, null]}').document, { a: [1, null] });
  // JSON that is none may be YAML still.
  assert.deepEqual(parseYaml('{a: [1, ],}').document, { a: [1] });
  assert.throws(() => parseYaml('a: 1\nb: [\na: 2\n'), /line \d/);
  assert.throws(() => parseYaml('a: 1\nb: 2\na: 3\n'), /Map keys must be unique.* in line 3/);
  assert.throws(() => parseYaml('- a\n'), /expected a map of lists of entities/);
  assert.throws(() => parseYaml(''), /expected a map of lists of entities/);
});
