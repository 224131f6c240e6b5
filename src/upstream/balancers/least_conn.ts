/** Least connections by weight; round robin among the tied (spec 2.9). */
import { BY_CONNS } from '../select/index.ts';
import { least } from '../select/tried.ts';
import type { Balancer } from './balancer.ts';

export const leastConn: Balancer = {
  choosesBackup: true,
  inflight: false,
  defers: () => false,
  select: (s, a, list) => least(s, a, list, BY_CONNS),
};
