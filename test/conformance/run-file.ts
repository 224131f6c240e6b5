/**
 * Runs one file of nginx-tests, as `prove` would: Perl, in the checkout, with the binary named by the environment.
 */
import { spawn } from 'node:child_process';
import { basename } from 'node:path';
import { parseTap, verdict } from './tap.ts';
import type { TapResult, Verdict } from './tap.ts';

export interface RunOptions {
  /** The checkout of nginx-tests. */
  checkout: string;
  env: NodeJS.ProcessEnv;
  timeoutMs: number;
  /** Whom the test runs as; null: as we do. */
  as: { uid: number; gid: number } | null;
}

export interface FileResult {
  file: string;
  verdict: Verdict;
  tap: TapResult;
  millis: number;
  /** Everything that it printed, for who wants to look closer. */
  output: string[];
}

/** Collects whole lines of a stream. */
function collect(stream: NodeJS.ReadableStream, lines: string[]): () => void {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    const parts = (rest + chunk).split('\n');
    rest = parts.pop() ?? '';
    lines.push(...parts);
  });
  return () => {
    if (rest !== '') lines.push(rest);
  };
}

/**
 * The file gets a process group of its own: what it leaves behind (daemons, the server) is ended with it.
 *
 * @returns when it has ended, at the latest shortly after `timeoutMs`
 */
export function runFile(file: string, { checkout, env, timeoutMs, as }: RunOptions): Promise<FileResult> {
  const begun = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn('perl', ['-I', 'lib', file], {
      cwd: checkout,
      env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      ...as,
    });
    const output: string[] = [];
    const flushes = [collect(child.stdout, output), collect(child.stderr, output)];
    let timedOut = false;
    const killGroup = (): void => {
      try {
        process.kill(-child.pid!, 'SIGKILL');
      } catch {
        // Nobody is left.
      }
    };
    const timer = setTimeout(() => {
      timedOut = true;
      killGroup();
    }, timeoutMs);
    child.once('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    // The streams stay open for as long as something that the file started is alive: its end is what counts.
    child.once('exit', (code) => {
      clearTimeout(timer);
      killGroup();
      const done = (): void => {
        for (const flush of flushes) flush();
        const tap = parseTap(output);
        const millis = Math.round(performance.now() - begun);
        resolve({ file: basename(file), verdict: verdict(tap, code, timedOut), tap, millis, output });
      };
      child.once('close', done);
    });
  });
}
