/** What servers and locations with a `status_zone` did. */
import { bytes, count, duration, many, rate } from '../format.ts';
import { calm, type Model, type Zone } from '../model.ts';
import { Spark } from '../plot.tsx';

export function Zones({ model }: { model: Model }) {
  const zones = [...model.zones.values()];
  if (zones.length === 0) {
    return (
      <div class="nothing">
        <h3>No zones</h3>
        <p>
          A <code>server</code> or <code>location</code> of the configuration is counted here when it has{' '}
          <code>status_zone NAME;</code>.
        </p>
      </div>
    );
  }
  return (
    <>
      {(['server', 'location'] as const).map((kind) => {
        const these = zones.filter(({ frame }) => frame.kind === kind);
        return these.length === 0 ? null : <Table key={kind} kind={kind} zones={these} />;
      })}
    </>
  );
}

function Table({ kind, zones }: { kind: 'server' | 'location'; zones: readonly Zone[] }) {
  return (
    <section class="panel">
      <h2>{kind === 'server' ? 'Virtual servers' : 'Locations'}</h2>
      <table class="servers zones">
        <caption class="hidden">{many(zones.length, 'zone')}</caption>
        <thead>
          <tr>
            <th scope="col">Zone</th>
            {[
              'Requests/s',
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
            ].map((name) => (
              <th key={name} scope="col" class="num">
                {name}
              </th>
            ))}
          </tr>
        </thead>
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
        {frame.kind === 'server' ? count(frame.processing) : '–'}
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
