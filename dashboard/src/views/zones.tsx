/** What servers and locations with a `status_zone` did. */
import type { ComponentChildren } from 'preact';
import { bytes, count, duration, many, percent, rate } from '../format.ts';
import { calm } from '../series.ts';
import { type Counted, numberOf } from '../model/counted.ts';
import type { Model } from '../model.ts';
import type { Zone } from '../model/zone.ts';
import { Spark } from '../plot.tsx';
import { Columns } from './columns.tsx';

export function Zones({ model }: { model: Model }) {
  const zones = [...model.zones.values()];
  const counted = [...model.counted.values()];
  if (zones.length === 0 && counted.length === 0) {
    return (
      <div class="nothing">
        <h3>No zones</h3>
        <p>
          A <code>server</code> or <code>location</code> of the configuration is counted here when it has{' '}
          <code>status_zone NAME;</code>, and so are caches, limits, and resolvers with <code>status_zone=NAME</code>.
        </p>
      </div>
    );
  }
  return (
    <>
      {(['server', 'location', 'stream'] as const).map((kind) => {
        const these = zones.filter(({ frame }) => frame.kind === kind);
        return these.length === 0 ? null : <Table key={kind} kind={kind} zones={these} />;
      })}
      <Caches caches={counted.filter(({ frame }) => frame.path === 'http/caches')} />
      <Limits limits={counted.filter(({ frame }) => frame.path.includes('limit_'))} />
      <Resolvers resolvers={counted.filter(({ frame }) => frame.path === 'resolvers')} />
    </>
  );
}

const TITLES = { server: 'Virtual servers', location: 'Locations', stream: 'Servers of TCP and UDP' } as const;

function Table({ kind, zones }: { kind: Zone['frame']['kind']; zones: readonly Zone[] }) {
  return (
    <section class="panel">
      <h2>{TITLES[kind]}</h2>
      <table class="servers zones">
        <caption class="hidden">{many(zones.length, 'zone')}</caption>
        <Columns
          texts={['Zone']}
          numbers={[
            kind === 'stream' ? 'Sessions/s' : 'Requests/s',
            'Median',
            '95 %',
            '2xx/s',
            '3xx/s',
            '4xx/s',
            '5xx/s',
            'In',
            'Out',
            'Under way',
            'All',
            'Discarded',
          ]}
        />
        <tbody>
          {zones.map((zone) => (
            <ZoneRow key={zone.frame.key} zone={zone} />
          ))}
        </tbody>
      </table>
    </section>
  );
}

function ZoneRow({ zone }: { zone: Zone }) {
  const { frame, times } = zone;
  return (
    <tr>
      <th scope="row">{frame.name}</th>
      <td class="num" data-label="Requests/s">
        {rate(calm(zone.rps))}
        <Spark values={zone.rps} colour="accent" />
      </td>
      <td class="num" data-label="Median">
        {duration(times.over(0.5))}
      </td>
      <td class="num" data-label="95 %">
        {duration(times.over(0.95))}
        <Spark values={times.p95} colour="accent-2" least={5} />
      </td>
      {[2, 3, 4, 5].map((digit) => {
        const now = calm(zone.classes[digit - 1]!);
        const tone = now === 0 ? 'muted' : digit === 5 ? 'bad' : digit === 4 ? 'warn' : '';
        return (
          <td key={digit} class={`num ${tone}`} data-label={`${digit}xx/s`}>
            {rate(now)}
          </td>
        );
      })}
      <td class="num" data-label="In">
        {bytes(calm(zone.received))}/s
      </td>
      <td class="num" data-label="Out">
        {bytes(calm(zone.sent))}/s
      </td>
      <td class="num" data-label="Under way">
        {frame.kind === 'location' ? '–' : count(frame.processing)}
      </td>
      <td class="num" data-label="All">
        {count(frame.requests)}
      </td>
      <td class={frame.discarded > 0 ? 'num' : 'num muted'} data-label="Discarded">
        {count(frame.discarded)}
      </td>
    </tr>
  );
}

