import { describe } from 'node:test';
import { manyConnections, manyMessages, PLAIN, transportSuite } from './transport-suite.ts';

describe('transport by libuv', () => {
  transportSuite(PLAIN);
  manyConnections();
  manyMessages();
});
