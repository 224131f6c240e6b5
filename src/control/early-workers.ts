/**
 * Starting worker threads before the configuration is loaded: their code loads while the main thread parses, which
 * makes the first answer come sooner. A guess from a glance at the file; when it is wrong, only the time is lost.
 */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { daemonChannel } from './daemon.ts';
import type { ConfigSource } from './load-config.ts';
import { WorkerThread } from './worker-thread.ts';

/** More than there are processors to start them would not come sooner. */
const MOST = 8;

export interface EarlyWorkers {
  /** Number of workers that they were told there are. */
  count: number;
  threads: WorkerThread[];
}

/**
 * What a configuration seems to ask for.
 *
 * @param text the main file and `-g`
 * @returns the number of workers; 0: it goes into the background first, or there is no telling
 */
export function guessWorkers(text: string, background: boolean): number {
  const plain = text.replace(/#.*$/gm, '');
  if (!background && !/(?:^|[\s;{}])daemon\s+off\s*;/.test(plain)) return 0;
  const number = /(?:^|[\s;{}])worker_processes\s+(\d+|auto)\s*;/.exec(plain)?.[1] ?? '1';
  return number === 'auto' ? availableParallelism() : Number(number);
}

export function startEarly(entry: URL, { file, globals, errorLogPath }: ConfigSource): EarlyWorkers {
  const early: EarlyWorkers = { count: 0, threads: [] };
  try {
    early.count = guessWorkers(`${readFileSync(file, 'latin1')}\n${globals}`, daemonChannel() !== null);
  } catch {
    // Loading it will say what is wrong.
    return early;
  }
  for (let workerId = 0; workerId < Math.min(early.count, MOST); workerId++) {
    early.threads.push(new WorkerThread(entry, { workerId, workerCount: early.count, errorLogPath }));
  }
  return early;
}
