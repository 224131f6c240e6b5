/** What `keyval_zone` and `keyval` come to in `Config`, and files of their state. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatKeyvalPair, formatKeyvalState, parseKeyvalState, StateFault } from '../../src/config/keyval-state.ts';
import { inHttp, load, refusal } from './support.ts';

test('zones and variables of http and stream', async () => {
  const { config, warnings } = await load(
    `${inHttp(`
    keyval $Text:$arg_a $Value zone=one;
    keyval $arg_b $text zone=two;
    keyval_zone zone=one:32k state=states/one.keyval timeout=90;
    keyval_zone zone=two:1m type=ip timeout=500ms sync;`)}
    stream { keyval_zone type=prefix zone=three:64K; keyval $server_name $to zone=three; }`,
    { '/t/states/one.keyval': '[["a","b"],["c","\xe9",1790000000000],["\\u20ac","x"]]' },
  );
  const none = { timeoutMs: 0, stateFile: null, records: [] };
  assert.deepEqual(config.http!.keyvalZones, [
    {
      name: 'one',
      size: 32768,
      type: 'string',
      timeoutMs: 90_000,
      stateFile: '/t/states/one.keyval',
      records: [
        { key: 'a', value: 'b', end: 0 },
        { key: 'c', value: '\xe9', end: 1790000000000 },
        { key: '\xe2\x82\xac', value: 'x', end: 0 },
      ],
    },
    { ...none, name: 'two', size: 1 << 20, type: 'ip', timeoutMs: 500 },
  ]);
  assert.deepEqual(config.http!.keyvals, [
    { key: '$Text:$arg_a', variable: 'value', zone: 'one' },
    { key: '$arg_b', variable: 'text', zone: 'two' },
  ]);
  assert.deepEqual(config.stream!.keyvalZones, [{ ...none, name: 'three', size: 65536, type: 'prefix' }]);
  assert.deepEqual(config.stream!.keyvals, [{ key: '$server_name', variable: 'to', zone: 'three' }]);
  assert.match(warnings.map(({ message }) => message).join('\n'), /"sync" of keyval_zone "two" has no effect.*conf:7$/);
  assert.ok(!('keyvals' in (await load(inHttp(''))).config.http!), 'nothing is there where nothing is configured');
});

test('http and stream share the names of zones', async () => {
  const both = `${inHttp('keyval_zone zone=one:64k;')} stream { keyval_zone zone=one:64k; }`;
  assert.match((await refusal(both)).message, /^the shared memory zone "one" is already declared for a different use/);
  const states = `${inHttp('keyval_zone zone=one:64k state=s;')} stream { keyval_zone zone=two:64k state=s; }`;
  assert.match((await refusal(states)).message, /^state file "\/t\/s" is already used by keyval_zone "one"/);
});

test('a damaged state file is an error with its line', async () => {
  const cases: [content: string, line: number, text: RegExp, type?: string][] = [
    ['', 1, /^invalid JSON/],
    ['[\n["a","1"]\n', 2, /^invalid JSON/],
    ['[\n["a","1"],\n["b" "2"]\n]\n', 3, /^invalid JSON/],
    ['[\n["a","1"],\n["b","2]\n]\n', 3, /^invalid JSON/],
    ['7', 1, /^a list of keys and values is expected/],
    ['"a"', 1, /^a list/],
    ['null', 1, /^a list/],
    ['[\n["a","1"],\n"b"\n]\n', 3, /^a key and a value are expected/],
    ['[\n["a","1"],\n["b",2]\n]\n', 3, /^invalid value of key "b"/],
    ['[\n["a"]]', 2, /^invalid value of key "a"/],
    ['[\n["a","x",-1]]', 2, /^invalid end of key "a"/],
    ['[\n["a","x","1"]]', 2, /^invalid end of key "a"/],
    ['[\n["a","x",1,1]]', 2, /^invalid value of key "a"/],
    ['[\n\n["","x"]]', 3, /^invalid key ""/],
    ['{\n"a":"1",\n"b":2\n}\n', 3, /^invalid value of key "b"/],
    ['{"10.0.0.1":"x",\n"a.test":"x"}', 2, /^key "a.test" is neither an address nor a network/, 'type=ip'],
  ];
  for (const [content, line, text, type = ''] of cases) {
    const error = await refusal(inHttp(`keyval_zone zone=one:64k state=s ${type};`), { '/t/s': content });
    assert.match(error.message, text, content);
    assert.ok(error.message.endsWith(` in /t/s:${line}`), `${error.message}, not ${line}`);
    assert.deepEqual(error.place, { file: '/t/s', line });
  }
});

test('a state file gives back what was written, whatever the bytes', () => {
  const bytes = fc.uint8Array({ maxLength: 12 }).map((array) => Buffer.from(array).latin1Slice());
  const pairs = fc.uniqueArray(
    fc.record(
      {
        key: fc.oneof(bytes, fc.constantFrom('__proto__', '7', '"', '\\', '\n')).filter((key) => key !== ''),
        value: bytes,
        end: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 4e12 })),
      },
      { noNullPrototype: true },
    ),
    { selector: ({ key }) => key },
  );
  const byKey = (a: { key: string }, b: { key: string }): number => (a.key < b.key ? -1 : 1);
  fc.assert(
    fc.property(pairs, (list) => {
      // As it goes through a file: a byte for each character.
      const file = Buffer.from(formatKeyvalState(list.map(formatKeyvalPair)), 'latin1').latin1Slice();
      assert.deepEqual(parseKeyvalState(file, 'string').sort(byKey), list.sort(byKey));
      assert.equal(file.split('\n').length - 1, list.length === 0 ? 1 : list.length + 2, 'a pair a line');
    }),
  );
  assert.throws(() => parseKeyvalState('{', 'string'), StateFault);
  const plain = parseKeyvalState('{ "a": "1", "b": "2" }', 'string');
  assert.deepEqual(
    plain.map(({ key, value }) => key + value),
    ['a1', 'b2'],
    'as people write it',
  );
});
