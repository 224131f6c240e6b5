/** http core: the blocks `http`, `server`, `location`, `limit_except`, and `listen`. */
import type { LocationMatch } from '../../model.ts';
import { Args, Context } from '../context.ts';
import { directive } from '../directive.ts';
import { readListen } from '../listens.ts';
import type { ModuleDef } from '../module.ts';
import type { LocationNode } from '../nodes.ts';
import { ServerNode, childNode, nodeSlot, serverSlot } from '../nodes.ts';
import type { Conf } from '../parser.ts';
import { Slots, slot } from '../scope.ts';
import type { Scope } from '../scope.ts';
import { checkRegex } from '../variables.ts';
import { coreLocDirectives, coreLocation } from './http-core-loc.ts';
import { coreServer, coreSrvDirectives } from './http-core-srv.ts';

export interface HttpRaw {
  servers: ServerNode[];
}

export const httpSlot = slot<HttpRaw>('http_core.main', () => ({ servers: [] }));

/** Holds the scope of the `http` block once it was read. */
export const httpScopeSlot = slot<{ scope: Scope | null }>('http', () => ({ scope: null }));

const { main: MAIN, http: HTTP, server: SERVER, location: LOCATION } = Context;

function http(cf: Conf): string | void {
  const holder = cf.cycle.core.get(httpScopeSlot);
  if (holder.scope !== null) return 'is duplicate';
  const scope: Scope = { main: new Slots(), srv: new Slots(), loc: new Slots() };
  holder.scope = scope;
  cf.block(HTTP, scope);
}

function server(cf: Conf): void {
  const node = new ServerNode(cf.blockPlace);
  cf.scope.main.get(httpSlot).servers.push(node);
  cf.block(SERVER, { main: cf.scope.main, srv: node.slots, loc: node.root.slots });
}

/** Modifier and name, whether written as two words or as one. */
function modifierAndName(cf: Conf): [modifier: string, name: string] {
  const [, first = '', second] = cf.args;
  if (second !== undefined) {
    if (!['=', '^~', '~', '~*'].includes(first)) throw cf.error(`invalid location modifier "${first}"`);
    return [first, second];
  }
  const joined = /^(=|\^~|~\*|~)/.exec(first)?.[1] ?? '';
  return [joined, first.slice(joined.length)];
}

function locationMatch(cf: Conf, modifier: string, name: string): LocationMatch {
  switch (modifier) {
    case '=':
      return { kind: 'exact', path: name };
    case '~':
    case '~*':
      return { kind: 'regex', regex: checkRegex(cf, name, modifier === '~*') };
    default:
      if (modifier === '' && name.startsWith('@')) return { kind: 'named', name };
      return { kind: 'prefix', path: name, noRegex: modifier === '^~', autoRedirect: false };
  }
}

function location(cf: Conf): void {
  const [modifier, name] = modifierAndName(cf);
  const match = locationMatch(cf, modifier, name);
  const parent = cf.scope.loc.get(nodeSlot);

  if (cf.context === LOCATION) {
    if (parent.match.kind === 'exact') {
      throw cf.error(`location "${name}" cannot be inside the exact location "${parent.name}"`);
    }
    if (parent.match.kind === 'named') {
      throw cf.error(`location "${name}" cannot be inside the named location "${parent.name}"`);
    }
    if (match.kind === 'named') {
      throw cf.error(`named location "${name}" can be on the server level only`);
    }
    if (match.kind !== 'regex' && !name.startsWith(parent.name)) {
      throw cf.error(`location "${name}" is outside location "${parent.name}"`);
    }
  }

  const node = childNode(cf.scope, match, name, cf.blockPlace);
  parent.locations.push(node);
  cf.block(LOCATION, { ...cf.scope, loc: node.slots });
}

const METHODS = 'GET HEAD POST PUT DELETE MKCOL COPY MOVE OPTIONS PROPFIND PROPPATCH LOCK UNLOCK PATCH'.split(' ');

function limitExcept(cf: Conf): string | void {
  const parent: LocationNode = cf.scope.loc.get(nodeSlot);
  if (parent.limitExcept !== null) return 'is duplicate';
  const methods = cf.args.slice(1).map((arg) => {
    const method = arg.toUpperCase();
    if (!METHODS.includes(method)) throw cf.error(`invalid method "${arg}"`);
    return method;
  });
  // Who may GET may HEAD.
  if (methods.includes('GET') && !methods.includes('HEAD')) methods.push('HEAD');
  const node = childNode(cf.scope, { kind: 'limit_except', methods }, parent.name, cf.blockPlace);
  parent.limitExcept = node;
  cf.block(Context.limitExcept, { ...cf.scope, loc: node.slots });
}

export const httpCore: ModuleDef = {
  name: 'http_core',
  directives: [
    directive('http', MAIN, Args.none, http, true),
    directive('server', HTTP, Args.none, server, true),
    directive('location', SERVER | LOCATION, Args.oneOrTwo, location, true),
    directive('limit_except', LOCATION, Args.oneOrMore, limitExcept, true),
    directive('listen', SERVER, Args.oneOrMore, (cf) => readListen(cf, cf.scope.srv.get(serverSlot))),
    ...coreSrvDirectives,
    ...coreLocDirectives,
  ],
  location: coreLocation,
  server: coreServer,
};
