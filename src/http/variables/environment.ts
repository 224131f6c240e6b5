/** What variables tell of the process and of things that the request does not hold. */
import { hostname } from 'node:os';
import { NGINX_VERSION } from '../../version.ts';
import type { ClientChannel, HttpRequest } from '../request.ts';

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
  connections: ConnectionCounters;
}

export function defaultEnvironment(): VariableEnvironment {
  return {
    prefix: '/',
    hostname: hostname().toLowerCase(),
    nginxVersion: NGINX_VERSION,
    pid: process.pid,
    connections: { active: 0, reading: 0, writing: 0, waiting: 0 },
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

/**
 * Things that whoever makes requests and channels may add; they read as "none" until it does. Kept in one place so that
 * the day they move into `HttpRequest` and `ClientChannel` is a change of this file.
 */
export interface RequestExtras {
  /** Target of a proxy_pass with variables: `$proxy_host`, `$proxy_port`. */
  proxyTarget?: { host: string; port: string } | null;
}

export function extras(r: HttpRequest): RequestExtras {
  return r as HttpRequest & RequestExtras;
}

/** What the PROXY protocol told of the connection; null: nothing. */
export function proxyProtocol(channel: ClientChannel): ProxyProtocolInfo | null {
  return (channel as ClientChannel & { proxyProtocol?: ProxyProtocolInfo | null }).proxyProtocol ?? null;
}
