/** From what the blocks of `stream` said to `StreamConfig`: inheritance and assembly. Names are resolved by now. */
import type { StreamConfig, StreamHandlerConfig, StreamServerConfig } from '../stream-model.ts';
import { BlockBuilder } from './block-builder.ts';
import { listenConfig } from './listens.ts';
import type { ListenSocket } from './listens.ts';
import { mergePart } from './module.ts';
import type { ModuleDef } from './module.ts';
import { streamCoreSlot, streamSlot } from './modules/stream-core.ts';
import type { RawStreamHandler, StreamServerNode } from './nodes.ts';

export class StreamBuilder extends BlockBuilder {
  /** @throws {ConfigError} for settings that do not fit together */
  build(sockets: readonly ListenSocket<StreamServerNode>[]): StreamConfig {
    const { servers } = this.block.main.get(streamSlot);
    const core = this.block.srv.get(streamCoreSlot);
    const top = new Map<ModuleDef, object>();
    const config: StreamConfig = {
      upstreams: this.buildUpstreams(core.resolver, core.resolverTimeoutMs),
      listens: sockets.map((socket) => listenConfig(socket, (server) => servers.indexOf(server))),
      servers: servers.map((server) => this.#server(server, top)),
      maps: [],
      geos: [],
      splits: [],
      limitZones: [],
      logFormats: [],
      matches: [],
    };
    return Object.assign(config, ...this.modules.map((module) => module.stream?.(this))) as StreamConfig;
  }

  #server(server: StreamServerNode, top: Map<ModuleDef, object>): StreamServerConfig {
    const config: Partial<StreamServerConfig> = {
      place: server.place,
      handler: this.#handler(server.handler),
      sets: server.sets,
    };
    for (const module of this.modules) {
      const part = module.streamServer;
      if (part === undefined) continue;
      let parent = top.get(module);
      if (parent === undefined) {
        parent = mergePart(part, null, this.block.srv.get(part.slot), server, this);
        top.set(module, parent);
      }
      const merged = mergePart(part, parent, server.slots.get(part.slot), server, this);
      Object.assign(config, part.result(merged, server, this));
    }
    return config as StreamServerConfig;
  }

  #handler(raw: RawStreamHandler): StreamHandlerConfig {
    if (raw.kind !== 'proxy') return raw;
    const { upstream, variableTarget } = raw;
    return { kind: 'proxy', upstream: upstream === null ? null : this.upstreamIndex(upstream), variableTarget };
  }
}
