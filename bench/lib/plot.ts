/** The plot: one panel a scenario, one bar a proxy, CPU per request. Plain SVG that fits light and dark pages. */
import { show, type Row } from './report.ts';
import type { Scenario } from './scenarios.ts';

const WIDTH = 960;
const MARGIN = 32;
const GAP = 48;
const COLUMNS = 2;
const PANEL = (WIDTH - 2 * MARGIN - (COLUMNS - 1) * GAP) / COLUMNS;
const LABEL = 132;
const VALUE = 64;
const HEAD = 40;
const BAR = 14;
const STEP = 22;
const TOP = 92;
const PANEL_GAP = 30;
const FOOT = 44;

const STYLE = `
    text { font: 12px system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif; fill: #1f2933; }
    .page { fill: #ffffff; }
    .title { font-size: 20px; font-weight: 600; }
    .head { font-size: 13px; font-weight: 600; }
    .soft { fill: #66727f; }
    .value { font-variant-numeric: tabular-nums; paint-order: stroke; stroke: #ffffff; stroke-width: 4px; }
    .own { font-weight: 600; }
    .headrace { fill: #0b7a75; }
    .native { fill: #8b98a5; }
    .node { fill: #c9d1d9; }
    .axis { stroke: #d5dbe1; }
    .mark { stroke: #1f2933; stroke-width: 1; stroke-dasharray: 2 3; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3; }
      .page { fill: #0d1117; }
      .soft { fill: #93a1af; }
      .value { stroke: #0d1117; }
      .headrace { fill: #2fc4b2; }
      .native { fill: #76838f; }
      .node { fill: #3d4751; }
      .axis { stroke: #303841; }
      .mark { stroke: #e6edf3; }
    }`;

const NATIVE = ['nginx', 'haproxy', 'caddy'];

/** What the plot says of its origin; `proxies` in the order of the bars. */
type About = {
  readonly proxies: readonly string[];
  readonly date: string;
  readonly machine: { readonly cpu: string; readonly cores: number };
  readonly options: { readonly seconds: number; readonly rounds: number };
};

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

function text(x: number, y: number, classes: string, content: string, anchor = 'start'): string {
  const end = anchor === 'start' ? '' : ` text-anchor="${anchor}"`;
  return `<text x="${n(x)}" y="${n(y)}" class="${classes}"${end}>${escape(content)}</text>`;
}

/** A coordinate, without digits that nobody sees. */
function n(value: number): string {
  return String(Math.round(value * 10) / 10);
}

/** One scenario: bars from the left edge of the plot area, the line of nginx's value through all of them. */
function panel(scenario: Scenario, proxies: readonly string[], rows: readonly Row[], x: number, y: number): string {
  const own = rows.filter((row) => row.scenario === scenario.name);
  const scale = (PANEL - LABEL - VALUE) / Math.max(...own.map((row) => row.cpuMicrosPerRequest), 1e-9);
  const left = x + LABEL;
  const parts = [text(x, y + 14, 'head', scenario.title)];
  const values: string[] = [];
  const bottom = y + HEAD + proxies.length * STEP - (STEP - BAR);
  parts.push(`<line class="axis" x1="${n(left)}" x2="${n(left)}" y1="${n(y + HEAD - 6)}" y2="${n(bottom + 6)}"/>`);
  proxies.forEach((proxy, index) => {
    const top = y + HEAD + index * STEP;
    const middle = top + BAR - 3;
    const kind = proxy === 'headrace' ? 'headrace' : NATIVE.includes(proxy) ? 'native' : 'node';
    parts.push(text(left - 10, middle, proxy === 'headrace' ? 'own' : '', proxy, 'end'));
    const row = own.find((one) => one.proxy === proxy);
    if (!row) {
      values.push(text(left + 8, middle, 'value soft', 'no valid figure'));
      return;
    }
    const length = Math.max(1, row.cpuMicrosPerRequest * scale);
    parts.push(`<rect class="${kind}" x="${n(left)}" y="${n(top)}" width="${n(length)}" height="${BAR}" rx="2"/>`);
    const classes = proxy === 'headrace' ? 'value own' : 'value';
    values.push(text(left + length + 8, middle, classes, show(row.cpuMicrosPerRequest)));
  });
  const nginx = own.find((row) => row.proxy === 'nginx');
  if (nginx) {
    const at = n(left + nginx.cpuMicrosPerRequest * scale);
    parts.push(`<line class="mark" x1="${at}" x2="${at}" y1="${n(y + HEAD - 6)}" y2="${n(bottom + 6)}"/>`);
  }
  // The values last: their outline in the page's colour keeps them readable across the line.
  return [...parts, ...values].join('\n  ');
}

/** The whole plot as an SVG document. */
export function plot(scenarios: readonly Scenario[], rows: readonly Row[], about: About): string {
  const proxies = about.proxies.filter((proxy) => rows.some((row) => row.proxy === proxy));
  const panelHeight = HEAD + proxies.length * STEP + PANEL_GAP;
  const lines = Math.ceil(scenarios.length / COLUMNS);
  const height = TOP + lines * panelHeight + FOOT;
  const panels = scenarios.map((scenario, index) =>
    panel(
      scenario,
      proxies,
      rows,
      MARGIN + (index % COLUMNS) * (PANEL + GAP),
      TOP + Math.floor(index / COLUMNS) * panelHeight,
    ),
  );
  const { machine, options, date } = about;
  const turns = options.rounds === 1 ? 'one turn' : `median of ${options.rounds} turns`;
  const how = `${machine.cpu}, ${machine.cores} cores, loopback; ${turns} of ${options.seconds} s; `;
  const size = `viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}"`;
  const label = 'CPU time per request of Headrace and other proxies';
  const what = 'Microseconds of the proxy, user and kernel, all of its processes and threads. Less is better.';
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} role="img" aria-label="${label}">
  <style>${STYLE}
  </style>
  <rect class="page" width="${WIDTH}" height="${height}" rx="8"/>
  ${text(MARGIN, 44, 'title', 'CPU time per request')}
  ${text(MARGIN, 66, 'soft', `${what} Dotted: nginx.`)}
  ${panels.join('\n  ')}
  ${text(MARGIN, height - 20, 'soft', how + date.slice(0, 10))}
</svg>
`;
}
