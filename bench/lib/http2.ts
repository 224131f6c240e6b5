/** HTTP/2: asking a proxy, and the load: one run of h2load, and its figures. */
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, constants } from 'node:http2';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LoadResult } from './load.ts';
import { start, type Running } from './proc.ts';
import { SMALL, type Scenario } from './scenarios.ts';

/** Requests that are under way at a time on one connection. */
const STREAMS = 10;
const TIMEOUT_MILLIS = 10000;

/** A call of gRPC: a message that is not compressed, with the five bytes before it `SMALL` bytes long. */
const CALL = Buffer.concat([Buffer.from([0, 0, 0, 0, SMALL - 5]), Buffer.alloc(SMALL - 5, 'x')]);

/** The version of the installed h2load, or undefined. */
export function h2loadVersion(): string | undefined {
  const { error, stdout } = spawnSync('h2load', ['--version'], { encoding: 'utf8' });
  return error ? undefined : /nghttp2\/(\S+)/.exec(stdout)?.[1];
}

/** One request on a connection of its own. Throws when there is no answer, or a call of gRPC did not say that it was well. */
export function askHttp2(scenario: Scenario, port: number): Promise<{ status: number; body: Buffer }> {
  const grpc = scenario.protocol === 'grpc';
  return new Promise((resolve, reject) => {
    const session = connect(`${scenario.tls ? 'https' : 'http'}://127.0.0.1:${port}`, { rejectUnauthorized: false });
    const fail = (error: Error): void => {
      session.destroy();
      reject(error);
    };
    session.on('error', fail);
    session.setTimeout(TIMEOUT_MILLIS, () => fail(new Error(`no answer within ${TIMEOUT_MILLIS / 1000} s`)));
    const stream = session.request({
      [constants.HTTP2_HEADER_PATH]: scenario.path,
      ...(grpc ? { ':method': 'POST', 'content-type': 'application/grpc', te: 'trailers' } : {}),
    });
    let status = 0;
    let grpcStatus: string | undefined;
    const chunks: Buffer[] = [];
    stream.on('response', (headers) => (status = headers[':status'] ?? 0));
    stream.on('trailers', (trailers) => (grpcStatus = trailers['grpc-status']?.toString()));
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', fail);
    stream.on('close', () => {
      session.destroy();
      if (grpc && status === 200 && grpcStatus !== '0') reject(new Error('no grpc-status 0 behind the answer'));
      else resolve({ status, body: Buffer.concat(chunks) });
    });
    stream.end(grpc ? CALL : undefined);
  });
}

/**
 * Asks until there is a 200. Throws with what the process wrote when it ends before or is not there after `limitMillis`.
 */
export async function untilAnswersHttp2(
  process: Running,
  scenario: Scenario,
  port: number,
  limitMillis = 15000,
): Promise<void> {
  const limit = performance.now() + limitMillis;
  for (let why = 'nothing'; ; await sleep(5)) {
    try {
      const { status } = await askHttp2(scenario, port);
      if (status === 200) return;
      why = `status ${status}`;
    } catch (error) {
      why = (error as Error).message;
    }
    if (!process.alive()) throw new Error(`it ended at once: ${process.output() || 'without a word'}`);
    if (performance.now() > limit) throw new Error(`no answer within ${limitMillis} ms (${why}): ${process.output()}`);
  }
}

/** Runs h2load against 127.0.0.1:`port` for `seconds`. Throws when h2load itself fails. */
export async function loadHttp2(
  directory: string,
  scenario: Scenario,
  port: number,
  seconds: number,
): Promise<LoadResult> {
  const log = join(directory, 'h2load.log');
  rmSync(log, { force: true });
  const args = ['-t', '1', '-c', `${scenario.connections}`, '-m', `${STREAMS}`, '-D', `${seconds}`, '--log-file', log];
  if (scenario.protocol === 'grpc') {
    const call = join(directory, 'call');
    writeFileSync(call, CALL);
    args.push('-d', call, '-H', 'content-type: application/grpc', '-H', 'te: trailers');
  }
  args.push(`${scenario.tls ? 'https' : 'http'}://127.0.0.1:${port}${scenario.path}`);
  const env = { OPENSSL_CONF: join(directory, 'openssl.cnf') };
  const h2load = await start({ file: 'h2load', args, env }, directory);
  const timer = setTimeout(() => void h2load.stop(), (seconds + 30) * 1000);
  await h2load.ended;
  clearTimeout(timer);
  return parse(h2load.output(), log, seconds);
}

/** The summary says how many, the log (start, status and microseconds of each request) how long. */
function parse(text: string, log: string, seconds: number): LoadResult {
  const count = (pattern: RegExp): number => Number(pattern.exec(text)?.[1] ?? Number.NaN);
  const requests = count(/^requests: .* (\d+) succeeded/m);
  if (Number.isNaN(requests)) throw new Error(`h2load failed: ${text}`);
  const micros = Float64Array.from(readFileSync(log, 'latin1').trimEnd().split('\n'), (line) =>
    Number(line.split('\t')[2] ?? 0),
  ).sort();
  const at = (share: number): number => (micros[Math.floor(micros.length * share)] ?? 0) / 1000;
  // An errored request is among the failed ones.
  const errors = {
    failed: count(/^requests: .* (\d+) failed/m),
    timeout: count(/^requests: .* (\d+) timeout/m),
    status: count(/(\d+) 3xx/) + count(/(\d+) 4xx/) + count(/(\d+) 5xx/),
  };
  return {
    requests,
    seconds,
    p50Millis: at(0.5),
    p99Millis: at(0.99),
    errors: Object.fromEntries(Object.entries(errors).filter(([, n]) => n > 0)),
  };
}
