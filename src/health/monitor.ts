/**
 * Active health checks of groups: who is probed when, what follows from the outcomes, and what is known of it.
 *
 * One monitor a process, in the main thread: probes run once for each server and check, however many workers there are.
 * Verdicts go into the groups' shared tables, where every pick sees them at once. A probe that hangs holds up nobody but
 * itself: the next one of the same server and check waits for it.
 *
 * Who is in a group is read from its table, again and again: servers come and go by reloads, DNS and APIs, and nobody has
 * to tell the monitor. `mandatory` is a property of the table (`requireChecks`): new servers are born "checking".
 */
import type { CheckRulesConfig } from '../config/model-health.ts';
import { CHECKING, UNHEALTHY } from '../upstream/table/layout.ts';
import { members, type Member, tableEdits, tableHead, tableVersion } from '../upstream/table/members.ts';
import { updateServer } from '../upstream/table/servers.ts';
import type { Probe, ProbeKind, ProbeOutcome } from './probe.ts';
import { Schedule, type ScheduleEnv, type Task } from './schedule.ts';
import { CheckRecord, type CheckRules, combined } from './state.ts';

/** A check of a group. */
export interface HealthCheck extends CheckRules {
  /** Identity over reloads: what it does, to whom it is done set aside. */
  id: string;
  /** What logs call it: the name of its `match`. */
  name: string;
  intervalMs: number;
  jitterMs: number;
  /** Null: the servers' own. */
  port: number | null;
  kind: ProbeKind;
  /** Names of the server lines that are asked; absent: all are. */
  servers?: ReadonlySet<string>;
  /** Hears of each outcome. @param inRow how many in a row were like it */
  ended?(member: Member, outcome: ProbeOutcome, inRow: number): void;
}

/**
 * What is the same of checks, whatever they ask.
 * @param name of its `match`
 * @param more what else two checks must have in common to be the same one
 */
export function checkOf(check: CheckRulesConfig, name: string, more: readonly unknown[], kind: ProbeKind): HealthCheck {
  const { place: _, ...rules } = check;
  const { intervalMs, jitterMs, fails, passes, mandatory, port } = check;
  return { id: JSON.stringify([rules, ...more]), name, intervalMs, jitterMs, fails, passes, mandatory, port, kind };
}

export interface CheckedGroup {
  /** Identity over reloads. */
  key: string;
  /** What logs call it. */
  name: string;
  table: SharedArrayBuffer;
  checks: readonly HealthCheck[];
}

export interface MonitorEnv extends ScheduleEnv {
  /** Epoch milliseconds. */
  wall(): number;
  random(): number;
  log(level: 'error' | 'warn' | 'notice', message: string): void;
  /** Verdicts have changed: whoever waits for a server may have one now. */
  changed(): void;
}

/** Counters of one server over all of its checks, for APIs. */
export interface HealthCounters {
  checks: number;
  fails: number;
  unhealthy: number;
  /** The last check of each kind passed; null: none has ended yet. */
  lastPassed: boolean | null;
}

/** Counters of one server of a group; null: it has not been looked at yet. */
export type CountersOf = (slot: number, generation: number) => HealthCounters | null;

export interface Lateness {
  counts: number[];
  sumMs: number;
  /** Probes that were begun later than interval and jitter allow. */
  tooLate: number;
}

/** How often tables are looked at for servers that came or went. */
const SYNC_MS = 50;
/** The end of the jitter is left to the thread: one that is kept busy for so long is not late for that. */
const RESERVE_MS = 40;
/** New servers that get no requests before they have passed are probed within this. */
const SOON_MS = 100;

/** One check of one server. */
class PeerCheck implements Task {
  due = 0;
  tick = -1;
  slackMs: number;
  readonly check: HealthCheck;
  readonly record: CheckRecord;
  readonly #peer: CheckedPeer;
  readonly #monitor: HealthMonitor;
  readonly #probe: Probe;
  #running = false;
  #closed = false;
  /** Moment of the probe under way; the next one is counted from there. */
  #began = 0;

  constructor(monitor: HealthMonitor, peer: CheckedPeer, check: HealthCheck, record: CheckRecord) {
    this.#monitor = monitor;
    this.#peer = peer;
    this.check = check;
    this.record = record;
    this.slackMs = check.jitterMs;
    const { member } = peer;
    this.#probe = check.kind.open({ ...member, port: check.port ?? member.port });
  }

  run(): void {
    this.#began = this.due;
    this.#running = true;
    this.#probe.run(this.#report);
  }

