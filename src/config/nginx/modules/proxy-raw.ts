/** What the `proxy_*` directives of one block said. */
import type { ProxyConfig } from '../../model.ts';
import { slot } from '../scope.ts';
import type { PassRaw } from './upstream-pass.ts';
import type { SslRaw } from './upstream-ssl.ts';

export interface ProxyRaw extends PassRaw, SslRaw {
  httpVersion?: ProxyConfig['httpVersion'];
  method?: string;
  setHeaders?: ProxyConfig['setHeaders'];
  setBody?: string;
  /** Empty lists: `off`. */
  redirects?: ProxyConfig['redirects'];
  cookieDomains?: ProxyConfig['cookieDomains'];
  cookiePaths?: ProxyConfig['cookiePaths'];
  cookieFlags?: ProxyConfig['cookieFlags'];
}

export const proxySlot = slot<ProxyRaw>('proxy', () => ({}));
