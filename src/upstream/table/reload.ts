/** Carrying a group's table over to a new configuration. Main thread only. */
import type { PeerAddress, UpstreamConfig } from '../../config/model.ts';
import { listOf, originOf, spareFor, specOf, specsOf } from './create.ts';
import { allocate, BACKUP, F, H, Table } from './layout.ts';
import { edit } from './lists.ts';
import { claim, inherit, type PeerSpec, retire, setParams } from './slots.ts';
import { planSlowStart } from './slow-start.ts';
import { type PeerInfo, readInfo } from './text.ts';

interface Wanted {
  spec: PeerSpec;
  backup: boolean;
}

/**
 * Brings a table to a new configuration. Peers are the same when server text and address are; among equal ones the
 * order decides. They keep counters, averages, fails, connections and current weights, and take the new parameters.
 * Addresses of a resolved name stay, under the new port, until the next answer comes (spec 2.11).
 *
 * @param nowMs epoch milliseconds: peers that were not there before start slowly from then on; 0: they do not
 * @param mandatory new peers get no requests before a health check has let them in
 *
 * @returns the same buffer, changed in place, when it has room: threads need not be told more than the new
 *   configuration. Else a new one, with all state but the connections: requests in flight end in the old buffer.
 */
export function reloadTable(
  old: SharedArrayBuffer,
  config: UpstreamConfig,
  nowMs = 0,
  mandatory = false,
): SharedArrayBuffer {
  const t = new Table(old);
  t.head[H.mandatory] = mandatory ? 1 : 0;
  let grown: Table | null = null;
  edit(t, (lists) => {
    const slots = [...lists.primary, ...lists.backup];
    const wanted = [...configured(config), ...keptAnswers(t, config, slots)];
    const known = new Known(t, slots);
    const matches = wanted.map(({ spec }) => known.take(spec));
    const leaving = known.rest();
    const idle = leaving.filter((slot) => t.conns[slot] === 0).length;
    const fresh = matches.filter((slot) => slot < 0).length;
    const queueSize = config.queue?.size ?? 0;
    const coded = config.zone === null ? 0 : 1;
    if (fresh > t.head[H.freeCount]! + idle || t.head[H.queueSize] !== queueSize || t.head[H.coded] !== coded) {
      grown = grow(t, config, wanted, matches, nowMs);
      return;
    }
    leaving.forEach((slot) => retire(t, slot));
    lists.primary = [];
    lists.backup = [];
    wanted.forEach(({ spec, backup }, i) => {
      let slot = matches[i]!;
      if (slot < 0) {
        slot = claim(t, spec);
        planSlowStart(t, slot, nowMs);
      } else setParams(t, slot, spec);
      listOf(lists, backup).push(slot);
    });
  });
  return grown === null ? old : (grown as Table).buffer;
}

function grow(
  from: Table,
  config: UpstreamConfig,
  wanted: readonly Wanted[],
  matches: readonly number[],
  nowMs: number,
): Table {
  const t = allocate(wanted.length + spareFor(config), from.rows - 1, config.queue?.size ?? 0, config.zone !== null);
  t.headF[F.now] = from.headF[F.now]!;
  t.head[H.mandatory] = from.head[H.mandatory]!;
  edit(t, (lists) => {
    wanted.forEach(({ spec, backup }, i) => {
      const slot = claim(t, spec);
      if (matches[i]! >= 0) inherit(t, slot, from, matches[i]!);
      else planSlowStart(t, slot, nowMs);
      listOf(lists, backup).push(slot);
    });
  });
  return t;
}

function configured(config: UpstreamConfig): Wanted[] {
  return specsOf(config).map((spec) => ({ spec, backup: config.servers[spec.serverIndex]!.backup }));
}

/** The present addresses of the names that the new configuration resolves as well. */
function keptAnswers(t: Table, config: UpstreamConfig, slots: readonly number[]): Wanted[] {
  return config.servers.flatMap((server, serverIndex) => {
    // What was looked up with the configuration is newer.
    if (!server.resolve || server.addresses.length > 0) return [];
    const origin = originOf(server);
    const answers = slots.filter((slot) => t.resolved[slot] === 1 && t.origin[slot] === origin);
    // of several lines with one name, the answers of the first stand for all
    const line = Math.min(...answers.map((slot) => t.server[slot]!));
    return answers
      .filter((slot) => t.server[slot] === line)
      .map((slot) => {
        const info = readInfo(t, slot);
        const srv = server.service !== null;
        const spec = specOf(
          server,
          serverIndex,
          srv ? addressOf(info) : addressAt(info.host, info.family, server.port),
        );
        spec.resolved = true;
        spec.priority = t.priority[slot]!;
        if (srv) {
          spec.server = info.server;
          if (server.weight === 1) spec.weight = t.weight[slot]!;
        }
        return { spec, backup: server.backup || t.list[slot] === BACKUP };
      });
  });
}

function addressOf(info: PeerInfo): PeerAddress {
  return { text: info.address, family: info.family, host: info.host, port: info.port };
}

/** A socket address, and its text as nginx prints it. */
export function addressAt(host: string, family: 4 | 6 | 'unix', port: number): PeerAddress {
  const text = family === 'unix' ? `unix:${host}` : family === 6 ? `[${host}]:${port}` : `${host}:${port}`;
  return { text, family, host, port };
}

/** The peers of a table by identity. */
class Known {
  private readonly bySpec = new Map<string, number[]>();

  constructor(t: Table, slots: readonly number[]) {
    for (const slot of slots) {
      const info = readInfo(t, slot);
      const key = `${info.server}\0${info.address}`;
      const same = this.bySpec.get(key);
      if (same === undefined) this.bySpec.set(key, [slot]);
      else same.push(slot);
    }
  }

  /** The next peer with this identity, or -1. */
  take(spec: PeerSpec): number {
    return this.bySpec.get(`${spec.server}\0${spec.address.text}`)?.shift() ?? -1;
  }

  /** Those that nobody took. */
  rest(): number[] {
    return [...this.bySpec.values()].flat();
  }
}