  readonly #report = (outcome: ProbeOutcome): void => {
    if (this.#closed || !this.#running) return;
    this.#running = false;
    const { intervalMs, jitterMs } = this.check;
    // counted from when it was due: checks keep their pace, however long answers take
    const later = this.#monitor.env.random() * (jitterMs - Math.min(jitterMs / 2, RESERVE_MS));
    this.slackMs = jitterMs - later;
    this.#monitor.again(this, this.#began + intervalMs + later);
    this.#monitor.ended(this.#peer, this, outcome);
  };

  close(): void {
    this.#closed = true;
    this.#monitor.forget(this);
    this.#probe.close();
  }
}

class CheckedPeer {
  readonly member: Member;
  readonly group: WatchedGroup;
  checks: PeerCheck[] = [];

  constructor(group: WatchedGroup, member: Member) {
    this.group = group;
    this.member = member;
  }

  get records(): CheckRecord[] {
    return this.checks.map(({ record }) => record);
  }

  close(): void {
    for (const check of this.checks) check.close();
  }
}

class WatchedGroup {
  readonly config: CheckedGroup;
  /** By slot and generation. */
  peers = new Map<string, CheckedPeer>();
  version = -1;
  readonly head: Int32Array;
  /** What was known before the reload, by peer identity and check. */
  known: Map<string, CheckRecord>;

  constructor(config: CheckedGroup, known: Map<string, CheckRecord>) {
    this.config = config;
    this.head = tableHead(config.table);
    this.known = known;
  }

  /** All that is known, for the group's next life. */
  records(): Map<string, CheckRecord> {
    const result = new Map<string, CheckRecord>();
    for (const { member, checks } of this.peers.values()) {
      for (const { check, record } of checks) result.set(`${member.identity}\0${check.id}`, record);
    }
    return result;
  }
}

export class HealthMonitor {
  readonly env: MonitorEnv;
  readonly #schedule: Schedule;
  #groups = new Map<string, WatchedGroup>();
  readonly #sync: Task = { due: 0, tick: -1, slackMs: null, run: () => this.#look() };
  /** Changes of tables by this thread, as of the last look. */
  #edits = -1;

  constructor(env: MonitorEnv) {
    this.env = env;
    this.#schedule = new Schedule(env);
  }

  /** Checks these groups, and no others, from now on. What is known of servers and checks that stay, stays. */
  follow(groups: readonly CheckedGroup[]): void {
    const before = this.#groups;
    this.#groups = new Map();
    for (const config of groups) {
      const old = before.get(config.key);
      this.#groups.set(config.key, new WatchedGroup(config, old?.records() ?? new Map()));
    }
    for (const { peers } of before.values()) for (const peer of peers.values()) peer.close();
    for (const [key, { config }] of before) if (!this.#groups.has(key)) release(config.table, this.env.wall());
    this.#edits = -1;
    this.#look();
  }

  /** Counters of a group's servers; null: the group has no checks. */
  counters(group: string): CountersOf | null {
    const watched = this.#groups.get(group);
    if (watched === undefined) return null;
    return (slot, generation) => {
      const peer = watched.peers.get(peerKey(slot, generation));
      return peer === undefined ? null : sum(peer.records);
    };
  }

  /** The most that a probe has been late, milliseconds. */
  get latestMs(): number {
    return this.#schedule.latest;
  }

  /** How late probes were, in the buckets of `observe/histogram.ts`. */
  lateness(): Lateness {
    const { late, lateSumMs, tooLate } = this.#schedule;
    return { counts: [...late], sumMs: lateSumMs, tooLate };
  }

  /** Probes that were sent or are scheduled. */
  get size(): number {
    return this.#schedule.size;
  }

  close(): void {
    for (const { peers } of this.#groups.values()) for (const peer of peers.values()) peer.close();
    this.#groups.clear();
    this.#schedule.close();
  }

  #look(): void {
    // members come and go by this thread alone, and there may be thousands of tables to look at
    const edits = tableEdits();
    if (edits !== this.#edits) this.#lookAtAll();
    this.#edits = edits;
    if (this.#groups.size > 0) this.#schedule.at(this.#sync, this.env.now() + SYNC_MS);
  }

  #lookAtAll(): void {
    for (const group of this.#groups.values()) {
      const version = tableVersion(group.head);
      if (version !== group.version) this.#bringUp(group, version);
    }
  }

  /** Servers that are new are checked from now on, those that are gone no longer. */
  #bringUp(group: WatchedGroup, version: number): void {
    const present = group.peers;
    const { config } = group;
    group.peers = new Map();
    group.version = version;
    for (const member of members(config.table)) {
      const key = peerKey(member.slot, member.generation);
      let peer = present.get(key);
      present.delete(key);
      if (peer === undefined) {
        peer = new CheckedPeer(group, member);
        this.#begin(peer);
        this.#settle(peer);
      }
      group.peers.set(key, peer);
    }
    for (const peer of present.values()) peer.close();
    group.known.clear();
    // settling has changed the table, not who is in it
    if (version !== tableVersion(group.head)) group.version = -1;
  }

  #begin(peer: CheckedPeer): void {
    const { config, known } = peer.group;
    const now = this.env.now();
    for (const check of config.checks) {
      if (check.servers !== undefined && !check.servers.has(peer.member.server)) continue;
      const record = known.get(`${peer.member.identity}\0${check.id}`);
      // one that a former check has not let in yet, or that is new where checks are mandatory, was born "checking"
      const fresh = check.mandatory && (peer.member.down & CHECKING) !== 0 ? 'checking' : 'healthy';
      const task = new PeerCheck(this, peer, check, record ?? new CheckRecord(fresh));
      peer.checks.push(task);
      // spread: neither all servers nor all groups at once
      const within = task.record.state === 'checking' ? Math.min(SOON_MS, check.intervalMs) : check.intervalMs;
      this.#schedule.at(task, now + this.env.random() * within);
    }
  }

