import { describe } from 'node:test';
import { plainProbeSuite } from './plain-probe-suite.ts';

describe('the probe for plain HTTP/1, by libuv', () => plainProbeSuite());
