/** Variables of something that is no request: what http and stream share. */
import assert from 'node:assert/strict';
import test from 'node:test';
import type { MapConfig } from '../../src/config/model.ts';
import { AccessLogCompiler } from '../../src/variables/access-log.ts';
import { CaptureRegex } from '../../src/variables/regex.ts';
import { Variables } from '../../src/variables/table.ts';
import type { Getter } from '../../src/variables/value.ts';

class Call {
  vars: (string | null)[] | null = null;
  captures: readonly (string | undefined)[] | null = null;
  readonly number: string;

  constructor(number: string) {
    this.number = number;
  }
}

class CallVariables extends Variables<Call> {
  readonly reports: string[] = [];

  constructor(maps: MapConfig[], sets: string[] = []) {
    super(maps);
    this.define({ number: (call) => call.number });
    for (const name of sets) this.noteSet(name);
  }

  report(call: Call, level: string, message: string): void {
    this.reports.push(`${level}: ${message} (${call.number})`);
  }

  protected family(name: string): Getter<Call> | null {
    return name.startsWith('digit_') ? (call) => call.number[Number(name.slice(6))] ?? null : null;
  }
}

function mapOf(variable: string, source: string, parts: Partial<MapConfig> = {}): MapConfig {
  const empty = { hostnames: false, volatile: false, default: '', exact: [], wildcards: [], regexes: [] };
  return { ...empty, variable, source, ...parts };
}

test('built-in variables, families, captures and texts of any context', () => {
  const table = new CallVariables([]);
  const call = new Call('123');
  assert.equal(table.compile('n=$number first=$digit_0 none=[$digit_9]').get(call), 'n=123 first=1 none=[]');
  assert.equal(table.compile('plain').constant, 'plain');
  const regex = new CaptureRegex({ pattern: '^(?<area>\\d)(\\d)', caseless: false }, table);
  assert.ok(regex.exec(call, call.number));
  assert.equal(table.compile('$area-$2').get(call), '1-2');
  assert.equal(table.compile('$area').get(new Call('9')), '', 'captures are those of the context');
});

test('a map keeps its value per context; a volatile one does not; a cycle is reported', () => {
  const maps = [
    mapOf('kept', '$mood', { default: '<$mood>' }),
    mapOf('fresh', '$mood', { default: '<$mood>', volatile: true }),
    mapOf('a', '$b', { default: 'x' }),
    mapOf('b', '$a', { default: 'x' }),
  ];
  const table = new CallVariables(maps, ['mood']);
  const call = new Call('1');
  const set = table.setter('mood');
  set(call, 'glad');
  const both = table.compile('$kept $fresh');
  assert.equal(both.get(call), '<glad> <glad>');
  set(call, 'sad');
  assert.equal(both.get(call), '<glad> <sad>');
  table.compile('$a').get(call);
  assert.match(table.reports.join('\n'), /error: cycle while evaluating variable "[ab]" \(1\)/);
});

test('a variable that is read before it is set is empty, and that is reported', () => {
  const table = new CallVariables([], ['later']);
  assert.equal(table.compile('[$later]').get(new Call('7')), '[]');
  assert.deepEqual(table.reports, ['warn: using uninitialized "later" variable (7)']);
});

test('access logs: formats, conditions, and a guard of file names made of variables', () => {
  const table = new CallVariables([]);
  const lines: string[] = [];
  const files = {
    open: (path: string) => ({ write: (line: string) => void lines.push(`${path}: ${line}`), release: () => {} }),
    writeTo: (path: string, line: string) => void lines.push(`${path}: ${line}`),
  };
  const formats = [{ name: 'f', parts: 'call $number $digit_5', escape: 'default' as const }];
  const logs = new AccessLogCompiler(formats, table, files);
  const target = { format: 'f', condition: null, bufferSize: 0, flushMs: 0, gzipLevel: 0 };
  const file = (path: string, condition: string | null = null) => ({
    ...target,
    condition,
    target: { kind: 'file' as const, path },
  });

  const plain = logs.compile([file('/log'), file('/some', '$digit_0')], null);
  assert.equal(logs.compile([file('/log'), file('/some', '$digit_0')], null), plain, 'equal logs are made once');
  plain!.write(new Call('12'));
  plain!.write(new Call('02'));
  assert.deepEqual(lines.splice(0), ['/log: call 12 -\n', '/some: call 12 -\n', '/log: call 02 -\n']);

  const guarded = logs.compile([file('/of-$number')], (call) => call.number !== '3');
  for (const number of ['2', '3', 'x/../y']) guarded!.write(new Call(number));
  assert.deepEqual(lines, ['/of-2: call 2 -\n']);
  assert.match(table.reports.join(), /leaves its directory/);
  assert.equal(logs.compile([], null), null);
});
