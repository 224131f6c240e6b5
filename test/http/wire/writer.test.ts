import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { FieldList } from '../../../src/http/fields.ts';
import { extended, hideTable } from '../../../src/http/proxy/hide.ts';
import type { HideTable } from '../../../src/http/request.ts';
import { DONE } from '../../../src/http/wire/outcomes.ts';
import { ResponseHead } from '../../../src/http/wire/response-head.ts';
import {
  composeBlock,
  composeContentLength,
  composeFields,
  composeStatusLine,
  httpDate,
  ServerLines,
} from '../../../src/http/wire/writer.ts';
import { Output } from '../../../src/net/output.ts';
import { readResponse } from '../../helpers/http1.ts';
import * as s from './support.ts';

function headOf(text: string): ResponseHead {
  const head = new ResponseHead();
  const bytes = s.latin1(text);
  head.reset(bytes, 0);
  assert.equal(head.parse(bytes.length), DONE, text);
  return head;
}

function composed(head: ResponseHead, hide: HideTable | null): [string, string][] {
  const o = new Output();
  composeStatusLine(o, head.status, null, head);
  composeBlock(o, head, hide);
  o.crlf();
  const bytes = Buffer.from(o.buf.subarray(0, o.length));
  // HEAD: only the head is looked at.
  const response = readResponse(bytes, 'HEAD', true);
  assert.ok(response !== null);
  assert.equal(response.status, head.status);
  assert.equal(response.length, bytes.length);
  return response.fields;
}

/** Names that frame the message would be refused by the reader when repeated; they are always hidden in life. */
const harmless = s.fields.map((list) => list.filter(([n]) => !/^(content-length|transfer-encoding)$/i.test(n)));

