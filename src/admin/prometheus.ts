/**
 * `prometheus`: metrics in Prometheus's text format 0.0.4. Names follow its conventions: base units (seconds, bytes),
 * `_total` for counters, labels for what is counted apart.
 */
import type { AdminView } from '../control/admin-desk.ts';
import type { PeerView } from '../control/groups.ts';
import type { AdminReply, AdminRequest } from '../http/handlers/admin.ts';
import { VERSION } from '../version.ts';
import type { Collections } from './plus/collections.ts';
import type { Counters } from './plus/counters.ts';
import { writeCounted } from './prometheus-counted.ts';
import { type Labels, Page } from './prometheus-page.ts';

const STATES = ['up', 'draining', 'down', 'unavail', 'checking', 'unhealthy'] as const;

export class Prometheus {
  readonly #view: AdminView;
  readonly #counters: Counters;
  readonly #collections: Collections;

  constructor(view: AdminView, counters: Counters, collections: Collections) {
    this.#view = view;
    this.#counters = counters;
    this.#collections = collections;
  }

  answer({ method }: AdminRequest): AdminReply {
    if (method !== 'GET' && method !== 'HEAD') {
      return { status: 405, fields: [['Allow', 'GET, HEAD']], body: '', more: false };
    }
    const page = new Page();
    this.#process(page);
    this.#zones(page);
    this.#groups(page);
    this.#checks(page);
    writeCounted(page, this.#counters, this.#collections);
    const type: [string, string] = ['Content-Type', 'text/plain; version=0.0.4; charset=utf-8'];
    return { status: 200, fields: [type], body: String(page), more: false };
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
  }

  #groups(page: Page): void {
    const { groups, streamGroups } = this.#view;
    const http = 'headrace_upstream_peer';
    definePeers(page, http, 'Requests');
    page.define(`${http}_requests_total`, 'counter', 'Requests that were sent to a server.');
    page.define(`${http}_responses_total`, 'counter', 'Answers of a server, by class.');
    page.define(`${http}_response_seconds`, 'histogram', 'From the choice of a server to the last byte of its answer.');
    page.define('headrace_upstream_queue_size', 'gauge', 'Requests that wait for a server.');
    page.define('headrace_upstream_queue_overflows_total', 'counter', 'Requests that found the queue full.');
    for (const upstream of groups.names()) {
      const { peers, queue } = groups.get(upstream)!.snapshot();
      for (const peer of peers) {
        const labels = { upstream, server: peer.address };
        addPeer(page, http, labels, peer);
        page.add(`${http}_requests_total`, labels, peer.requests);
        for (const [i, count] of peer.responses.entries())
          page.add(`${http}_responses_total`, { ...labels, code: `${i + 1}xx` }, count);
        page.histogram(`${http}_response_seconds`, labels, peer.hist, peer.histSumMs);
      }
      if (queue === null) continue;
      page.add('headrace_upstream_queue_size', { upstream }, queue.size);
      page.add('headrace_upstream_queue_overflows_total', { upstream }, queue.overflows);
    }
    // a group of stream may have the name of one of http
    const stream = 'headrace_stream_upstream_peer';
    definePeers(page, stream, 'Sessions');
    page.define(`${stream}_sessions_total`, 'counter', 'Sessions that were passed to a server.');
    for (const upstream of streamGroups.names()) {
      for (const peer of streamGroups.get(upstream)!.snapshot().peers) {
        const labels = { upstream, server: peer.address };
        addPeer(page, stream, labels, peer);
        page.add(`${stream}_sessions_total`, labels, peer.requests);
      }
    }
  }
}

/** What servers of http and of stream have both. @param what is under way there */
function definePeers(page: Page, name: string, what: string): void {
  page.define(`${name}_state`, 'gauge', '1 for the state that a server is in.');
  page.define(`${name}_active`, 'gauge', `${what} under way.`);
  page.define(`${name}_weight`, 'gauge', 'Configured weight.');
  page.define(`${name}_sent_bytes_total`, 'counter', 'Bytes sent to a server.');
  page.define(`${name}_received_bytes_total`, 'counter', 'Bytes received of a server.');
  page.define(`${name}_fails_total`, 'counter', 'Attempts that failed.');
  page.define(`${name}_unavailable_total`, 'counter', 'Times that a server became unavailable by max_fails.');
  page.define(`${name}_downtime_seconds_total`, 'counter', 'How long it was unavailable, unhealthy or being checked.');
  page.define(`${name}_health_checks_total`, 'counter', 'Active checks, by outcome.');
}

function addPeer(page: Page, name: string, labels: Labels, peer: PeerView): void {
  for (const state of STATES) page.add(`${name}_state`, { ...labels, state }, peer.state === state ? 1 : 0);
  page.add(`${name}_active`, labels, peer.conns);
  page.add(`${name}_weight`, labels, peer.weight);
  page.add(`${name}_sent_bytes_total`, labels, peer.sent);
  page.add(`${name}_received_bytes_total`, labels, peer.received);
  page.add(`${name}_fails_total`, labels, peer.failsTotal);
  page.add(`${name}_unavailable_total`, labels, peer.unavail);
  page.add(`${name}_downtime_seconds_total`, labels, peer.downtimeMs / 1000);
  if (peer.health === null) return;
  const { checks, fails } = peer.health;
  page.add(`${name}_health_checks_total`, { ...labels, outcome: 'passed' }, checks - fails);
  page.add(`${name}_health_checks_total`, { ...labels, outcome: 'failed' }, fails);
}
