/** The load: one run of wrk, and its figures. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { start } from './proc.ts';
import { MIB, type Scenario } from './scenarios.ts';

export type LoadResult = {
  readonly requests: number;
  readonly seconds: number;
  readonly p50Millis: number;
  readonly p99Millis: number;
  /** Counted failures by kind; empty when there were none. */
  readonly errors: Readonly<Record<string, number>>;
};

/** The version of the installed wrk, or undefined. */
export function wrkVersion(): string | undefined {
  const { error, stdout, stderr } = spawnSync('wrk', ['-v'], { encoding: 'utf8' });
  return error ? undefined : /^wrk\s+(\S+)/m.exec(stdout + stderr)?.[1];
}

// `done` runs once at the end; there is no `response` function, which would cost wrk time for every answer.
const DONE = `
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'RESULT {"requests":%d,"micros":%d,"p50":%d,"p99":%d,' ..
    '"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect, e.read, e.write, e.status, e.timeout))
end
`;

const UPLOAD = `
wrk.method = 'POST'
wrk.body = string.rep('x', ${MIB})
`;

// All proxies speak the same cipher: what OpenSSL prefers by default, and what Go would not choose by itself.
const OPENSSL = `
openssl_conf = main
[main]
ssl_conf = ssl
[ssl]
system_default = defaults
[defaults]
MinProtocol = TLSv1.3
Ciphersuites = TLS_AES_256_GCM_SHA384
`;

/** Writes the files that wrk needs into `directory`. */
export function writeLoadFiles(directory: string): void {
  writeFileSync(join(directory, 'get.lua'), DONE);
  writeFileSync(join(directory, 'upload.lua'), UPLOAD + DONE);
  writeFileSync(join(directory, 'openssl.cnf'), OPENSSL);
}

/** Runs wrk against 127.0.0.1:`port` for `seconds`. Throws when wrk itself fails. */
export async function load(directory: string, scenario: Scenario, port: number, seconds: number): Promise<LoadResult> {
  const threads = availableParallelism() > 4 ? 2 : 1;
  const args = ['-t', `${threads}`, '-c', `${scenario.connections}`, '-d', `${seconds}s`];
  args.push('--timeout', '10s', '--latency');
  args.push('-s', join(directory, scenario.path === '/upload' ? 'upload.lua' : 'get.lua'));
  if (scenario.closing) args.push('-H', 'Connection: close');
  args.push(`${scenario.tls ? 'https' : 'http'}://127.0.0.1:${port}${scenario.path}`);
  const env = { OPENSSL_CONF: join(directory, 'openssl.cnf') };
  const wrk = await start({ file: 'wrk', args, env }, directory);
  const timer = setTimeout(() => void wrk.stop(), (seconds + 30) * 1000);
  await wrk.ended;
  clearTimeout(timer);
  const line = /^RESULT (.*)$/m.exec(wrk.output())?.[1];
  if (!line) throw new Error(`wrk failed: ${wrk.output()}`);
  return parse(line);
}

function parse(line: string): LoadResult {
  const raw = JSON.parse(line) as Record<string, number>;
  const kinds = ['connect', 'read', 'write', 'status', 'timeout'];
  return {
    requests: raw.requests!,
    seconds: raw.micros! / 1e6,
    p50Millis: raw.p50! / 1000,
    p99Millis: raw.p99! / 1000,
    errors: Object.fromEntries(kinds.filter((kind) => raw[kind]! > 0).map((kind) => [kind, raw[kind]!])),
  };
}
