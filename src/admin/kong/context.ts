/** What the Admin API works with. */
import type { KongBalancers } from '../../config/kong/model.ts';
import type { JsonObject, Schema } from '../../config/kong/schema.ts';
import type { Environment } from '../../config/kong/validate.ts';
import type { Store } from '../../store/store.ts';
import { readBody } from './body.ts';
import type { AdminAnswer, AdminRequest, Query } from './http.ts';

/** Counters of the node, as `/status` shows them. */
export interface NodeStatus {
  connectionsAccepted: number;
  connectionsActive: number;
  connectionsHandled: number;
  connectionsReading: number;
  connectionsWriting: number;
  connectionsWaiting: number;
  totalRequests: number;
  /** Bytes, by process id or worker. */
  workers: { pid: number; bytes: number }[];
}

export interface Api {
  readonly store: Store;
  /** Entities come from a file or `/config`, and are not changed one by one; null: they are. */
  readonly declarative: { hash: string } | null;
  /** Null: no balancers run here. */
  readonly balancers: KongBalancers | null;
  readonly env: Environment;
  readonly node: { id: string; hostname: string };
  /** What `/` shows as `configuration`: no secrets. */
  readonly configuration: JsonObject;
  /** Origins of pages that may call it, besides those of this machine; the first is for all others. */
  readonly origins: readonly string[];
  status(): NodeStatus;
  /** For what is not a client's fault. */
  logError(text: string): void;
}

/** A request that has found its route. */
export interface Call {
  readonly api: Api;
  readonly request: AdminRequest;
  /** The variable parts of the path, by name. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: Query;
}

export type Handler = (call: Call) => AdminAnswer | Promise<AdminAnswer>;

/** The variable part of a path that its route has. */
export function param({ params }: Call, name: string): string {
  return params[name] ?? '';
}

export function input({ request }: Call, schema: Schema): JsonObject {
  return readBody(request, schema);
}
