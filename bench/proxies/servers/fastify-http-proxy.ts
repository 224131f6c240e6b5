/** @fastify/http-proxy in a Fastify server, with undici's kept-alive connections (its default). */
import { inTurn, load, origins, setup, tlsOptions } from './common.ts';

type Instance = {
  register(plugin: unknown, options: object): void;
  listen(options: { port: number; host: string }): Promise<string>;
};
type Fastify = (options: object) => Instance;

const app = (load('fastify') as Fastify)({ https: tlsOptions ?? null, logger: false, bodyLimit: 16 * 1024 * 1024 });

/** Without this it passes the servers' `Connection: keep-alive` on, also on connections that it then closes. */
function withoutConnection(headers: Record<string, unknown>): Record<string, unknown> {
  delete headers['connection'];
  delete headers['keep-alive'];
  return headers;
}

app.register(load('@fastify/http-proxy'), {
  upstream: '',
  undici: { connections: 64, pipelining: 1, keepAliveTimeout: 60_000 },
  replyOptions: { getUpstream: inTurn(origins), rewriteHeaders: withoutConnection },
});
await app.listen({ port: setup.port, host: '127.0.0.1' });
