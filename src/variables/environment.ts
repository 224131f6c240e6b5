/** What variables tell of the process. */
import { hostname } from 'node:os';
import { NGINX_VERSION } from '../version.ts';
import type { KeyvalSource } from './keyval-source.ts';

/** Counters that `$connections_…` show. */
export interface ConnectionCounters {
  readonly active: number;
  readonly reading: number;
  readonly writing: number;
  readonly waiting: number;
}

export interface VariableEnvironment {
  /** Prefix directory with its slash: what relative paths made of variables are relative to. */
  prefix: string;
  /** Lower case, as nginx has it. */
  hostname: string;
  nginxVersion: string;
  pid: number;
  /** Now, over all workers. */
  connections: () => ConnectionCounters;
  /** Null: variables of `keyval` are not found. */
  keyvals: KeyvalSource | null;
}

export function defaultEnvironment(): VariableEnvironment {
  return {
    prefix: '/',
    hostname: hostname().toLowerCase(),
    nginxVersion: NGINX_VERSION,
    pid: process.pid,
    connections: () => ({ active: 0, reading: 0, writing: 0, waiting: 0 }),
    keyvals: null,
  };
}
