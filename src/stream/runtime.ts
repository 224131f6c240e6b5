/** A configuration of stream as sessions read it: compiled once a generation and worker. */
import type { ListenConfig } from '../config/model.ts';
import type { StreamConfig, StreamServerConfig } from '../config/stream-model.ts';
import type { Resolver } from '../discovery/resolver.ts';
import type { AccessList } from '../net/access-list.ts';
import type { NetworkList } from '../net/networks.ts';
import type { ErrorLog } from '../observe/error-log.ts';
import type { ZoneCounter } from '../observe/zones.ts';
import type { AccessLog } from '../variables/access-log.ts';
import type { HostTable } from '../variables/host-table.ts';
import type { Setter } from '../variables/table.ts';
import type { Value } from '../variables/value.ts';
import type { SessionLimits } from './limits.ts';
import type { StreamGroup } from './proxy/group.ts';
import type { Session } from './session.ts';
import type { StreamVariables } from './variables/table.ts';

export class StreamGeneration {
  readonly id: number;
  readonly config: StreamConfig;
  readonly variables: StreamVariables;
  readonly servers: StreamServer[] = [];
  readonly groups: StreamGroup[];
  /** Clients whose sessions are logged whatever levels logs have (debug_connection); null: none. */
  debugConnections: NetworkList | null = null;
  /** Sessions that run under it. */
  active = 0;
  /** Called when the last one has ended. */
  onDrained: (() => void) | null = null;

  constructor(id: number, config: StreamConfig, variables: StreamVariables, groups: StreamGroup[]) {
    this.id = id;
    this.config = config;
    this.variables = variables;
    this.groups = groups;
  }

  /** A session has ended. */
  leave(): void {
    this.active--;
    if (this.active === 0 && this.onDrained !== null) this.onDrained();
  }
}

/** Takes a session over once all else is done. */
export type Handler = (s: Session) => void;

export class StreamServer {
  readonly config: StreamServerConfig;
  readonly log: ErrorLog;
  accessLog: AccessLog<Session> | null = null;
  /** Whose PROXY protocol headers tell the client's address; null: nobody's. */
  trusted: NetworkList | null = null;
  /** Whose hello and heartbeats are read; null: nobody's. */
  helloFrom: NetworkList | null = null;
  sets: { set: Setter<Session>; value: Value<Session> }[] = [];
  limits: SessionLimits | null = null;
  /** `allow` and `deny`; null: everybody may. */
  access: AccessList | null = null;
  resolver: Resolver | null = null;
  /** Counts its sessions (status_zone); null: nobody asked. */
  zone: ZoneCounter | null = null;
  handler: Handler | null = null;

  constructor(config: StreamServerConfig, log: ErrorLog) {
    this.config = config;
    this.log = log;
  }
}

/** What a generation says of a listening address. */
export interface StreamListenRuntime {
  generation: StreamGeneration;
  config: ListenConfig;
  servers: StreamServer[];
  defaultServer: StreamServer;
  hosts: HostTable<StreamServer>;
}
