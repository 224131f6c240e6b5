import { describe } from 'node:test';
import { useRing } from '../../../src/net/dial.ts';
import { IoUring } from '../../../src/net/io-uring.ts';
import { plainProbeSuite } from './plain-probe-suite.ts';

// As the main thread has it.
const ring = IoUring.open(2);
if (typeof ring !== 'string') useRing(ring);

describe('the probe for plain HTTP/1, by io_uring', { skip: typeof ring === 'string' ? ring : false }, () =>
  plainProbeSuite(),
);
