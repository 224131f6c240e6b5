import { describe } from 'node:test';
import { IoUring } from '../../src/net/io-uring.ts';
import { useRing } from '../../src/net/transport.ts';
import { transportSuite } from './transport-suite.ts';

// A kernel that has none, or forbids it, is no fault of ours: `-t` and the log say which one is used.
const ring = IoUring.open();
if (typeof ring !== 'string') useRing(ring);

describe('transport by io_uring', { skip: typeof ring === 'string' ? ring : false }, transportSuite);