describe('writer', () => {
  test('a block goes out well-formed, without the fields that are hidden, whatever its line ends', () => {
    fc.assert(
      fc.property(
        harmless,
        s.spaces,
        fc.constantFrom('\r\n', '\n', 'mixed'),
        fc.array(fc.nat(11)),
        (fields, spaces, eol, picks) => {
          const lines = fields.map((f, i) =>
            s.fieldLines([f], eol === 'mixed' ? (i % 2 === 0 ? '\n' : '\r\n') : eol, spaces.slice(i)),
          );
          const end = eol === 'mixed' ? '\r\n' : eol;
          const head = headOf(`HTTP/1.1 200 Fine${end}${lines.join('')}${end}`);
          const names = picks.flatMap((i) => (fields[i] === undefined ? [] : [fields[i][0]]));
          const hidden = new Set(names.map((n) => n.toLowerCase()));
          assert.deepEqual(composed(head, null), fields);
          assert.deepEqual(
            composed(head, hideTable(names)),
            fields.filter(([n]) => !hidden.has(n.toLowerCase())),
          );
        },
      ),
      { numRuns: 500 },
    );
  });

  test('names that collide hide each other neither in the table nor by nomination', () => {
    // A client that nominates a colliding name must not bring back a field that the proxy hides.
    const secret = 'x-user-id';
    const others = s.collisionsOf(secret);
    assert.ok(others.length > 0);
    for (const other of others) {
      const head = headOf(`HTTP/1.1 200 OK\r\n${secret}: 1\r\n${other}: 2\r\nkeep: 3\r\n\r\n`);
      assert.deepEqual(composed(head, hideTable([secret])), [
        [other, '2'],
        ['keep', '3'],
      ]);
      assert.deepEqual(composed(head, hideTable([other])), [
        [secret, '1'],
        ['keep', '3'],
      ]);
      assert.deepEqual(composed(head, extended(hideTable([secret]), [other])), [['keep', '3']]);
      assert.deepEqual(composed(head, hideTable([other, secret])), [['keep', '3']]);
    }
  });

  test('names that every object has are names like others', () => {
    for (const name of ['constructor', '__proto__', 'tostring', 'hasownproperty']) {
      const head = headOf(`HTTP/1.1 200 OK\r\n${name}: 1\r\nkeep: 3\r\n\r\n`);
      assert.deepEqual(composed(head, hideTable([name])), [['keep', '3']]);
    }
  });

  test('extending a table leaves it as it was', () => {
    const table = hideTable(['x-a']);
    extended(table, ['x-b', 'host']);
    assert.deepEqual(table, hideTable(['x-a']));
  });

  test('status lines', () => {
    const line = (status: number, reason: string | null, block: ResponseHead | null): string => {
      const o = new Output();
      composeStatusLine(o, status, reason, block);
      return o.buf.latin1Slice(0, o.length);
    };
    assert.equal(line(200, null, null), 'HTTP/1.1 200 OK\r\n');
    assert.equal(line(504, null, null), 'HTTP/1.1 504 Gateway Time-out\r\n');
    assert.equal(line(408, null, null), 'HTTP/1.1 408 Request Time-out\r\n');
    assert.equal(line(422, null, null), 'HTTP/1.1 422 Unprocessable Entity\r\n');
    assert.equal(line(299, null, null), 'HTTP/1.1 299 \r\n');
    assert.equal(line(200, 'Sure', null), 'HTTP/1.1 200 Sure\r\n');
    assert.equal(line(404, null, headOf('HTTP/1.0 404 Not here\r\n\r\n')), 'HTTP/1.1 404 Not here\r\n');
    assert.equal(line(200, null, headOf('HTTP/1.0 404 Not here\r\n\r\n')), 'HTTP/1.1 200 OK\r\n');
    assert.equal(line(404, null, headOf('HTTP/1.1 404\r\n\r\n')), 'HTTP/1.1 404 Not Found\r\n');
  });

  test('a field made of a variable stays one line', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('a', '\r', '\n', '\0', ':', ' '), maxLength: 12 }), (value) => {
        const list = new FieldList();
        list.add('X-A', value);
        list.set('X-B', value);
        const o = new Output();
        o.text('HTTP/1.1 200 OK\r\n');
        composeFields(o, list);
        o.crlf();
        const response = readResponse(Buffer.from(o.buf.subarray(0, o.length)), 'HEAD', true);
        assert.deepEqual(
          response?.fields.map(([n]) => n),
          ['X-A', 'X-B'],
        );
      }),
    );
  });

  test('a character beyond latin1 never becomes a line end', () => {
    // U+010A and U+010D end in the bytes of LF and CR.
    const list = new FieldList();
    list.add('X-A', 'a\u010d\u010aSet-Cookie: b\u010d\u010a'.repeat(1));
    list.add('X-B', 'a\u010d\u010a'.repeat(40));
    const o = new Output();
    composeFields(o, list);
    assert.equal(o.buf.latin1Slice(0, o.length).split('\r\n').length, 3);
  });

  test('dates', () => {
    for (const ms of [0, 784_111_777_000, 1_700_000_000_999, 4_102_444_799_000]) {
      assert.equal(httpDate(ms), new Date(ms).toUTCString());
    }
    assert.equal(httpDate(784_111_777_000), 'Sun, 06 Nov 1994 08:49:37 GMT');
  });

  test('Server and Date are written unless the answer brings them', () => {
    const lines = new ServerLines('x');
    const text = (head: ResponseHead | null, hide: HideTable | null): string => {
      const o = new Output();
      lines.compose(o, 784_111_777_000, head, hide);
      return o.buf.latin1Slice(0, o.length);
    };
    const date = 'Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n';
    const head = headOf('HTTP/1.1 200 OK\r\nServer: s\r\nDate: d\r\n\r\n');
    assert.equal(text(null, null), `Server: x\r\n${date}`);
    assert.equal(text(head, null), '');
    assert.equal(text(head, hideTable(['server'])), 'Server: x\r\n');
    assert.equal(text(head, hideTable(['date'])), date);
    assert.equal(text(head, hideTable(['date', 'server'])), `Server: x\r\n${date}`);
  });
});

describe('output', () => {
  test('bytes, text and numbers of any length', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            fc.maxSafeNat(),
            fc.string({ maxLength: 200, unit: fc.nat(255).map((c) => String.fromCharCode(c)) }),
          ),
          { maxLength: 20 },
        ),
        (parts) => {
          const o = new Output();
          let expected = '';
          for (const part of parts) {
            if (typeof part === 'number') {
              o.decimal(part);
              expected += String(part);
              o.hex(part);
              expected += part.toString(16);
            } else {
              o.text(part);
              o.bytes(s.latin1(part), 0, part.length);
              expected += part + part;
            }
          }
          assert.equal(o.buf.latin1Slice(0, o.length), expected);
        },
      ),
    );
  });

  test('grows beyond its room', () => {
    const o = new Output();
    const piece = 'x'.repeat(100_000);
    for (let i = 0; i < 5; i++) o.text(piece);
    o.crlf();
    composeContentLength(o, 2 ** 53 - 1);
    assert.equal(o.buf.latin1Slice(0, o.length), `${piece.repeat(5)}\r\nContent-Length: 9007199254740991\r\n`);
  });
});
