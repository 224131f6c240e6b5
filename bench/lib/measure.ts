/** One measurement: a proxy started for one scenario, checked, warmed up, loaded, ended. */
import { mkdtempSync, chmodSync } from 'node:fs';
import { join } from 'node:path';
import type { Proxy, Setup } from '../proxies/types.ts';
import { loadHttp2, untilAnswersHttp2 } from './http2.ts';
import { load as loadHttp, type LoadResult } from './load.ts';
import { freePorts, untilAnswers } from './net.ts';
import { cpuMicros, rssMiB, start, tree, type Running } from './proc.ts';
import { isHttp2, type Scenario } from './scenarios.ts';
import { loadUdp, untilEchoes } from './udp.ts';
import { verify } from './verify.ts';

/** What the measurements of one run of the benchmark have in common. */
export type Bench = {
  readonly directory: string;
  readonly tls: Setup['tls'];
  /** The group of a scenario, `host:port` each. */
  servers(scenario: Scenario): readonly string[];
  readonly seconds: number;
  readonly warmUpSeconds: number;
};

/** The figures of one measurement. */
export type Sample = {
  readonly cpuMicrosPerRequest: number;
  readonly requestsPerSecond: number;
  readonly p50Millis: number;
  readonly p99Millis: number;
  readonly rssMiB: number;
  /** Cores that the proxy kept busy: far below 1, it was waiting for the load or the backends. */
  readonly coresUsed: number;
};

/** Starts a proxy for a scenario and waits for its first answer. */
export async function startProxy(proxy: Proxy, scenario: Scenario, bench: Bench): Promise<[Running, number]> {
  const directory = mkdtempSync(join(bench.directory, 'proxy-'));
  chmodSync(directory, 0o755);
  const [port] = (await freePorts(1)) as [number];
  const tls = scenario.tls ? bench.tls : undefined;
  const command = proxy.prepare({
    directory,
    port,
    tls,
    servers: bench.servers(scenario),
    protocol: scenario.protocol,
  });
  const running = await start(command, directory);
  try {
    if (scenario.protocol === 'udp') await untilEchoes(running, port);
    else if (isHttp2(scenario)) await untilAnswersHttp2(running, scenario, port);
    else await untilAnswers(running, port, scenario.tls);
  } catch (error) {
    await running.stop();
    throw error;
  }
  return [running, port];
}

/** Runs the load of a scenario, by the program that speaks its protocol. */
export function load(directory: string, scenario: Scenario, port: number, seconds: number): Promise<LoadResult> {
  const by = scenario.protocol === 'udp' ? loadUdp : isHttp2(scenario) ? loadHttp2 : loadHttp;
  return by(directory, scenario, port, seconds);
}

/** Measures once. Throws when the proxy does not start, answers wrongly, or when there were errors under load. */
export async function measure(proxy: Proxy, scenario: Scenario, bench: Bench): Promise<Sample> {
  const [running, port] = await startProxy(proxy, scenario, bench);
  try {
    if (scenario.protocol !== 'udp') await verify(scenario, port);
    await load(bench.directory, scenario, port, bench.warmUpSeconds);
    const pids = tree(running.pid);
    const before = cpuMicros(pids);
    const result = await load(bench.directory, scenario, port, bench.seconds);
    const micros = cpuMicros(pids) - before;
    const memory = rssMiB(pids);
    if (!running.alive()) throw new Error(`it ended under load: ${running.output()}`);
    if (tree(running.pid).join() !== pids.join()) throw new Error('its processes changed under load');
    const errors = Object.entries(result.errors).map(([kind, count]) => `${count} ${kind}`);
    if (errors.length > 0) throw new Error(`errors under load, of ${result.requests} requests: ${errors.join(', ')}`);
    if (result.requests === 0) throw new Error('no request was completed');
    return {
      cpuMicrosPerRequest: micros / result.requests,
      requestsPerSecond: result.requests / result.seconds,
      p50Millis: result.p50Millis,
      p99Millis: result.p99Millis,
      rssMiB: memory,
      coresUsed: micros / 1e6 / result.seconds,
    };
  } finally {
    await running.stop();
  }
}

/** The time from starting the executable to the first answer, in milliseconds. */
export async function measureStart(proxy: Proxy, scenario: Scenario, bench: Bench): Promise<number> {
  const directory = mkdtempSync(join(bench.directory, 'start-'));
  chmodSync(directory, 0o755);
  const [port] = (await freePorts(1)) as [number];
  const command = proxy.prepare({
    directory,
    port,
    tls: undefined,
    servers: bench.servers(scenario),
    protocol: 'http',
  });
  const begin = performance.now();
  const running = await start(command, directory);
  try {
    await untilAnswers(running, port, false);
    return performance.now() - begin;
  } finally {
    await running.stop();
  }
}

/** The middle one, or the mean of the two middle ones. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The sample of medians, each figure by itself. */
export function medianSample(samples: readonly Sample[]): Sample {
  const of = (key: keyof Sample): number => median(samples.map((sample) => sample[key]));
  return {
    cpuMicrosPerRequest: of('cpuMicrosPerRequest'),
    requestsPerSecond: of('requestsPerSecond'),
    p50Millis: of('p50Millis'),
    p99Millis: of('p99Millis'),
    rssMiB: of('rssMiB'),
    coresUsed: of('coresUsed'),
  };
}
