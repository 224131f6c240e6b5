/** Results for people and for programs: the table, latest.json and latest-meta.json. */
import type { Goal } from './goals.ts';
import type { Scenario } from './scenarios.ts';

/** A row of latest.json. */
export type Row = {
  readonly scenario: string;
  readonly proxy: string;
  readonly cpuMicrosPerRequest: number;
  readonly requestsPerSecond: number;
  readonly p50Millis: number;
  readonly p99Millis: number;
  readonly rssMiB: number;
};

/** A row that does not count, and why. */
export type Invalid = { readonly scenario: string; readonly proxy: string; readonly reason: string };

/** Rounded to four significant digits: more would be noise. */
export function round(value: number): number {
  return Number(value.toPrecision(4));
}

/** A number as people read it: 1,234 or 56.7 or 8.90. */
export function show(value: number): string {
  const digits = value >= 1000 ? 0 : value >= 10 ? 1 : 2;
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** CPU per request as a multiple of nginx's in the same scenario. */
export function ratioToNginx(rows: readonly Row[], row: Row): number | undefined {
  const nginx = rows.find((other) => other.scenario === row.scenario && other.proxy === 'nginx');
  return nginx && row.cpuMicrosPerRequest / nginx.cpuMicrosPerRequest;
}

const HEADINGS = ['', 'µs CPU/request', '× nginx', 'requests/s', 'p50 ms', 'p99 ms', 'RSS MiB'];

/** The table of one scenario. */
export function table(scenario: Scenario, rows: readonly Row[], invalid: readonly Invalid[]): string {
  const lines = [HEADINGS];
  for (const row of rows.filter((one) => one.scenario === scenario.name)) {
    const ratio = ratioToNginx(rows, row);
    lines.push([
      row.proxy,
      show(row.cpuMicrosPerRequest),
      ratio === undefined ? '-' : ratio.toFixed(2),
      show(row.requestsPerSecond),
      show(row.p50Millis),
      show(row.p99Millis),
      show(row.rssMiB),
    ]);
  }
  const reasons = invalid.filter((one) => one.scenario === scenario.name);
  const text = reasons.map((one) => `  ${one.proxy}: not valid: ${brief(one.reason)}\n`).join('');
  return `\n${scenario.title} (${scenario.name}; ${scenario.connections} connections)\n${align(lines)}${text}`;
}

/** The first line of a reason; all of it is in latest-meta.json. */
export function brief(reason: string): string {
  const [line = ''] = reason.split('\n');
  return line.length > 200 ? `${line.slice(0, 200)}…` : line;
}

/** Columns under each other: the first to the left, the others to the right. */
function align(lines: readonly (readonly string[])[]): string {
  const widths = lines[0]!.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  return lines
    .map((line) => line.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  '))
    .map((line) => `  ${line.trimEnd()}\n`)
    .join('');
}

/** The goals, one a line. */
export function goalLines(goals: readonly Goal[]): string {
  const lines = goals.map((one) => {
    const value = one.value === undefined ? 'not measured' : `${show(one.value)} ${one.unit}`;
    const mark = one.reached === undefined ? '-' : one.reached ? 'reached' : 'MISSED';
    return [`${one.goal} ${one.limit} ${one.unit}`, value, mark];
  });
  return `\nGoals\n${align(lines)}`;
}
