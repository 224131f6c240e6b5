/** What the `proxy_*` directives of one block said. */
import type { CertificateCacheConfig, ProxyConfig } from '../../model.ts';
import type { Buffers } from '../directive.ts';
import { slot } from '../scope.ts';

type Plain = Omit<
  ProxyConfig,
  'nextUpstream' | 'ssl' | 'bind' | 'buffers' | 'redirects' | 'cookieDomains' | 'cookiePaths' | 'cookieFlags'
>;

export interface ProxyRaw extends Partial<Plain> {
  buffers?: Buffers;
  nextUpstream?: string[];
  /** `address: null`: `off`. */
  bind?: { address: string | null; transparent: boolean };
  passTrailers?: boolean;
  socketRcvbuf?: number;
  socketSndbuf?: number;
  /** Empty lists: `off`. */
  redirects?: ProxyConfig['redirects'];
  cookieDomains?: ProxyConfig['cookieDomains'];
  cookiePaths?: ProxyConfig['cookiePaths'];
  cookieFlags?: ProxyConfig['cookieFlags'];

  sslVerify?: boolean;
  sslVerifyDepth?: number;
  sslTrustedCertificate?: string;
  sslCrl?: string;
  sslName?: string;
  sslServerName?: boolean;
  sslCertificate?: string;
  sslCertificateKey?: string;
  sslCertificateCache?: CertificateCacheConfig | 'off';
  sslPasswords?: string[];
  sslProtocols?: string[];
  sslCiphers?: string;
  sslSessionReuse?: boolean;
  sslCommands?: [name: string, value: string][];
}

export const proxySlot = slot<ProxyRaw>('proxy', () => ({}));
