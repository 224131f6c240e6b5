/** All proxies, in the order of tables and turns. A new one is one file and one line here. */
import { caddy } from './caddy.ts';
import { haproxy } from './haproxy.ts';
import { headrace } from './headrace.ts';
import { nginx } from './nginx.ts';
import { nodeProxies } from './node.ts';
import type { Proxy } from './types.ts';

export const proxies: readonly Proxy[] = [headrace, nginx, haproxy, caddy, ...nodeProxies];
