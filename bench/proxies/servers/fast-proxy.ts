/** fast-proxy on a plain server, in its faster form: with undici, one pool of kept-alive connections a server. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { inTurn, load, origins, serve } from './common.ts';

type Forward = (request: IncomingMessage, response: ServerResponse, source: string, options: object) => void;
type Options = { base: string; undici: { connections: number; pipelining: number } };
type Module = (options: Options) => { proxy: Forward };

const create = load('fast-proxy') as Module;
const forwarders = new Map<string, Forward>();

/** The forwarder to a server, made when it is first needed. */
function forwarder(base: string): Forward {
  let forward = forwarders.get(base);
  if (!forward) {
    forward = create({ base, undici: { connections: 64, pipelining: 1 } }).proxy;
    forwarders.set(base, forward);
  }
  return forward;
}

const target = inTurn(origins);
serve((request, response) => forwarder(target())(request, response, request.url!, {}));
