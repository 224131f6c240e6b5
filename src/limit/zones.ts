/** The zones of a configuration, as the main thread makes them and carries them over a reload. */
import type { LimitZoneConfig } from '../config/model-access.ts';
import { reclaimConnections } from './connections.ts';
import { createKeyTable } from './key-table.ts';

/** Bytes of a zone for each key, as nginx's documentation counts them: 8,000 rates or 16,000 connections a megabyte. */
const BYTES = { req: 128, conn: 64 } as const;

/** Shared memory of the zones, by name. */
export type LimitZones = Record<string, SharedArrayBuffer>;

/**
 * Makes the zones of a configuration. One that was there before with the same name, kind, size and key goes on.
 *
 * @param before zones that run, with their configuration; null: none, or without room for the workers
 */
export function makeLimitZones(
  zones: readonly LimitZoneConfig[],
  before: { zones: readonly LimitZoneConfig[]; memory: LimitZones } | null,
  maxWorkers: number,
): LimitZones {
  const memory: LimitZones = {};
  for (const zone of zones) {
    const old = before?.zones.find((other) => other.name === zone.name);
    const same = old !== undefined && old.kind === zone.kind && old.size === zone.size && old.key === zone.key;
    const kept = same ? before?.memory[zone.name] : undefined;
    memory[zone.name] = kept ?? createZone(zone, maxWorkers);
  }
  return memory;
}

export function createZone({ kind, size }: LimitZoneConfig, maxWorkers: number): SharedArrayBuffer {
  return createKeyTable(Math.max(1, Math.floor(size / BYTES[kind])), { planes: kind === 'conn' }, maxWorkers);
}

/** After a worker's death: what it held is given back. */
export function reclaimLimitZone(buffer: SharedArrayBuffer, workerId: number): void {
  reclaimConnections(buffer, workerId);
}
