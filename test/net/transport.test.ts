import { describe } from 'node:test';
import { transportSuite } from './transport-suite.ts';

describe('transport by libuv', transportSuite);
