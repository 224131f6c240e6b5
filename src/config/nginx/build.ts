/**
 * From what the blocks of `http` said to `HttpConfig`: inheritance and assembly. Names are resolved by now.
 */
import type { HandlerConfig, HttpConfig, LocationConfig, ServerConfig } from '../model.ts';
import { BlockBuilder } from './block-builder.ts';
import { listenConfig } from './listens.ts';
import type { ListenSocket } from './listens.ts';
import { mergePart } from './module.ts';
import type { ModuleDef } from './module.ts';
import { effectiveHandler } from './nodes.ts';
import type { LocationNode, RawHandler, ServerNode } from './nodes.ts';
import { coreSlot } from './modules/http-core-loc.ts';
import { httpSlot } from './modules/http-core.ts';
import { finishOps } from './modules/rewrite.ts';
import type { Slots } from './scope.ts';

/** Merged raw objects of one location, by module. */
type Merged = Map<ModuleDef, object>;

export class HttpBuilder extends BlockBuilder {
  /** @throws {ConfigError} for settings that do not fit together */
  build(sockets: readonly ListenSocket<ServerNode>[]): HttpConfig {
    const { servers } = this.block.main.get(httpSlot);
    const core = this.block.loc.get(coreSlot);
    const top = this.mergeSlots(null, this.block.loc, servers[0]?.root);
    const topServer: Merged = new Map();
    const config = {
      upstreams: this.buildUpstreams(core.resolver, core.resolverTimeoutMs),
      servers: servers.map((server) => this.buildServer(server, top, topServer)),
      maps: [],
      logFormats: [],
    };
    const listens = sockets.map((socket) => listenConfig(socket, (server) => servers.indexOf(server)));
    return Object.assign(config, { listens }, ...this.modules.map((module) => module.http?.(this))) as HttpConfig;
  }

  private buildServer(server: ServerNode, top: Merged, topServer: Merged): ServerConfig {
    const config: Partial<ServerConfig> = {};
    for (const module of this.modules) {
      const part = module.server;
      if (part === undefined) continue;
      let parent = topServer.get(module);
      if (parent === undefined) {
        parent = mergePart(part, null, this.block.srv.get(part.slot), server, this);
        topServer.set(module, parent);
      }
      const merged = mergePart(part, parent, server.slots.get(part.slot), server, this);
      Object.assign(config, part.result(merged, server, this));
    }
    const { root } = server;
    const merged = this.mergeSlots(top, root.slots, root);
    config.root = this.buildLocation(root, merged);
    config.rewrite = config.root.rewrite;
    config.root.rewrite = [];
    return config as ServerConfig;
  }

  private mergeSlots(parent: Merged | null, slots: Slots, node: LocationNode | undefined): Merged {
    const merged: Merged = new Map();
    for (const module of this.modules) {
      const part = module.location;
      if (part === undefined) continue;
      const above = parent?.get(module) ?? null;
      merged.set(module, mergePart(part, above, slots.get(part.slot), node as LocationNode, this));
    }
    return merged;
  }

  private buildLocation(node: LocationNode, merged: Merged): LocationConfig {
    const child = (inner: LocationNode): LocationConfig =>
      this.buildLocation(inner, this.mergeSlots(merged, inner.slots, inner));
    const config: Partial<LocationConfig> = {
      match: node.match,
      place: node.place,
      name: node.name,
      handler: this.handler(effectiveHandler(node)),
    };
    for (const module of this.modules) {
      const part = module.location;
      if (part === undefined) continue;
      Object.assign(config, part.result(merged.get(module) as object, node, this));
    }
    config.rewrite = finishOps(node.rewrite, child);
    config.locations = node.locations.map(child);
    config.limitExcept = node.limitExcept === null ? null : child(node.limitExcept);
    return config as LocationConfig;
  }

  private handler(raw: RawHandler | null): HandlerConfig {
    if (raw === null) return { kind: 'static' };
    if (!('pass' in raw)) return raw;
    const { upstream, ...pass } = raw.pass;
    return { kind: raw.kind, pass: { ...pass, upstream: upstream === null ? null : this.upstreamIndex(upstream) } };
  }
}
