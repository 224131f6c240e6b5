/** `$ssl_…`: of the client's TLS connection. */
import { tlsVariables } from '../../variables/ssl.ts';
import type { HttpRequest } from '../request.ts';
import type { Getter } from './value.ts';

export const SSL_VARIABLES: Record<string, Getter> = tlsVariables((r: HttpRequest) => r.channel.tls);
