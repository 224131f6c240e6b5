/** The process and its threads. */
import { bytes, clockTime, count, percent, rate, span } from '../format.ts';
import type { Model } from '../model.ts';
import { Spark } from '../plot.tsx';
import { calm, recent } from '../series.ts';
import { Columns } from './columns.tsx';

export function Process({ model }: { model: Model }) {
  const { node, process, workers } = model;
  if (node === null || process === null) return null;
  const facts: [string, string][] = [
    ['Version', node.version],
    ['Running for', span(model.now - node.startedAt)],
    ['Process', String(node.pid)],
    ['Configuration', node.file],
    ['Loaded', `${clockTime(node.loadedAt)}, ${span(model.now - node.loadedAt)} ago (${ordinal(node.generation)})`],
    ['Memory', bytes(process.rss)],
    ['CPU', `${calm(model.cpu).toFixed(2)} cores`],
    [
      'Connections',
      `${count(process.active)} active, ${count(process.idle)} idle, ${count(process.accepted)} accepted`,
    ],
    ['Requests', `${count(process.requests)}, ${count(process.current)} under way`],
    ['Workers replaced', count(process.respawned)],
  ];
  return (
    <>
      <section class="panel">
        <h2>Process</h2>
        <dl class="numbers facts">
          {facts.map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
      </section>
      <section class="panel">
        <h2>Workers</h2>
        <table class="servers">
          <caption class="hidden">Worker threads</caption>
          <Columns
            texts={['Worker', 'Busy']}
            numbers={['Requests/s', 'Under way', 'Connections', 'Accepted', 'Requests']}
          />
          <tbody>
            {workers.map(({ frame, busy, rps }) => {
              const share = recent(busy, 3) ?? 0;
              return (
                <tr key={frame.number}>
                  <th scope="row">
                    {frame.id} <span class="muted sub">thread {frame.number}</span>
                  </th>
                  <td class="busy" data-label="Busy">
                    <meter min={0} max={1} high={0.8} value={share} aria-label={`Worker ${frame.id} is busy`} />
                    <span class="num">{percent(share)}</span>
                  </td>
                  <td class="num" data-label="Requests/s">
                    {rate(calm(rps))}
                    <Spark values={rps} colour="accent" />
                  </td>
                  <td class="num" data-label="Under way">
                    {count(frame.current)}
                  </td>
                  <td class="num" data-label="Connections">
                    {count(frame.connections)}
                  </td>
                  <td class="num" data-label="Accepted">
                    {count(frame.accepted)}
                  </td>
                  <td class="num" data-label="Requests">
                    {count(frame.requests)}
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </section>
    </>
  );
}

function ordinal(n: number): string {
  if (n === 1) return 'the first';
  return `reload ${n - 1}`;
}
