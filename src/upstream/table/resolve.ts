/** What an answer from DNS does to a group (spec 2.11). Main thread only. */
import type { UpstreamConfig, UpstreamServerConfig } from '../../config/model.ts';
import { knowsBackup } from '../backup.ts';
import { specOf } from './create.ts';
import { BACKUP, PRIMARY, Table } from './layout.ts';
import { edit, readList } from './lists.ts';
import { addressAt } from './reload.ts';
import { claim, type PeerSpec, retire } from './slots.ts';
import { planSlowStart } from './slow-start.ts';
import { readInfo } from './text.ts';

/** One address of an answer. Port, priority, weight and target come from the SRV record, if it is one. */
export interface ResolvedRecord {
  host: string;
  family: 4 | 6;
  port?: number;
  priority?: number;
  /** 0 counts as 1. */
  weight?: number;
  /** Name of the SRV target. */
  target?: string;
}

export interface ResolveResult {
  added: number;
  removed: number;
  kept: number;
  /** Records for which there was no room: `cannot add new server to upstream "u", memory exhausted`. */
  exhausted: number;
}

interface Wanted {
  spec: PeerSpec;
  backup: boolean;
}

/**
 * Brings the peers of a resolved server line to an answer. Those in the answer stay with all they have; the others are
 * removed (their requests end in peace); new ones come last, in the order of the answer. An empty answer removes all.
 * When the peers are already what the answer says, nothing changes, not even the version.
 * @param serverIndex index into `config.servers`, a line with `resolve`.
 * @param nowMs epoch milliseconds: new peers start slowly from then on; 0: they do not
 */
export function replaceResolved(
  buffer: SharedArrayBuffer,
  config: UpstreamConfig,
  serverIndex: number,
  records: readonly ResolvedRecord[],
  nowMs = 0,
): ResolveResult {
  const server = config.servers[serverIndex];
  if (server === undefined || !server.resolve) throw new RangeError(`server ${serverIndex} is not a resolved one`);
  const t = new Table(buffer);
  const wanted = fromRecords(config, server, serverIndex, records);
  const plans = [false, true].map((backup) =>
    compare(t, config, serverIndex, readList(t, backup ? BACKUP : PRIMARY), wanted, backup),
  );
  const result: ResolveResult = {
    added: 0,
    removed: plans.reduce((n, plan) => n + plan.leaving.length, 0),
    kept: plans.reduce((n, plan) => n + plan.kept, 0),
    exhausted: 0,
  };
  if (plans.every((plan) => plan.leaving.length === 0 && plan.fresh.length === 0)) return result;
  edit(t, (lists) => {
    lists.primary = carryOut(t, plans[0]!, result, nowMs);
    lists.backup = carryOut(t, plans[1]!, result, nowMs);
  });
  return result;
}

/** What becomes of one list. Only the main thread changes lists, so it can be worked out without the lock. */
interface Plan {
  staying: number[];
  leaving: number[];
  fresh: PeerSpec[];
  kept: number;
}

function compare(
  t: Table,
  config: UpstreamConfig,
  serverIndex: number,
  slots: readonly number[],
  wanted: readonly Wanted[],
  backup: boolean,
): Plan {
  const { service, weight } = config.servers[serverIndex]!;
  const plan: Plan = { staying: [], leaving: [], fresh: [], kept: 0 };
  const open = new Map<string, PeerSpec[]>();
  // an address record is the same peer by its address; an SRV record by target and (unless the line sets it) weight too
  const key = (address: string, target: string, w: number): string =>
    service === null ? address : `${address}\0${target}\0${weight === 1 ? w : ''}`;
  for (const { spec, backup: into } of wanted) {
    if (into !== backup) continue;
    plan.fresh.push(spec);
    const k = key(spec.address.text, spec.server, spec.weight);
    const same = open.get(k);
    if (same === undefined) open.set(k, [spec]);
    else same.push(spec);
  }
  const met = new Set<PeerSpec>();
  for (const slot of slots) {
    if (t.resolved[slot] !== 1 || t.server[slot] !== serverIndex) {
      plan.staying.push(slot);
      continue;
    }
    const info = readInfo(t, slot);
    const spec = open.get(key(info.address, info.server, t.weight[slot]!))?.shift();
    if (spec === undefined) {
      plan.leaving.push(slot);
      continue;
    }
    met.add(spec);
    plan.staying.push(slot);
    plan.kept++;
  }
  plan.fresh = plan.fresh.filter((spec) => !met.has(spec));
  return plan;
}

function carryOut(t: Table, plan: Plan, result: ResolveResult, nowMs: number): number[] {
  for (const slot of plan.leaving) retire(t, slot);
  const slots = plan.staying;
  for (const spec of plan.fresh) {
    const slot = claim(t, spec);
    if (slot < 0) result.exhausted++;
    else {
      slots.push(slot);
      planSlowStart(t, slot, nowMs);
      result.added++;
    }
  }
  return slots;
}

function fromRecords(
  config: UpstreamConfig,
  server: UpstreamServerConfig,
  serverIndex: number,
  records: readonly ResolvedRecord[],
): Wanted[] {
  const srv = server.service !== null;
  const first = records.reduce((least, record) => Math.min(least, record.priority ?? 0), Infinity);
  const wanted: Wanted[] = [];
  for (const record of records) {
    const priority = record.priority ?? 0;
    const lower = srv && priority !== first;
    // a balancer without a backup list ignores them; a line with `backup` takes the best records for backups; the rest has no list to go to
    if (lower && (server.backup || !knowsBackup(config.balancer))) continue;
    const port = srv ? (record.port ?? 0) : server.port;
    const spec = specOf(server, serverIndex, addressAt(record.host, record.family, port));
    spec.resolved = true;
    spec.priority = priority;
    if (srv) {
      spec.server = record.target ?? server.server;
      if (server.weight === 1) spec.weight = Math.max(1, record.weight ?? 1);
    }
    wanted.push({ spec, backup: server.backup || lower });
  }
  return wanted;
}
