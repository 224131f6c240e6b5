/** The whole in five numbers. */
import { bytes, count, duration, many, percent, rate } from '../format.ts';
import type { Model } from '../model.ts';
import { type Line, Plot } from '../plot.tsx';
import { BAD_SHARE } from '../problems.ts';
import { calm, recent } from '../series.ts';

interface TileProps {
  model: Model;
  label: string;
  value: string;
  unit?: string;
  note?: string;
  lines: readonly Line[];
  text: (value: number) => string;
  least?: number;
  alarm?: boolean;
}

function Tile({ model, label, value, unit = '', note = '', lines, text, least = 1, alarm = false }: TileProps) {
  const title = `${label}: ${value} ${unit}. The last three minutes.`;
  return (
    <div class={alarm ? 'tile alarm' : 'tile'}>
      <h3>{label}</h3>
      <p class="figure">
        <span class="number">{value}</span>
        {unit !== '' && <span class="unit">{unit}</span>}
        {note !== '' && <span class="note">{note}</span>}
      </p>
      <Plot title={title} moments={model.moments} lines={lines} height={44} text={text} least={least} bare />
    </div>
  );
}

export function Overview({ model }: { model: Model }) {
  const { process, workers } = model;
  if (process === null) return null;
  const errors = calm(model.errors);
  const busiest = workers.reduce((most, { busy }) => Math.max(most, recent(busy, 3) ?? 0), 0);
  return (
    <section class="tiles" aria-label="Overview">
      <Tile
        model={model}
        label="Requests"
        value={rate(calm(model.rps))}
        unit="/s"
        lines={[{ label: 'requests/s', colour: 'accent', values: model.rps, area: true }]}
        text={rate}
      />
      <Tile
        model={model}
        label="Response time"
        value={duration(model.over(0.5))}
        note={`95 %: ${duration(model.over(0.95))}`}
        lines={[
          { label: '95 %', colour: 'accent-2', values: model.p95 },
          { label: 'median', colour: 'accent', values: model.p50, area: true },
        ]}
        text={duration}
        least={5}
      />
      <Tile
        model={model}
        label="Errors of servers"
        value={rate(errors)}
        unit="5xx/s"
        alarm={errors > BAD_SHARE * calm(model.rps)}
        lines={[{ label: '5xx/s', colour: 'bad', values: model.errors, area: true }]}
        text={rate}
      />
      <Tile
        model={model}
        label="Connections"
        value={count(process.active + process.idle)}
        note={`${count(process.active)} active`}
        lines={[{ label: 'open', colour: 'accent', values: model.connections, area: true }]}
        text={count}
        least={4}
      />
      <Tile
        model={model}
        label="Busiest worker"
        value={percent(busiest)}
        note={`${many(workers.length, 'worker')}, ${bytes(process.rss)}`}
        lines={[{ label: 'cores used', colour: 'accent', values: model.cpu, area: true }]}
        text={(value) => value.toFixed(2)}
        least={workers.length}
      />
    </section>
  );
}
