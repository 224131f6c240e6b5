/** What is wrong, the worst first: what an operator has to know before anything else. */
import { many, percent, rate } from './format.ts';
import { calm } from './series.ts';
import type { Group, Peer, PeerState } from './model/group.ts';
import type { Model } from './model.ts';

/** `critical`: requests fail. `warning`: something is out. `note`: somebody wants it so. */
export type Severity = 'critical' | 'warning' | 'note';

export interface Problem {
  /** The same one, as long as it lasts. */
  key: string;
  severity: Severity;
  /** Group that it is about; null: the process. */
  group: Group | null;
  title: string;
  detail: string;
}

const ORDER: Record<Severity, number> = { critical: 0, warning: 1, note: 2 };

/** From this share of answers on, errors of servers are worth a word. */
export const BAD_SHARE = 0.05;
/** And from this many a second. */
const BAD_RATE = 0.2;

export const STATE_TEXT: Readonly<Record<PeerState, string>> = {
  up: 'Up',
  draining: 'Draining',
  down: 'Disabled',
  unavail: 'Unavailable',
  checking: 'Checking',
  unhealthy: 'Unhealthy',
};

/** Why a server gets no requests, in the words of its directives. */
export const STATE_WHY: Readonly<Record<PeerState, string>> = {
  up: 'takes requests',
  draining: 'serves the sessions that it has, and takes no new ones',
  down: 'marked down by an operator or the configuration',
  unavail: 'failed max_fails times; tried again after fail_timeout',
  checking: 'new: waits for its first health check',
  unhealthy: 'its health check fails',
};

function names(peers: readonly Peer[]): string {
  const shown = peers.slice(0, 3).map(({ info }) => info.address);
  const more = peers.length - shown.length;
  return more > 0 ? `${shown.join(', ')} and ${more} more` : shown.join(', ');
}

function memberProblems(group: Group): Problem[] {
  const { peers, key } = group;
  const found: Problem[] = [];
  const say = (severity: Severity, what: string, title: string, detail: string): void => {
    found.push({ key: `${key} ${what}`, severity, group, title, detail });
  };
  const inState = (...states: PeerState[]): Peer[] => peers.filter(({ state }) => states.includes(state));
  const up = inState('up');
  const bad = inState('unhealthy', 'unavail');
  const wanted = inState('down', 'draining');
  const waiting = inState('checking');
  if (peers.length === 0) {
    say('critical', 'empty', 'has no servers', 'Requests to it are answered with 502.');
    return found;
  }
  if (up.length === 0) {
    const all = peers.length === 1 ? 'its only server' : `all ${peers.length} servers`;
    say('critical', 'none', 'has no server that takes requests', `${capital(all)}: ${states(peers)}.`);
    return found;
  }
  if (bad.length > 0) {
    const of = `${bad.length} of ${peers.length}`;
    const backup = up.every(({ info }) => info.backup) ? ' Only backup servers are left.' : '';
    say('warning', 'out', `${of} servers ${bad.length === 1 ? 'is' : 'are'} out`, `${details(bad)}.${backup}`);
  } else if (up.every(({ info }) => info.backup)) {
    say('warning', 'backup', 'only backup servers are left', `${capital(states(peers))}.`);
  }
  if (waiting.length > 0) {
    say('note', 'checking', `${many(waiting.length, 'server')} being checked`, `${names(waiting)}.`);
  }
  if (wanted.length > 0) {
    say('note', 'wanted', `${many(wanted.length, 'server')} taken out by hand`, `${details(wanted)}.`);
  }
  return found;
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** `127.0.0.1:80 unhealthy, 127.0.0.1:81 draining` */
function details(peers: readonly Peer[]): string {
  const shown = peers.slice(0, 4).map(({ info, state }) => `${info.address} ${STATE_TEXT[state].toLowerCase()}`);
  const more = peers.length - shown.length;
  return more > 0 ? `${shown.join(', ')} and ${more} more` : shown.join(', ');
}

/** `2 unhealthy, 1 disabled` */
function states(peers: readonly Peer[]): string {
  const counts = new Map<PeerState, number>();
  for (const { state } of peers) counts.set(state, (counts.get(state) ?? 0) + 1);
  return [...counts].map(([state, n]) => `${n} ${STATE_TEXT[state].toLowerCase()}`).join(', ');
}

function trafficProblems(group: Group): Problem[] {
  const { key, queue, info } = group;
  const found: Problem[] = [];
  const refused = calm(group.overflows);
  if (refused > 0) {
    const detail = `${rate(refused)} requests a second are refused; ${queue[0]} of ${info.queueSize} wait.`;
    found.push({ key: `${key} overflow`, severity: 'critical', group, title: 'its queue is full', detail });
  } else if (queue[0] > 0) {
    const detail = `The queue has room for ${info.queueSize}.`;
    const title = `${many(queue[0], 'request')} wait for a server`;
    found.push({ key: `${key} queue`, severity: 'warning', group, title, detail });
  }
  const errors = calm(group.errors);
  const requests = calm(group.rps);
  if (errors >= BAD_RATE && errors / Math.max(requests, errors) >= BAD_SHARE) {
    const title = `${percent(errors / Math.max(requests, errors))} of its answers are 5xx`;
    const detail = `${rate(errors)} a second, of ${rate(requests)} requests.`;
    found.push({ key: `${key} errors`, severity: 'warning', group, title, detail });
  }
  return found;
}

/** What is wrong with a group. */
export function problemsOf(group: Group): Problem[] {
  return [...memberProblems(group), ...trafficProblems(group)].sort((a, b) => ORDER[a.severity] - ORDER[b.severity]);
}

/** The worst that is wrong with a group; null: nothing. */
export function worst(problems: readonly Problem[]): Severity | null {
  return problems[0]?.severity ?? null;
}

/** Everything, by group. */
export function allProblems(model: Model): Problem[] {
  const found = [...model.groups.values()].flatMap(problemsOf);
  if (model.respawned > 0) {
    const title = `${many(model.respawned, 'worker')} died and ${model.respawned === 1 ? 'was' : 'were'} replaced`;
    found.push({
      key: 'respawned',
      severity: 'warning',
      group: null,
      title,
      detail: 'Since this page was opened; the error log says why.',
    });
  }
  return found.sort((a, b) => ORDER[a.severity] - ORDER[b.severity]);
}
