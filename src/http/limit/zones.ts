/** Zones of `limit_req` and `limit_conn` as requests meet them, and what a request holds of them. */
import type { LimitZoneConfig } from '../../config/model-access.ts';
import { ConnectionTable } from '../../limit/connections.ts';
import { RateTable } from '../../limit/rate.ts';
import { counters } from '../../observe/counters.ts';
import type { VariableTable } from '../variables/table.ts';
import type { Value } from '../variables/value.ts';

/** A zone of one kind, with what its keys are. */
export interface Zone<T> {
  name: string;
  key: Value;
  /** As written, for logs. */
  keyText: string;
  table: T;
  /** What it decided (`LIMIT`). */
  counts: Float64Array;
}

/** The zones of a generation, by name. */
export class LimitBook {
  readonly #rates = new Map<string, Zone<RateTable>>();
  readonly #connections = new Map<string, Zone<ConnectionTable>>();

  constructor(
    zones: readonly LimitZoneConfig[],
    memory: Readonly<Record<string, SharedArrayBuffer>>,
    workerId: number,
    variables: VariableTable,
  ) {
    for (const { kind, name, key, rate } of zones) {
      const counts = counters.row(`limit_${kind} ${name}`);
      const common = { name, key: variables.compile(key), keyText: key, counts };
      const buffer = memory[name]!;
      if (kind === 'req') this.#rates.set(name, { ...common, table: new RateTable(buffer, workerId, rate) });
      else this.#connections.set(name, { ...common, table: new ConnectionTable(buffer, workerId) });
    }
  }

  rate(name: string): Zone<RateTable> {
    return this.#rates.get(name)!;
  }

  connections(name: string): Zone<ConnectionTable> {
    return this.#connections.get(name)!;
  }
}

/** What the limits said of one request, and the connections that it counts as. */
export class RequestLimits {
  /** `$limit_req_status`; null: no limit was asked. */
  reqStatus: 'PASSED' | 'DELAYED' | 'REJECTED' | 'DELAYED_DRY_RUN' | 'REJECTED_DRY_RUN' | null = null;
  /** `$limit_conn_status`. */
  connStatus: 'PASSED' | 'REJECTED' | 'REJECTED_DRY_RUN' | null = null;
  readonly #held: { table: ConnectionTable; node: number }[] = [];

  hold(table: ConnectionTable, node: number): void {
    this.#held.push({ table, node });
  }

  release(): void {
    for (const { table, node } of this.#held.splice(0)) table.release(node);
  }
}
