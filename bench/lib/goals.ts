/** The goals that Headrace has set itself, and whether a run reached them. */
import type { Row } from './report.ts';

export type Goal = {
  readonly goal: string;
  /** What was measured, or undefined where a needed row is missing. */
  readonly value: number | undefined;
  readonly limit: number;
  readonly unit: 'times' | 'ms';
  /** Undefined: cannot be told from this run. */
  readonly reached: boolean | undefined;
};

const NODE_PROXIES = ['http-proxy-3', 'fast-proxy', '@fastify/http-proxy'];

/** Judges the rows of one run; `headraceStart` is its time from start to first answer in milliseconds. */
export function judge(rows: readonly Row[], headraceStart: number | undefined): Goal[] {
  const cpu = (scenario: string, proxy: string): number | undefined =>
    rows.find((row) => row.scenario === scenario && row.proxy === proxy)?.cpuMicrosPerRequest;

  const atMost = (goal: string, value: number | undefined, limit: number, unit: Goal['unit']): Goal => ({
    goal,
    value,
    limit,
    unit,
    reached: value === undefined ? undefined : value <= limit,
  });
  const ratio = (a: number | undefined, b: number | undefined): number | undefined =>
    a === undefined || b === undefined ? undefined : a / b;
  const against = (goal: string, scenario: string, other: string, limit: number): Goal =>
    atMost(goal, ratio(cpu(scenario, 'headrace'), cpu(scenario, other)), limit, 'times');

  const bestNode = NODE_PROXIES.map((name) => cpu('small', name)).filter((value) => value !== undefined);
  const cheaper = ratio(bestNode.length > 0 ? Math.min(...bestNode) : undefined, cpu('small', 'headrace'));
  return [
    against('65 bytes, keep-alive: CPU per request against nginx, at most', 'small', 'nginx', 1.1),
    against('1 MiB answers: CPU per request against nginx, at most', 'large', 'nginx', 0.8),
    against('1 MiB answers: CPU per request against HAProxy, at most', 'large', 'haproxy', 1.1),
    against('TLS, 65 bytes: CPU per request against nginx, at most', 'tls-small', 'nginx', 1.25),
    {
      goal: '65 bytes, keep-alive: cheaper than the best Node proxy, at least',
      value: cheaper,
      limit: 3.5,
      unit: 'times',
      reached: cheaper === undefined ? undefined : cheaper >= 3.5,
    },
    atMost('start to first answer, at most', headraceStart, 300, 'ms'),
  ];
}
