/** `hash key consistent` (spec 2.6). */
import type { Attempt } from '../attempt.ts';
import { crc32 } from '../crc32.ts';
import { BY_NOTHING } from '../select/index.ts';
import type { Selection } from '../selection.ts';
import type { SharedLock } from '../../shared/lock.ts';
import { type Balancer, MAX_MISSES, NONE, ROUND_ROBIN } from './balancer.ts';
import { buildRing, findPoint, type Ring, type RingServer } from './ring.ts';

/** One version of the membership, as the ring sees it. */
interface Members {
  version: number;
  servers: RingServer[];
  /** Slots by list and owner: the addresses of a server, in order. */
  slots: [number[][], number[][]];
}

interface Built extends Members {
  ring: Ring;
}

export class ConsistentHashBalancer implements Balancer {
  readonly choosesBackup = false;
  readonly inflight = false;
  private built: Built | null = null;

  defers(s: Selection, a: Attempt): boolean {
    return a.misses > MAX_MISSES || s.single || a.hashKey === '';
  }

  /** Reads the membership under the lock, builds the ring without it. */
  prepare(s: Selection, lock: SharedLock): void {
    if (this.built?.version === s.version) return;
    lock.enter();
    let members: Members;
    try {
      members = collect(s);
    } finally {
      lock.leave();
    }
    this.built = { ...members, ring: buildRing(members.servers) };
  }

  select(s: Selection, a: Attempt, list: number): number {
    if (s.count(list) === 0) return NONE;
    if (this.built?.version !== s.version) {
      // a change between `prepare` and the lock: rare enough to build here
      const members = collect(s);
      this.built = { ...members, ring: buildRing(members.servers) };
    }
    const { ring, slots } = this.built;
    const size = ring.points.length;
    if (size === 0) return ROUND_ROBIN;
    const start = findPoint(ring, crc32(a.hashKey));
    while (a.misses <= MAX_MISSES) {
      const owner = ring.owner[(start + a.rehash) % size]!;
      const slot = among(s, a, slots[list]![owner]!);
      if (slot >= 0) return slot;
      a.rehash++;
      a.misses++;
    }
    return ROUND_ROBIN;
  }
}

/** A step of round robin over the usable addresses of one server. */
function among(s: Selection, a: Attempt, slots: readonly number[]): number {
  const { t, index } = s;
  if (slots.length === 1) {
    // it gains and pays the same, and its weight recovers
    const slot = slots[0]!;
    if (!s.usable(a, slot)) return NONE;
    if (t.effective[slot]! < t.weight[slot]!) {
      t.effective[slot] = t.effective[slot]! + 1;
      index.moved(slot, s.now);
    }
    return slot;
  }
  index.ready(s.now, BY_NOTHING);
  let best = NONE;
  let total = 0;
  for (const slot of slots) {
    if (!s.usable(a, slot)) continue;
    index.detach(slot);
    const effective = t.effective[slot]!;
    t.current[slot] = t.current[slot]! + effective;
    total += effective;
    if (effective < t.weight[slot]!) t.effective[slot] = effective + 1;
    if (best === NONE || t.current[slot]! > t.current[best]!) best = slot;
  }
  if (best === NONE) return NONE;
  t.current[best] = t.current[best]! - total;
  for (const slot of slots) index.moved(slot, s.now);
  return best;
}

function collect(s: Selection): Members {
  const { version } = s;
  const owners = new Map<string, number>();
  const servers: RingServer[] = [];
  const slots: [number[][], number[][]] = [[], []];
  for (const list of [0, 1] as const) {
    for (let i = 0; i < s.count(list); i++) {
      const slot = s.at(list, i);
      const { server } = s.info(slot);
      let owner = owners.get(server);
      if (owner === undefined) {
        owner = servers.length;
        owners.set(server, owner);
        // backups own no points, yet they may bear the name of a primary
        servers.push({ server, weight: 0 });
        slots[0].push([]);
        slots[1].push([]);
      }
      // addresses of one name have equal points: those of the heaviest hold them all
      if (list === 0) servers[owner]!.weight = Math.max(servers[owner]!.weight, s.t.weight[slot]!);
      slots[list][owner]!.push(slot);
    }
  }
  return { version, servers, slots };
}