  /** @internal */
  again(check: PeerCheck, due: number): void {
    const { intervalMs } = check.check;
    const missed = this.env.now() - due;
    // what was missed, because the answer took long or the thread stood still, is not made up for: it would come on top
    this.#schedule.at(check, missed > 0 ? due + Math.ceil(missed / intervalMs) * intervalMs : due);
  }

  /** @internal */
  forget(check: PeerCheck): void {
    this.#schedule.remove(check);
  }

  /** @internal A probe has ended. */
  ended(peer: CheckedPeer, { check, record }: PeerCheck, outcome: ProbeOutcome): void {
    const { passed, stage, error } = outcome;
    if (error !== null) this.env.log('error', `${error}, ${placeOf(peer, check)}`);
    const changed = record.note(passed, check);
    check.ended?.(peer.member, outcome, record.streak);
    if (!changed) return;
    if (passed) this.env.log('notice', `peer is healthy while ${stage}, ${placeOf(peer, check)}`);
    else this.env.log('warn', `peer is unhealthy while ${stage}, ${placeOf(peer, check)}`);
    this.#settle(peer);
  }

  /** Brings the server's bits to what its checks say. */
  #settle(peer: CheckedPeer): void {
    const { member, records, group } = peer;
    const state = combined(records);
    const wanted = state === 'unhealthy' ? UNHEALTHY : state === 'checking' ? CHECKING : 0;
    if ((member.down & (UNHEALTHY | CHECKING)) === wanted) return;
    member.down = (member.down & ~(UNHEALTHY | CHECKING)) | wanted;
    const patch = { unhealthy: state === 'unhealthy', checking: state === 'checking' };
    const { table } = group.config;
    const known = tableVersion(group.head) === group.version;
    updateServer(table, member.slot, member.generation, patch, this.env.wall());
    // our own change brings nobody new
    if (known) group.version = tableVersion(group.head);
    if (wanted === 0) this.env.changed();
  }
}

/** What logs call a check of a server. */
function placeOf({ group, member }: CheckedPeer, { name, port }: HealthCheck): string {
  const at = port === null ? '' : `, port ${port}`;
  return `health check "${name}" of peer ${member.address} in upstream "${group.config.name}"${at}`;
}

/** What identifies a server of a table while it lives. */
export function peerKey(slot: number, generation: number): string {
  return `${slot}:${generation}`;
}

function sum(records: readonly CheckRecord[]): HealthCounters {
  const total: HealthCounters = { checks: 0, fails: 0, unhealthy: 0, lastPassed: null };
  for (const { checks, fails, unhealthy, lastPassed } of records) {
    total.checks += checks;
    total.fails += fails;
    total.unhealthy += unhealthy;
    if (lastPassed !== null) total.lastPassed = lastPassed && total.lastPassed !== false;
  }
  return total;
}

/** A group that is not checked any more: nobody is unhealthy by a check that does not exist. */
function release(table: SharedArrayBuffer, wallMs: number): void {
  for (const { slot, generation, down } of members(table)) {
    if ((down & (UNHEALTHY | CHECKING)) === 0) continue;
    updateServer(table, slot, generation, { unhealthy: false, checking: false }, wallMs);
  }
}
