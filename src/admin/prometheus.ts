/**
 * `prometheus`: metrics in Prometheus's text format 0.0.4. Names follow its conventions: base units (seconds, bytes),
 * `_total` for counters, labels for what is counted apart.
 */
import type { AdminView } from '../control/admin-desk.ts';
import type { AdminReply, AdminRequest } from '../http/handlers/admin.ts';
import { VERSION } from '../version.ts';
import type { Collections } from './plus/collections.ts';
import type { Counters } from './plus/counters.ts';
import { writeCounted } from './prometheus-counted.ts';
import { type MetricNames, Page } from './prometheus-page.ts';
import { peerMetrics } from './prometheus-peers.ts';
import type { SteppedReply } from './sliced-answer.ts';

const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export class Prometheus {
  readonly #view: AdminView;
  readonly #counters: Counters;
  readonly #collections: Collections;

  constructor(view: AdminView, counters: Counters, collections: Collections) {
    this.#view = view;
    this.#counters = counters;
    this.#collections = collections;
  }

  answer({ method, args }: AdminRequest): AdminReply | SteppedReply {
    if (method !== 'GET' && method !== 'HEAD') {
      return { status: 405, fields: [['Allow', 'GET, HEAD']], body: '', more: false };
    }
    return { head: { status: 200, fields: [['Content-Type', CONTENT_TYPE]] }, steps: this.#page(wanted(args)) };
  }

  *#page(names: MetricNames): Generator<string, void> {
    const rendered = (write: (page: Page) => void): string => {
      const page = new Page(names);
      write(page);
      return String(page);
    };
    yield rendered((page) => this.#process(page));
    yield rendered((page) => this.#zones(page));
    const { groups, streamGroups } = this.#view;
    yield* peerMetrics(groups, 'http', names);
    // a group of stream may have the name of one of http
    yield* peerMetrics(streamGroups, 'stream', names);
    yield rendered((page) => this.#checks(page));
    yield rendered((page) => writeCounted(page, this.#counters, this.#collections));
  }

  #process(page: Page): void {
    const view = this.#view;
    const counters = this.#counters;
    page.define('headrace_build_info', 'gauge', 'Version of Headrace.');
    page.add('headrace_build_info', { version: VERSION }, 1);
    page.define('headrace_config_generation', 'gauge', 'Configurations loaded so far.');
    page.add('headrace_config_generation', {}, view.generation().data.id);
    page.define('headrace_config_loaded_timestamp_seconds', 'gauge', 'When the running configuration was loaded.');
    page.add('headrace_config_loaded_timestamp_seconds', {}, view.loadedAt() / 1000);
    page.define('headrace_workers_respawned_total', 'counter', 'Workers that took the place of one that died.');
    page.add('headrace_workers_respawned_total', {}, counters.respawned());
    const { accepted, active, idle } = counters.connections();
    page.define('headrace_connections_accepted_total', 'counter', 'Connections of clients.');
    page.add('headrace_connections_accepted_total', {}, accepted!);
    page.define('headrace_connections', 'gauge', 'Open connections of clients.');
    page.add('headrace_connections', { state: 'active' }, active!);
    page.add('headrace_connections', { state: 'idle' }, idle!);
    const { total, current } = counters.requests();
    page.define('headrace_http_requests_total', 'counter', 'Requests of clients.');
    page.add('headrace_http_requests_total', {}, total!);
    page.define('headrace_http_requests_current', 'gauge', 'Requests under way.');
    page.add('headrace_http_requests_current', {}, current!);
  }

  #zones(page: Page): void {
    for (const kind of ['server', 'location'] as const) {
      const name = `headrace_${kind}_zone`;
      page.define(`${name}_responses_total`, 'counter', `Answers of a status_zone of a ${kind}, by status.`);
      page.define(`${name}_discarded_total`, 'counter', 'Requests that ended without an answer.');
      page.define(`${name}_received_bytes_total`, 'counter', 'Bytes of requests.');
      page.define(`${name}_sent_bytes_total`, 'counter', 'Bytes of answers.');
      page.define(`${name}_processing`, 'gauge', 'Requests under way.');
      page.define(
        `${name}_response_seconds`,
        'histogram',
        'From the first byte of a request to the last of its answer.',
      );
      for (const [zone, totals] of this.#counters.zoneTotals(kind)) {
        const labels = { zone };
        for (const [code, count] of totals.codes)
          page.add(`${name}_responses_total`, { zone, code: String(code) }, count);
        page.add(`${name}_discarded_total`, labels, totals.discarded);
        page.add(`${name}_received_bytes_total`, labels, totals.received);
        page.add(`${name}_sent_bytes_total`, labels, totals.sent);
        if (kind === 'server') page.add(`${name}_processing`, labels, totals.processing);
        page.histogram(`${name}_response_seconds`, labels, totals.hist, totals.timeMs);
      }
    }
  }

  #checks(page: Page): void {
    const lateness = this.#view.lateness();
    if (lateness === null) return;
    const name = 'headrace_health_check_lateness_seconds';
    page.define(name, 'histogram', 'How much later than planned health checks were begun.');
    page.histogram(name, {}, lateness.counts, lateness.sumMs);
    const late = 'headrace_health_checks_late_total';
    page.define(late, 'counter', 'Health checks that were begun later than interval and jitter allow.');
    page.add(late, {}, lateness.tooLate);
  }
}

/** `?name[]=…`, once or more: only these metrics, as Prometheus's own libraries have it. */
function wanted(args: string): MetricNames {
  const names = new URLSearchParams(args).getAll('name[]');
  return names.length === 0 ? null : new Set(names);
}