interface PanelProps {
  title: string;
  /** First the name, then numbers. */
  columns: readonly string[];
  rows: readonly { name: string; cells: readonly ComponentChildren[] }[];
}

function Panel({ title, columns, rows }: PanelProps) {
  const [first = '', ...others] = columns;
  if (rows.length === 0) return null;
  return (
    <section class="panel">
      <h2>{title}</h2>
      <table class="servers">
        <caption class="hidden">{title}</caption>
        <Columns texts={[first]} numbers={others} />
        <tbody>
          {rows.map(({ name, cells }) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              {cells.map((cell, i) => (
                <td key={others[i]} class="num" data-label={others[i]}>
                  {cell}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** A rate that is bad news. */
const alarming = (n: number, tone: 'warn' | 'bad'): ComponentChildren => (
  <span class={n > 0 ? tone : 'muted'}>{rate(n)}</span>
);

function Caches({ caches }: { caches: readonly Counted[] }) {
  const rows = caches.map((cache) => {
    const { frame } = cache;
    const hit = cache.rate('hit');
    const all = hit + cache.rate('fetched');
    const size = numberOf(frame, 'size');
    const most = numberOf(frame, 'max_size');
    return {
      name: frame.name,
      cells: [
        <>
          {all === 0 ? '–' : percent(hit / all)}
          <Spark values={cache.series.get('hit') ?? []} colour="accent" />
        </>,
        rate(hit),
        rate(cache.rate('fetched')),
        <>
          {bytes(size)}
          {most > 0 && <span class="muted"> of {bytes(most)}</span>}
        </>,
        ...['hit', 'stale', 'updating', 'revalidated', 'miss', 'expired', 'bypass'].map((name) =>
          count(numberOf(frame, name)),
        ),
      ],
    };
  });
  const columns = [
    'Cache',
    'Hits',
    'Hits/s',
    'Fetched/s',
    'Size',
    'Hit',
    'Stale',
    'Updating',
    'Revalidated',
    'Miss',
    'Expired',
    'Bypass',
  ];
  return <Panel title="Caches" columns={columns} rows={rows} />;
}

function Limits({ limits }: { limits: readonly Counted[] }) {
  const rows = limits.map((limit) => {
    const { frame } = limit;
    const delays = frame.path === 'http/limit_reqs';
    return {
      name: frame.name,
      cells: [
        delays ? 'requests' : 'connections',
        rate(limit.rate('passed')),
        delays ? alarming(limit.rate('delayed'), 'warn') : '–',
        alarming(limit.rate('refused'), 'bad'),
        count(numberOf(frame, 'passed')),
        delays ? count(numberOf(frame, 'delayed')) : '–',
        count(numberOf(frame, 'rejected')),
        count(numberOf(frame, 'delayed_dry_run') + numberOf(frame, 'rejected_dry_run')),
      ],
    };
  });
  const columns = ['Limit', 'Of', 'Passed/s', 'Delayed/s', 'Refused/s', 'Passed', 'Delayed', 'Refused', 'In dry runs'];
  return <Panel title="Limits" columns={columns} rows={rows} />;
}

function Resolvers({ resolvers }: { resolvers: readonly Counted[] }) {
  const rows = resolvers.map((resolver) => ({
    name: resolver.frame.name,
    cells: [
      rate(resolver.rate('asked')),
      rate(resolver.rate('answered')),
      alarming(resolver.rate('failed'), 'bad'),
      count(numberOf(resolver.frame, 'requests')),
      count(numberOf(resolver.frame, 'noerror')),
      count(numberOf(resolver.frame, 'failed')),
    ],
  }));
  const columns = ['Resolver', 'Asked/s', 'Answered/s', 'Failed/s', 'Asked', 'Answered', 'Failed'];
  return <Panel title="Resolvers" columns={columns} rows={rows} />;
}
