/** What variables tell of the process and of things that the request does not hold. */
import { hostname } from 'node:os';
import { NGINX_VERSION } from '../../version.ts';
import type { ClientChannel } from '../request.ts';

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
}

export function defaultEnvironment(): VariableEnvironment {
  return {
    prefix: '/',
    hostname: hostname().toLowerCase(),
    nginxVersion: NGINX_VERSION,
    pid: process.pid,
    connections: () => ({ active: 0, reading: 0, writing: 0, waiting: 0 }),
  };
}

/** Addresses of a PROXY protocol header. */
export interface ProxyProtocolInfo {
  sourceAddress: string;
  /** 0: none. */
  sourcePort: number;
  destinationAddress: string;
  destinationPort: number;
  /** Value of a type-length-value entry by its name (`authority`, `alpn`, `ssl_cn`, `0x05`…); null: not sent. */
  tlv?(name: string): string | null;
}

/** What the PROXY protocol told of the connection; null: nothing. */
export function proxyProtocol(channel: ClientChannel): ProxyProtocolInfo | null {
  return (channel as ClientChannel & { proxyProtocol?: ProxyProtocolInfo | null }).proxyProtocol ?? null;
}
