/** Who takes compressed answers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { acceptsGzip } from '../../../src/http/filters/gzip.ts';

test('Accept-Encoding', () => {
  const takes = [
    'gzip',
    'gzip, deflate',
    'deflate, gzip',
    'deflate,gzip',
    'GZIP',
    'gzip;q=1',
    'gzip;q=0.001',
    'gzip; q=0.5, x',
    'gzip ,x',
    'gzip;',
  ];
  const leaves = [
    '',
    'deflate',
    'x-gzip',
    'gzipped',
    'gzip;q=0',
    'gzip;q=0.000',
    'gzip; q=0, x',
    'gzip;q=2',
    'gzip;x',
    'gzip;q=1.5',
    'xgzip, deflate',
  ];
  for (const value of takes) assert.equal(acceptsGzip(value), true, value);
  for (const value of leaves) assert.equal(acceptsGzip(value), false, value);
});
