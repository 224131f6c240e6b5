/** What the three Node proxies share: reading their setup, listening, and taking the servers in turn. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Setup } from '../types.ts';

/** The setup, from the file named by the first argument. */
export const setup = JSON.parse(readFileSync(process.argv[2]!, 'utf8')) as Setup;

/** The servers as URLs without a path. */
export const origins: readonly string[] = setup.servers.map((server) => `http://${server}`);

/** Certificate and key as the options of an HTTPS server; undefined for plain HTTP. */
export const tlsOptions = setup.tls && {
  cert: readFileSync(setup.tls.certificate),
  key: readFileSync(setup.tls.key),
};

/** A package of bench/node_modules: loaded without its types, so that the project type checks where it is missing. */
export const load = createRequire(import.meta.url) as (name: string) => unknown;

/** Round robin over a list. */
export function inTurn<T>(list: readonly T[]): () => T {
  let next = 0;
  return () => {
    const chosen = list[next]!;
    next = next + 1 === list.length ? 0 : next + 1;
    return chosen;
  };
}

/** Listens as the setup says. */
export function serve(listener: RequestListener): void {
  const server = tlsOptions ? createTlsServer(tlsOptions, listener) : createServer(listener);
  server.listen(setup.port, '127.0.0.1');
}
