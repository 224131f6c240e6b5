/**
 * The blocks of `http` as they were written, before anything is inherited.
 */
import type { HandlerConfig, IfCondition, LocationMatch, PassKind, Place, RewriteOp } from '../model.ts';
import type { StreamHandlerConfig } from '../stream-model.ts';
import { slot, Slots } from './scope.ts';
import type { Scope } from './scope.ts';
import type { RawPass, RawUpstream } from './upstreams.ts';
import type { RawListen } from './listens.ts';

/** What answers in a location; the upstream of a proxy is known only when all is read. */
export type RawHandler = { kind: PassKind; pass: RawPass } | Exclude<HandlerConfig, { kind: PassKind }>;

export type RawRewriteOp =
  | Exclude<RewriteOp, { op: 'if' }>
  | { op: 'if'; condition: IfCondition; ops: RawRewriteOp[]; node: LocationNode };

/** A location, or what is like one: a server's own level, `if`, `limit_except`. */
export class LocationNode {
  match: LocationMatch = { kind: 'server' };
  name = '';
  place: Place = { file: '', line: 0 };
  parent: LocationNode | null = null;
  handler: RawHandler | null = null;
  rewrite: RawRewriteOp[] = [];
  /** Locations inside, in order; not the unnamed ones. */
  locations: LocationNode[] = [];
  limitExcept: LocationNode | null = null;
  /** Raw objects of the modules. */
  slots = new Slots();

  /** `if` and `limit_except`: they stand for the location around them. */
  get unnamed(): boolean {
    return this.match.kind === 'if' || this.match.kind === 'limit_except';
  }
}

export const nodeSlot = slot<LocationNode>('node', () => new LocationNode());

/** Opens a location-like block inside the one at hand. */
export function childNode(scope: Scope, match: LocationMatch, name: string, place: Place): LocationNode {
  const node = new LocationNode();
  node.match = match;
  node.name = name;
  node.place = place;
  node.parent = scope.loc.get(nodeSlot);
  return adopt(node);
}

/** Makes a node findable from its own raw objects. */
function adopt(node: LocationNode): LocationNode {
  const slots = new Slots([[nodeSlot, node]]);
  node.slots = slots;
  return node;
}

/** A `server` of http or stream, as far as listening and names go. */
export abstract class ServerBlock {
  readonly place: Place;
  abstract readonly slots: Slots;
  listens: RawListen[] = [];

  constructor(place: Place) {
    this.place = place;
  }
}

export class ServerNode extends ServerBlock {
  readonly slots = new Slots([[serverSlot, this]]);
  /** The server's own level of what locations have. */
  readonly root = adopt(new LocationNode());

  constructor(place: Place) {
    super(place);
    this.root.place = place;
  }
}

/** What takes a session in stream; the upstream of a proxy is known only when all is read. */
export type RawStreamHandler =
  | { kind: 'proxy'; upstream: RawUpstream | null; variableTarget: string | null }
  | Exclude<StreamHandlerConfig, { kind: 'proxy' }>;

export class StreamServerNode extends ServerBlock {
  /** Its own level, for modules that keep theirs with servers and for those that keep theirs with locations. */
  readonly slots = new Slots([[streamServerSlot, this]]);
  handler: RawStreamHandler = { kind: 'none' };
  sets: { variable: string; value: string }[] = [];
}

export const streamServerSlot = slot<StreamServerNode>('stream server', () => {
  return new StreamServerNode({ file: '', line: 0 });
});

export const serverSlot = slot<ServerNode>('server', () => new ServerNode({ file: '', line: 0 }));

/** What answers: `if` and `limit_except` leave it to the location around them unless they say otherwise. */
export function effectiveHandler(node: LocationNode): RawHandler | null {
  let at: LocationNode = node;
  while (at.handler === null && at.unnamed && at.parent !== null) at = at.parent;
  return at.handler;
}
