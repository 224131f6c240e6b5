/**
 * Preloaded (`--import`) into the process that is profiled, where it runs in the main thread and in each worker thread:
 * waits for the file `go` in the directory HEADRACE_PROFILE, records a CPU profile of its thread for the milliseconds
 * that the file says, and writes `PID-THREAD.cpuprofile` there.
 *
 * Unlike --cpu-prof this leaves out start and warm-up, and does not depend on how the process ends.
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { threadId } from 'node:worker_threads';

const POLL_MILLIS = 50;
const SAMPLE_MICROS = 500;

const directory = process.env['HEADRACE_PROFILE'];

if (directory) {
  const go = join(directory, 'go');
  const timer = setInterval(() => {
    if (!existsSync(go)) return;
    clearInterval(timer);
    void record(directory, Number(readFileSync(go, 'utf8')));
  }, POLL_MILLIS);
  timer.unref();
}

async function record(into: string, millis: number): Promise<void> {
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.setSamplingInterval', { interval: SAMPLE_MICROS });
  await session.post('Profiler.start');
  await sleep(millis);
  const { profile } = await session.post('Profiler.stop');
  session.disconnect();
  const file = join(into, `${process.pid}-${threadId}`);
  writeFileSync(file, JSON.stringify(profile));
  renameSync(file, `${file}.cpuprofile`);
}
