import assert from 'node:assert/strict';
import test from 'node:test';
import { commonLogTime, isoTime, seconds } from '../../src/variables/times.ts';

test('times', () => {
  assert.equal(seconds(0), '0.000');
  assert.equal(seconds(-5), '0.000');
  assert.equal(seconds(1007.9), '1.007');
  assert.equal(seconds(61042), '61.042');
  assert.match(commonLogTime(0), /^\d\d\/\w{3}\/19(69|70):\d\d:\d\d:00 [+-]\d{4}$/);
  assert.equal(new Date(isoTime(1_600_000_000_999)).getTime(), 1_600_000_000_000);
});
