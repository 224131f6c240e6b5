/** Structures over shared memory: what is measured is what they take, and no two parts lie on each other. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Carver, MEASURE } from '../../src/shared/carver.ts';

const KINDS = ['float64', 'int32', 'uint32', 'uint16', 'bytes'] as const;

test('measured and carved, parts lie one behind the other, and fill what was measured', () => {
  const parts = fc.array(fc.tuple(fc.constantFrom(...KINDS), fc.nat(40)), { maxLength: 12 });
  fc.assert(
    fc.property(parts, (plan) => {
      const measured = new Carver(MEASURE);
      for (const [kind, n] of plan) assert.equal(measured[kind](n).length, 0);
      const carver = new Carver(new SharedArrayBuffer(measured.size));
      let end = 0;
      for (const [kind, n] of plan) {
        const part = carver[kind](n);
        assert.equal(part.length, n);
        assert.equal(part.byteOffset % 8, 0);
        assert.ok(part.byteOffset >= end);
        end = part.byteOffset + part.byteLength;
      }
      assert.equal(carver.size, measured.size);
      assert.ok(carver.size - end < 8);
    }),
  );
});
