/** Changing single peers at run time: the APIs' operations. Main thread only. */
import type { ServerParameters } from '../../config/model.ts';
import { DEFAULT_PARAMETERS } from '../../config/server-defaults.ts';
import { CHECKING, DOWN, DRAINING, LIVE, Table, UNHEALTHY } from './layout.ts';
import { edit } from './lists.ts';
import { claim, type PeerSpec, retire, setDown, setWeight } from './slots.ts';
import { noteDowntime } from './rules.ts';
import { planSlowStart } from './slow-start.ts';

/** What `addServer` needs; the rest has the defaults of a `server` line. */
export interface NewServer extends Partial<Omit<PeerSpec, 'server' | 'address'>> {
  server: string;
  address: PeerSpec['address'];
  backup?: boolean;
}

export interface ServerPatch extends Partial<ServerParameters> {
  /** Set by health checks. */
  unhealthy?: boolean;
  checking?: boolean;
}

/**
 * Adds a peer at the end of its list.
 * @param nowMs epoch milliseconds: when its slow start begins; 0: it has its full weight at once
 * @returns its slot; -1 when the table is full (take a larger one by `reloadTable`).
 */
export function addServer(buffer: SharedArrayBuffer, server: NewServer, nowMs = 0): number {
  const t = new Table(buffer);
  const { backup = false, ...given } = server;
  const spec: PeerSpec = {
    serverIndex: -1,
    route: null,
    ...DEFAULT_PARAMETERS,
    origin: 0,
    resolved: false,
    priority: 0,
    ...given,
  };
  return edit(t, (lists) => {
    const slot = claim(t, spec);
    if (slot < 0) return slot;
    (backup ? lists.backup : lists.primary).push(slot);
    planSlowStart(t, slot, nowMs);
    noteDowntime(t, slot, nowMs);
    return slot;
  });
}

/**
 * Removes a peer; its requests end in peace.
 * @returns false when the slot holds no live peer of this generation any more.
 */
export function removeServer(buffer: SharedArrayBuffer, slot: number, generation: number): boolean {
  const t = new Table(buffer);
  return edit(t, (lists) => {
    if (!holds(t, slot, generation)) return false;
    lists.primary = lists.primary.filter((other) => other !== slot);
    lists.backup = lists.backup.filter((other) => other !== slot);
    retire(t, slot);
    return true;
  });
}

/**
 * Changes parameters of a peer. One that may be chosen again starts slowly.
 * @param nowMs epoch milliseconds; 0: without slow start
 * @returns false when the slot holds no live peer of this generation any more.
 */
export function updateServer(
  buffer: SharedArrayBuffer,
  slot: number,
  generation: number,
  patch: ServerPatch,
  nowMs = 0,
): boolean {
  const t = new Table(buffer);
  return edit(t, () => {
    if (!holds(t, slot, generation)) return false;
    if (patch.weight !== undefined) setWeight(t, slot, patch.weight);
    if (patch.maxConns !== undefined) t.maxConns[slot] = patch.maxConns;
    if (patch.maxFails !== undefined) t.maxFails[slot] = patch.maxFails;
    if (patch.failTimeoutSec !== undefined) t.failTimeout[slot] = patch.failTimeoutSec;
    if (patch.slowStartMs !== undefined) t.slowStart[slot] = patch.slowStartMs;
    const bits = t.down[slot]!;
    setDown(t, slot, patch.down ?? (bits & DOWN) !== 0, patch.drain ?? (bits & DRAINING) !== 0);
    mark(t, slot, UNHEALTHY, patch.unhealthy);
    mark(t, slot, CHECKING, patch.checking);
    if (bits !== 0 && t.down[slot] === 0) planSlowStart(t, slot, nowMs);
    noteDowntime(t, slot, nowMs);
    return true;
  });
}

function mark(t: Table, slot: number, bit: number, on: boolean | undefined): void {
  if (on !== undefined) t.down[slot] = on ? t.down[slot]! | bit : t.down[slot]! & ~bit;
}

function holds(t: Table, slot: number, generation: number): boolean {
  return slot >= 0 && slot < t.capacity && t.state[slot] === LIVE && t.generation[slot] === generation;
}
