/** Metrics of stream's zones, of caches, limits, resolvers and TLS. */
import { classes, type Counters } from './plus/counters.ts';
import type { Collections } from './plus/collections.ts';
import type { Page } from './prometheus-page.ts';

type Numbers = Readonly<Record<string, unknown>>;

const numbers = (value: unknown): Numbers => value as Numbers;

/** Entries of an object that are numbers. */
function amounts(value: unknown): [name: string, n: number][] {
  return Object.entries(numbers(value)).filter((entry): entry is [string, number] => typeof entry[1] === 'number');
}

export function writeCounted(page: Page, counters: Counters, collections: Collections): void {
  streamZones(page, counters);
  page.define('headrace_cache_responses_total', 'counter', 'Answers of a cache, by how they came about.');
  page.define('headrace_cache_bytes_total', 'counter', 'Their bytes.');
  page.define('headrace_cache_written_bytes_total', 'counter', 'Bytes of files that were written.');
  page.define('headrace_cache_size_bytes', 'gauge', 'What the files of a cache take.');
  page.define('headrace_cache_max_size_bytes', 'gauge', 'What they may take.');
  page.define('headrace_limit_decisions_total', 'counter', 'What limit_conn and limit_req decided.');
  page.define('headrace_slab_pages', 'gauge', 'Pages of a zone that is kept in slabs, by state.');
  page.define('headrace_slab_allocation_fails_total', 'counter', 'Requests for memory that a zone had no room for.');
  page.define('headrace_resolver_requests_total', 'counter', 'Names and services asked for.');
  page.define('headrace_resolver_responses_total', 'counter', 'How that ended.');
  for (const { path, name, value } of collections.all()) {
    if (path === 'http/caches') cache(page, name, numbers(value));
    else if (path === 'resolvers') resolver(page, name, numbers(value));
    else if (path === 'slabs') slab(page, name, numbers(value));
    else limit(page, path, name, value);
  }
  page.define('headrace_tls_handshakes_total', 'counter', 'TLS handshakes with clients and servers.');
  page.define('headrace_tls_session_reuses_total', 'counter', 'Those that went on with a session.');
  const { handshakes, handshakes_failed: failed, session_reuses: reuses } = numbers(collections.tls());
  page.add('headrace_tls_handshakes_total', { outcome: 'done' }, Number(handshakes));
  page.add('headrace_tls_handshakes_total', { outcome: 'failed' }, Number(failed));
  page.add('headrace_tls_session_reuses_total', {}, Number(reuses));
}

function streamZones(page: Page, counters: Counters): void {
  const name = 'headrace_stream_server_zone';
  page.define(
    `${name}_sessions_total`,
    'counter',
    'Sessions of a status_zone of stream that ended, by class of status.',
  );
  page.define(`${name}_discarded_total`, 'counter', 'Connections that ended before they were served.');
  page.define(`${name}_received_bytes_total`, 'counter', 'Bytes received of clients.');
  page.define(`${name}_sent_bytes_total`, 'counter', 'Bytes sent to clients.');
  page.define(`${name}_processing`, 'gauge', 'Sessions under way.');
  for (const [zone, totals] of counters.zoneTotals('stream')) {
    const sums = classes(totals.codes);
    for (const digit of [2, 4, 5]) page.add(`${name}_sessions_total`, { zone, code: `${digit}xx` }, sums[digit - 1]!);
    page.add(`${name}_discarded_total`, { zone }, totals.discarded);
    page.add(`${name}_received_bytes_total`, { zone }, totals.received);
    page.add(`${name}_sent_bytes_total`, { zone }, totals.sent);
    page.add(`${name}_processing`, { zone }, totals.processing);
  }
}

function cache(page: Page, name: string, value: Numbers): void {
  for (const [status, part] of Object.entries(value)) {
    if (typeof part !== 'object') continue;
    const { responses, bytes, bytes_written: written } = numbers(part);
    page.add('headrace_cache_responses_total', { cache: name, status }, Number(responses));
    page.add('headrace_cache_bytes_total', { cache: name, status }, Number(bytes));
    if (written !== undefined) page.add('headrace_cache_written_bytes_total', { cache: name, status }, Number(written));
  }
  page.add('headrace_cache_size_bytes', { cache: name }, Number(value.size));
  if (value.max_size !== undefined) page.add('headrace_cache_max_size_bytes', { cache: name }, Number(value.max_size));
}

function slab(page: Page, zone: string, { pages, slots }: Numbers): void {
  for (const [state, n] of amounts(pages)) page.add('headrace_slab_pages', { zone, state }, n);
  let fails = 0;
  for (const slot of Object.values(numbers(slots))) fails += Number(numbers(slot).fails);
  page.add('headrace_slab_allocation_fails_total', { zone }, fails);
}

function limit(page: Page, path: string, zone: string, value: unknown): void {
  const limit = path.endsWith('reqs') ? 'req' : 'conn';
  for (const [decision, n] of amounts(value)) {
    page.add('headrace_limit_decisions_total', { zone, limit, decision }, n);
  }
}

function resolver(page: Page, name: string, { requests, responses }: Numbers): void {
  for (const [type, n] of amounts(requests)) page.add('headrace_resolver_requests_total', { resolver: name, type }, n);
  for (const [outcome, n] of amounts(responses)) {
    page.add('headrace_resolver_responses_total', { resolver: name, outcome }, n);
  }
}
