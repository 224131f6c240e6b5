/** Counters of connections, requests, workers and zones as the API shows them, and how they are reset. */
import type { AdminView } from '../../control/admin-desk.ts';
import { trafficRows } from '../../observe/traffic.ts';
import type { TrafficRow } from '../../observe/traffic.ts';
import { zoneSums, zoneTotals } from '../../observe/zones.ts';
import type { ZoneTotals } from '../../observe/zones.ts';

type Kind = 'server' | 'location' | 'stream';

const NOTHING: TrafficRow = { accepted: 0, closed: 0, begun: 0, ended: 0 };

export class Counters {
  readonly #view: AdminView;
  /** What counters were at their last reset: they are the workers', and only they write them. */
  #connectionsAt = 0;
  #requestsAt = 0;
  #respawnedAt = 0;
  readonly #workersAt = new Map<number, TrafficRow>();
  readonly #zonesAt = new Map<string, Float64Array>();

  constructor(view: AdminView) {
    this.#view = view;
  }

  #rows(): TrafficRow[] {
    return trafficRows(this.#view.generation().data.traffic);
  }

  #sum(field: keyof TrafficRow): number {
    return this.#rows().reduce((sum, row) => sum + row[field], 0);
  }

  connections(): Record<string, number> {
    const open = Math.max(0, this.#sum('accepted') - this.#sum('closed'));
    const active = Math.min(open, this.#current());
    return { accepted: this.#sum('accepted') - this.#connectionsAt, dropped: 0, active, idle: open - active };
  }

  resetConnections(): void {
    this.#connectionsAt = this.#sum('accepted');
  }

  #current(): number {
    return Math.max(0, this.#sum('begun') - this.#sum('ended'));
  }

  requests(): Record<string, number> {
    return { total: this.#sum('begun') - this.#requestsAt, current: this.#current() };
  }

  resetRequests(): void {
    this.#requestsAt = this.#sum('begun');
  }

  respawned(): number {
    return this.#view.respawned() - this.#respawnedAt;
  }

  resetRespawned(): void {
    this.#respawnedAt = this.#view.respawned();
  }

  workers(): { id: number; pid: number; connections: object; http: object }[] {
    const rows = this.#rows();
    return this.#view.workers().map(({ id }) => {
      const { accepted, closed, begun, ended } = rows[id] ?? NOTHING;
      const before = this.#workersAt.get(id) ?? NOTHING;
      const open = Math.max(0, accepted - closed);
      const current = Math.max(0, begun - ended);
      const active = Math.min(open, current);
      return {
        id,
        pid: process.pid,
        connections: { accepted: accepted - before.accepted, dropped: 0, active, idle: open - active },
        http: { requests: { total: begun - before.begun, current } },
      };
    });
  }

  /** @param id null: of all */
  resetWorkers(id: number | null = null): void {
    for (const [i, row] of this.#rows().entries()) if (id === null || id === i) this.#workersAt.set(i, row);
  }

  /** Names and counters of zones, in order of the configuration. */
  zoneTotals(kind: Kind): Map<string, ZoneTotals> {
    const memory = this.#view.generation().data.statusZones[kind];
    return new Map(
      Object.entries(memory).map(([name, buffer]) => [
        name,
        zoneTotals(zoneSums(buffer), this.#zonesAt.get(`${kind} ${name}`) ?? null),
      ]),
    );
  }

  zones(kind: Kind, version: number): Record<string, object> {
    return Object.fromEntries(
      [...this.zoneTotals(kind)].map(([name, totals]) => [name, zoneObject(totals, kind, version)]),
    );
  }

  resetZone(kind: Kind, name: string): void {
    const buffer = this.#view.generation().data.statusZones[kind][name];
    if (buffer !== undefined) this.#zonesAt.set(`${kind} ${name}`, zoneSums(buffer));
  }
}

/** Counts by class: 1xx to 5xx. */
export function classes(codes: ReadonlyMap<number, number>): number[] {
  const sums = [0, 0, 0, 0, 0];
  for (const [code, count] of codes) sums[Math.trunc(code / 100) - 1]! += count;
  return sums;
}

/** A zone of a server of stream: sessions end with a status as requests do. */
function streamZoneObject({ codes, processing, requests, discarded, received, sent }: ZoneTotals): object {
  const [, two, , four, five] = classes(codes) as [number, number, number, number, number];
  return {
    processing,
    connections: requests,
    sessions: { '2xx': two, '4xx': four, '5xx': five, total: two + four + five },
    discarded,
    received,
    sent,
  };
}

function zoneObject(totals: ZoneTotals, kind: Kind, version: number): object {
  if (kind === 'stream') return streamZoneObject(totals);
  const { codes, processing, requests, discarded, received, sent } = totals;
  const sums = classes(codes);
  return {
    ...(kind === 'server' ? { processing } : null),
    requests,
    responses: {
      ...Object.fromEntries(sums.map((count, i) => [`${i + 1}xx`, count])),
      ...(version >= 7 ? { codes: Object.fromEntries(codes) } : null),
      total: sums.reduce((sum, count) => sum + count, 0),
    },
    discarded,
    received,
    sent,
  };
}
