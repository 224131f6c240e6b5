/** Plots: uPlot where one looks closely, a line of SVG where one glances. */
import { useEffect, useRef } from 'preact/hooks';
import UPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type { Series } from './series.ts';

export interface Line {
  label: string;
  /** Name of a colour of style.css, without dashes. */
  colour: string;
  values: Series;
  /** Filled below. */
  area?: boolean;
}

interface PlotProps {
  /** What it shows, for those who do not see it. */
  title: string;
  /** The same for those who do. */
  caption?: string;
  moments: readonly number[];
  lines: readonly Line[];
  height: number;
  text: (value: number) => string;
  /** Smallest upper end of the scale, so that nothing looks like a mountain. */
  least?: number;
  /** Without axes. */
  bare?: boolean;
}

/** Shortest time that a plot spans, seconds. */
const LEAST_S = 30;

function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** The same colour, thinner. */
function thin(name: string, part: number): string {
  return `color-mix(in srgb, ${colour(name)} ${part}%, transparent)`;
}

/** All plots show the same moment under the pointer. */
const together = UPlot.sync('moments');

function options(props: PlotProps, width: number, readout: () => HTMLElement | null): UPlot.Options {
  const { lines, height, text, least = 1, bare = false } = props;
  const font = '11px system-ui, sans-serif';
  const axis = (values: UPlot.Axis['values'], size: number, show: boolean): UPlot.Axis => ({
    show,
    stroke: () => colour('muted'),
    grid: { stroke: () => colour('line'), width: 1 },
    ticks: { show: false },
    font,
    size,
    gap: 4,
    values,
  });
  return {
    width,
    height,
    legend: { show: false },
    padding: bare ? [4, 0, 0, 0] : [8, 8, 8, 0],
    cursor: {
      y: false,
      points: { size: 5 },
      drag: { x: false, y: false },
      sync: { key: together.key },
    },
    scales: {
      // What was not seen yet takes no room, but a few seconds do not fill it either.
      x: { time: true, range: (u, _min, max) => [max - Math.max(LEAST_S, max - (u.data[0]![0] ?? max)), max] },
      y: { range: (_u, _min, max) => [0, Math.max(least, (max ?? 0) * 1.1)] },
    },
    axes: [
      axis((_u, ticks) => ticks.map((s) => ago(s, ticks)), bare ? 0 : 20, false),
      axis((_u, ticks) => ticks.map((tick) => text(tick)), 52, !bare),
    ],
    series: [
      {},
      ...lines.map(({ label, colour: name, area }) => ({
        label,
        stroke: () => colour(name),
        width: 1.5,
        points: { show: false },
        // A second without an answer has no time; what is left out is what nobody waited for.
        spanGaps: true,
        ...(area === true ? { fill: () => thin(name, 14) } : null),
      })),
    ],
    hooks: {
      setCursor: [
        (u: UPlot) => {
          const out = readout();
          if (out !== null) out.textContent = words(u, props);
        },
      ],
    },
  };
}

const ago = (s: number, all: readonly number[]): string => `${Math.round(s - (all.at(-1) ?? s))} s`;

/** What stands under the pointer. */
function words(u: UPlot, { lines, text }: PlotProps): string {
  const { idx } = u.cursor;
  const moment = idx === null || idx === undefined ? undefined : u.data[0]![idx];
  if (moment === undefined || idx === null || idx === undefined) return '';
  const time = new Date(moment * 1000).toLocaleTimeString(undefined, { hour12: false });
  const values = lines.map(({ label }, i) => {
    const value = u.data[i + 1]![idx];
    return `${label} ${value === null || value === undefined ? '–' : text(value)}`;
  });
  return `${time}  ${values.join('  ')}`;
}

function dataOf({ moments, lines }: PlotProps): UPlot.AlignedData {
  return [[...moments], ...lines.map(({ values }) => values)] as unknown as UPlot.AlignedData;
}

export function Plot(props: PlotProps) {
  const box = useRef<HTMLDivElement>(null);
  const readout = useRef<HTMLSpanElement>(null);
  const plot = useRef<UPlot | null>(null);
  const latest = useRef(props);
  latest.current = props;

  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const width = Math.max(60, element.clientWidth);
    const made = new UPlot(
      options(latest.current, width, () => readout.current),
      dataOf(latest.current),
      element,
    );
    plot.current = made;
    const resized = new ResizeObserver(() => {
      const now = element.clientWidth;
      if (now > 0 && now !== made.width) made.setSize({ width: now, height: latest.current.height });
    });
    resized.observe(element);
    const scheme = matchMedia('(prefers-color-scheme: dark)');
    const redraw = (): void => made.redraw(false, true);
    scheme.addEventListener('change', redraw);
    return () => {
      scheme.removeEventListener('change', redraw);
      resized.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, []);

  const { moments } = props;
  const last = moments.at(-1);
  useEffect(() => plot.current?.setData(dataOf(latest.current)), [last]);

  return (
    <figure class={props.bare === true ? 'plot bare' : 'plot'} role="img" aria-label={props.title}>
      <figcaption aria-hidden="true">
        {props.caption !== undefined && (
          <span class="caption">
            {props.caption}
            {props.lines.map(({ label, colour: name }) => (
              <span key={label} class={`swatch ${name}`}>
                {label}
              </span>
            ))}
          </span>
        )}
        <span class="readout" ref={readout} />
      </figcaption>
      <div ref={box} />
    </figure>
  );
}

const SPARK_WIDTH = 60;
const SPARK_HEIGHT = 18;
/** Frames that fill it at least. */
const SPARK_LEAST = 20;

/** A line of the last minute, as large as a word. Nothing that is not said beside it. */
export function Spark({ values, colour: name, least = 1 }: { values: Series; colour: string; least?: number }) {
  const shown = values.slice(-SPARK_WIDTH);
  const top = shown.reduce<number>((most, value) => Math.max(most, value ?? 0), least) * 1.05;
  // A short past is drawn wider.
  const step = SPARK_WIDTH / Math.max(SPARK_LEAST, shown.length);
  let path = '';
  for (const [i, value] of shown.entries()) {
    if (value === null) continue;
    const x = SPARK_WIDTH - (shown.length - i - 0.5) * step;
    const y = SPARK_HEIGHT - 1 - (value / top) * (SPARK_HEIGHT - 2);
    // The first one is a dot, should it stay alone.
    path += path === '' ? `M${x.toFixed(1)} ${y.toFixed(1)}h.1` : `L${x.toFixed(1)} ${y.toFixed(1)}`;
  }
  return (
    <svg class="spark" viewBox={`0 0 ${SPARK_WIDTH} ${SPARK_HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
      <path class="base" d={`M0 ${SPARK_HEIGHT - 0.5}H${SPARK_WIDTH}`} />
      <path class={`line ${name}`} d={path} />
    </svg>
  );
}
