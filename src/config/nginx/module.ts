/**
 * What a module gives to the loader: its directives, and how what they said becomes part of `Config`.
 */
import type { HttpConfig, LocationConfig, ServerConfig } from '../model.ts';
import type { Cycle } from './cycle.ts';
import type { Directive } from './directive.ts';
import type { StreamConfig, StreamServerConfig } from '../stream-model.ts';
import type { LocationNode, ServerNode, StreamServerNode } from './nodes.ts';
import { inherit } from './scope.ts';
import type { Scope, Slot } from './scope.ts';
import type { RawUpstream } from './upstreams.ts';

/** What the parts of modules may ask while `Config` is built. */
export interface Build {
  readonly cycle: Cycle;
  /** The level of `http` or `stream` itself. */
  readonly block: Scope;
  /** Index of a group in the `upstreams` of `HttpConfig` or `StreamConfig`. */
  upstreamIndex(upstream: RawUpstream): number;
}

/** A module's part of a location: raw object, inheritance, result. */
export interface LocationPart<R extends object> {
  readonly slot: Slot<R>;
  /** Default: the child's value if set, else the parent's. `parent` is merged already; null at the level of `http`. */
  merge?(parent: R | null, child: R, node: LocationNode, build: Build): R;
  /** What it adds to the location. Throws `ConfigError` for what does not fit together. */
  result(merged: R, node: LocationNode, build: Build): Partial<LocationConfig>;
}

/** A module's part of a server. */
export interface ServerPart<R extends object> {
  readonly slot: Slot<R>;
  merge?(parent: R | null, child: R, server: ServerNode, build: Build): R;
  result(merged: R, server: ServerNode, build: Build): Partial<ServerConfig>;
}

/** A module's part of a server of stream. */
export interface StreamPart<R extends object> {
  readonly slot: Slot<R>;
  /** As with locations; `parent` is null at the level of `stream`. */
  merge?(parent: R | null, child: R, server: StreamServerNode, build: Build): R;
  result(merged: R, server: StreamServerNode, build: Build): Partial<StreamServerConfig>;
}

export interface ModuleDef {
  readonly name: string;
  readonly directives: readonly Directive[];
  readonly location?: LocationPart<object>;
  readonly server?: ServerPart<object>;
  /** What it adds to `http`, after all servers are built. */
  readonly http?: (build: Build) => Partial<HttpConfig>;
  readonly streamServer?: StreamPart<object>;
  /** What it adds to `stream`, after all servers are built. */
  readonly stream?: (build: Build) => Partial<StreamConfig>;
}

/** Forgets the type of a part's raw object, which nobody but the part itself looks into. */
export function locationPart<R extends object>(part: LocationPart<R>): LocationPart<object> {
  return part as unknown as LocationPart<object>;
}

export function serverPart<R extends object>(part: ServerPart<R>): ServerPart<object> {
  return part as unknown as ServerPart<object>;
}

export function streamPart<R extends object>(part: StreamPart<R>): StreamPart<object> {
  return part as unknown as StreamPart<object>;
}

export function mergePart<R extends object>(
  part: { slot: Slot<R>; merge?(parent: R | null, child: R, node: never, build: Build): R },
  parent: object | null,
  child: object,
  node: LocationNode | ServerNode | StreamServerNode,
  build: Build,
): object {
  if (part.merge === undefined) return inherit(parent, child);
  return part.merge(parent as R | null, child as R, node as never, build);
}
