/**
 * Metrics of servers of groups. Of thousands of servers that is a page of tens of megabytes, whose lines must stand by
 * metric, not by server: so it is made in steps, each some servers of one metric, out of the groups' tables as they
 * are at that moment. What a server's lines begin with is kept, and made again when its group has changed.
 */
import type { Door, Groups, ManagedGroup } from '../control/groups.ts';
import { BUCKETS } from '../observe/histogram.ts';
import { downtimeOf, PEER_STATES, stateOf } from '../upstream/snapshot.ts';
import type { Selection } from '../upstream/selection.ts';
import type { Table } from '../upstream/table/layout.ts';
import { BUCKET_LABELS, labelText, metricHead, type MetricNames } from './prometheus-page.ts';

/** Servers whose lines are made in one step. */
const STEP = 32;

/** The servers of a group, and their labels as they stand between the braces. */
class Labels {
  readonly #group: ManagedGroup;
  #version = -1;
  slots: number[] = [];
  generations: number[] = [];
  texts: string[] = [];

  constructor(group: ManagedGroup) {
    this.#group = group;
  }

  /** Who is in the group stays so until the thread has its next turn: only this thread changes it. */
  present(): this {
    const { version, config, selection } = this.#group;
    if (version === this.#version) return this;
    this.#version = version;
    const before = this.slots.map((slot, i) => [slot, this.generations[i]!, this.texts[i]!] as const);
    const known = new Map(before.map(([slot, generation, text]) => [slot, { generation, text }]));
    const { slots, generations } = this.#group.slots();
    this.slots = slots;
    this.generations = generations;
    this.texts = this.slots.map((slot, i) => {
      const old = known.get(slot);
      // most changes are of states and weights
      if (old !== undefined && old.generation === this.generations[i]) return old.text;
      return labelText({ upstream: config.name, server: selection.info(slot).address });
    });
    return this;
  }
}

const kept = new WeakMap<ManagedGroup, Labels>();

function labelsOf(group: ManagedGroup): Labels {
  let labels = kept.get(group);
  if (labels === undefined) kept.set(group, (labels = new Labels(group)));
  return labels.present();
}

/** Lines of one metric for some servers of a group: places `from` to `to` of `labels`. */
type Draw = (group: ManagedGroup, labels: Labels, from: number, to: number) => string;

/** One sample for each server. @param value read as it is, without the group's lock */
function single(name: string, value: (t: Table, slot: number) => number): Draw {
  const begin = `${name}{`;
  return ({ selection: { t } }, { slots, texts }, from, to) => {
    let text = '';
    for (let i = from; i < to; i++) text += `${begin}${texts[i]!}} ${value(t, slots[i]!)}\n`;
    return text;
  };
}

/** What is of more than one number must be read with the lock; lines are made when it is free again. */
function readSafely(
  group: ManagedGroup,
  slots: readonly number[],
  read: (s: Selection, slot: number) => number,
): number[] {
  return group.reading((s) => slots.map((slot) => read(s, slot)));
}

function downtime(name: string): Draw {
  return (group, { slots, texts }, from, to) => {
    const values = readSafely(group, slots.slice(from, to), downtimeOf);
    return values.map((ms, i) => `${name}{${texts[from + i]!}} ${ms / 1000}\n`).join('');
  };
}

function states(name: string): Draw {
  const ends = PEER_STATES.map((state) => `,state="${state}"} `);
  return (group, { slots, texts }, from, to) => {
    const found = readSafely(group, slots.slice(from, to), (s, slot) => PEER_STATES.indexOf(stateOf(s, slot)));
    let text = '';
    for (let i = from; i < to; i++) {
      const begin = `${name}{${texts[i]!}`;
      for (let state = 0; state < ends.length; state++) {
        text += `${begin}${ends[state]!}${found[i - from] === state ? 1 : 0}\n`;
      }
    }
    return text;
  };
}

function classes(name: string): Draw {
  const ends = [1, 2, 3, 4, 5].map((digit) => `,code="${digit}xx"} `);
  return ({ selection: { t } }, { slots, texts }, from, to) => {
    let text = '';
    for (let i = from; i < to; i++) {
      const begin = `${name}{${texts[i]!}`;
      for (let n = 0; n < 5; n++) text += `${begin}${ends[n]!}${t.responses[slots[i]! * 5 + n]!}\n`;
    }
    return text;
  };
}

function histogram(name: string): Draw {
  const ends = BUCKET_LABELS.map((le) => `,le="${le}"} `);
  return ({ selection: { t } }, { slots, texts }, from, to) => {
    let text = '';
    for (let i = from; i < to; i++) {
      const slot = slots[i]!;
      const begin = `${name}_bucket{${texts[i]!}`;
      let total = 0;
      for (let n = 0; n < BUCKETS; n++) {
        total += t.hist[slot * BUCKETS + n]!;
        text += `${begin}${ends[n]!}${total}\n`;
      }
      text += `${name}_sum{${texts[i]!}} ${t.histSum[slot]! / 1000}\n${name}_count{${texts[i]!}} ${total}\n`;
    }
    return text;
  };
}

function checks(name: string): Draw {
  return ({ health }, { slots, generations, texts }, from, to) => {
    let text = '';
    if (health === null) return text;
    for (let i = from; i < to; i++) {
      const counters = health(slots[i]!, generations[i]!);
      if (counters === null) continue;
      const begin = `${name}{${texts[i]!},outcome=`;
      text += `${begin}"passed"} ${counters.checks - counters.fails}\n${begin}"failed"} ${counters.fails}\n`;
    }
    return text;
  };
}

interface Metric {
  name: string;
  type: 'counter' | 'gauge' | 'histogram';
  help: string;
  draw: Draw;
}

function metricsOf(door: Door): Metric[] {
  const peer = door === 'http' ? 'headrace_upstream_peer' : 'headrace_stream_upstream_peer';
  const what = door === 'http' ? 'Requests' : 'Sessions';
  const make = (type: Metric['type'], end: string, help: string, draw: (name: string) => Draw): Metric => {
    const name = `${peer}_${end}`;
    return { name, type, help, draw: draw(name) };
  };
  const of = (value: (t: Table, slot: number) => number) => (name: string) => single(name, value);
  const requests = of((t, slot) => t.requests[slot]!);
  return [
    make('gauge', 'state', '1 for the state that a server is in.', states),
    make(
      'gauge',
      'active',
      `${what} under way.`,
      of((t, slot) => t.conns[slot]!),
    ),
    make(
      'gauge',
      'weight',
      'Configured weight.',
      of((t, slot) => t.weight[slot]!),
    ),
    make(
      'counter',
      'sent_bytes_total',
      'Bytes sent to a server.',
      of((t, slot) => t.sent[slot]!),
    ),
    make(
      'counter',
      'received_bytes_total',
      'Bytes received of a server.',
      of((t, slot) => t.received[slot]!),
    ),
    make(
      'counter',
      'fails_total',
      'Attempts that failed.',
      of((t, slot) => t.failsTotal[slot]!),
    ),
    make(
      'counter',
      'unavailable_total',
      'Times that a server became unavailable by max_fails.',
      of((t, slot) => t.unavail[slot]!),
    ),
    make('counter', 'downtime_seconds_total', 'How long it was unavailable, unhealthy or being checked.', downtime),
    make('counter', 'health_checks_total', 'Active checks, by outcome.', checks),
    ...(door === 'http'
      ? [
          make('counter', 'requests_total', 'Requests that were sent to a server.', requests),
          make('counter', 'responses_total', 'Answers of a server, by class.', classes),
          make(
            'histogram',
            'response_seconds',
            'From the choice of a server to the last byte of its answer.',
            histogram,
          ),
        ]
      : [make('counter', 'sessions_total', 'Sessions that were passed to a server.', requests)]),
  ];
}

const METRICS: Readonly<Record<Door, readonly Metric[]>> = { http: metricsOf('http'), stream: metricsOf('stream') };

const QUEUE_METRICS = [
  ['headrace_upstream_queue_size', 'gauge', 'Requests that wait for a server.', 'size'],
  ['headrace_upstream_queue_overflows_total', 'counter', 'Requests that found the queue full.', 'overflows'],
] as const;

/** Text of all metrics of servers, in steps; a metric without samples is left out. */
export function* peerMetrics(groups: Groups, door: Door, names: MetricNames): Generator<string, void> {
  // those of this moment: after a reload the page goes on with the tables that it began with
  const all = groups.names().map((name) => groups.get(name)!);
  for (const { name, type, help, draw } of METRICS[door]) {
    if (names !== null && !names.has(name)) continue;
    let head = metricHead(name, type, help);
    for (const group of all) {
      // asked for anew in each step: servers may have come and gone since the last one
      for (let from = 0, labels = labelsOf(group); from < labels.slots.length; from += STEP, labels = labelsOf(group)) {
        const text = draw(group, labels, from, Math.min(from + STEP, labels.slots.length));
        if (text === '') continue;
        yield head + text;
        head = '';
      }
    }
  }
  if (door === 'stream') return;
  for (const [name, type, help, field] of QUEUE_METRICS) {
    if (names !== null && !names.has(name)) continue;
    let head = metricHead(name, type, help);
    for (const group of all) {
      const { queue } = group;
      if (queue === null) continue;
      yield `${head}${name}{${labelText({ upstream: group.config.name })}} ${queue[field]}\n`;
      head = '';
    }
  }
}
