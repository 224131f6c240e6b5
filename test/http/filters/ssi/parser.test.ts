import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { checkParams, COMMANDS } from '../../../../src/http/filters/ssi/commands.ts';
import {
  OPENING,
  SSI_COMMAND,
  SSI_ERROR,
  SSI_LITERAL,
  SSI_TEXT,
  SsiParser,
} from '../../../../src/http/filters/ssi/parser.ts';

/** What a page comes to when it arrives in these pieces; texts that follow each other are joined. */
function parse(pieces: readonly string[], maxValue = 255): string[] {
  const parser = new SsiParser(maxValue);
  const out: string[] = [];
  const text = (part: string): void => {
    if (out.at(-1)?.startsWith('text ') === true) out[out.length - 1] += part;
    else out.push(`text ${part}`);
  };
  for (const piece of pieces) {
    const buf = Buffer.from(piece, 'latin1');
    let pos = 0;
    while (pos < buf.length) {
      const outcome = parser.next(buf, pos, buf.length);
      pos = parser.pos;
      if (outcome === SSI_TEXT) text(buf.latin1Slice(parser.textStart, parser.textEnd));
      else if (outcome === SSI_LITERAL) text(OPENING.latin1Slice(0, parser.literal));
      else if (outcome === SSI_COMMAND) {
        out.push(`${parser.command}(${parser.params.map((p) => `${p.name}=${p.value}`).join(' ')})`);
      } else if (outcome === SSI_ERROR) out.push(`error ${parser.error}`);
    }
  }
  const rest = parser.finish();
  if (rest > 0) text(OPENING.latin1Slice(0, rest));
  return out;
}

const cases: [page: string, expected: string[]][] = [
  ['plain', ['text plain']],
  ['a<!--#echo var="x" -->b', ['text a', 'echo(var=x)', 'text b']],
  [`<!--# echo   var = 'a"b'	default="it's" -->`, [`echo(var=a"b default=it's)`]],
  ['<!--#endif-->', ['endif()']],
  ['<!--#set var="a" value="\\"q\\\\" -->', ['set(var=a value=\\"q\\\\)']],
  ['<<!--#endif --><', ['text <', 'endif()', 'text <']],
  ['<!-- no command --><!-', ['text <!-- no command --><!-']],
  ['<!-<!--<!--#endif -->', ['text <!-<!--', 'endif()']],
  [
    'a<!--#echo var=x -->b',
    ['text a', 'error unexpected "x" symbol before value of "var" parameter in "echo" SSI command', 'text b'],
  ],
  ['<!--#echo var-->b', ['error unexpected "-" symbol after "var" parameter in "echo" SSI command', 'text b']],
  [
    '<!--#echo var="a"x --> -->b',
    ['error unexpected "x" symbol after "a" value of "var" parameter in "echo" SSI command', 'text  -->b'],
  ],
  ['<!--#echo -x ---->b', ['error unexpected "x" symbol in "echo" SSI command', 'text b']],
];

describe('SSI parser', () => {
  for (const [page, expected] of cases) {
    test(JSON.stringify(page), () => {
      assert.deepEqual(parse([page]), expected);
      assert.deepEqual(parse([...page]), expected, 'byte by byte');
    });
  }

  test('limits: name of a command, name and value of a parameter', () => {
    assert.match(parse([`<!--#${'c'.repeat(40)} -->`])[0]!, /^error the "c{33}\.\.\." SSI command is too long$/);
    assert.match(
      parse([`<!--#echo ${'n'.repeat(40)}="" -->`])[0]!,
      /^error too long "n{33}\.\.\." parameter in "echo"/,
    );
    assert.deepEqual(parse([`<!--#echo var="${'v'.repeat(8)}" -->`], 8), [`echo(var=${'v'.repeat(8)})`]);
    assert.match(parse([`<!--#echo var="${'v'.repeat(9)}" -->`], 8)[0]!, /^error too long "v{9}\.\.\." value of "var"/);
  });

  test('where a page is cut makes no difference', () => {
    const part = fc.constantFrom('<', '!', '-', '#', 'x', ' ', '"', '\\', '>', '<!--#', '-->', 'echo var="a"', 'if ');
    fc.assert(
      fc.property(fc.array(part, { maxLength: 20 }), fc.array(fc.nat(60), { maxLength: 4 }), (parts, cuts) => {
        const page = parts.join('');
        const at = [0, ...cuts.filter((c) => c < page.length).toSorted((a, b) => a - b), page.length];
        assert.deepEqual(parse(at.slice(1).map((end, i) => page.slice(at[i], end))), parse([page]));
      }),
    );
  });
});

test('parameters of commands', () => {
  const check = (name: string, params: [string, string][]): Map<string, string> =>
    checkParams(
      name,
      COMMANDS[name]!,
      params.map(([n, value]) => ({ name: n, value })),
    );
  assert.equal(check('echo', [['var', 'x']]).get('var'), 'x');
  assert.throws(() => check('echo', []), /mandatory "var" parameter is absent in "echo" SSI command/);
  assert.throws(
    () =>
      check('set', [
        ['var', 'a'],
        ['var', 'b'],
      ]),
    /duplicate "var" parameter in "set" SSI command/,
  );
  assert.throws(
    () => check('include', [['vritual', '/']]),
    /invalid parameter name: "vritual" in "include" SSI command/,
  );
  assert.equal(COMMANDS['constructor'], undefined);
});
