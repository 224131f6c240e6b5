/** UDP: servers that send back what they get, and a load of clients that each wait for the answer to their last datagram. */
import { createSocket } from 'node:dgram';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BACKENDS } from './backends.ts';
import type { LoadResult } from './load.ts';
import { start, type Running } from './proc.ts';
import type { Scenario } from './scenarios.ts';

const PROCESS = join(import.meta.dirname, 'udp-process.ts');

async function said(running: Running, what: RegExp): Promise<string> {
  for (;;) {
    const found = what.exec(running.output())?.[1];
    if (found !== undefined) return found;
    if (!running.alive()) throw new Error(`UDP: ${running.output()}`);
    await sleep(5);
  }
}

/** @returns the ports of the servers, all in a process of their own */
export async function startEchoes(directory: string): Promise<number[]> {
  const running = await start({ file: process.execPath, args: [PROCESS, 'echo', `${BACKENDS}`] }, directory);
  return JSON.parse(await said(running, /^PORTS (.*)$/m)) as number[];
}

/** Sends datagrams until one comes back. */
export async function untilEchoes(running: Running, port: number, limitMillis = 15000): Promise<void> {
  const socket = createSocket('udp4');
  let answered = false;
  socket.on('message', () => (answered = true));
  socket.on('error', () => {});
  const limit = performance.now() + limitMillis;
  try {
    while (!answered) {
      if (!running.alive()) throw new Error(`it ended at once: ${running.output()}`);
      if (performance.now() > limit) throw new Error(`no answer within ${limitMillis} ms: ${running.output()}`);
      socket.send('x', port, '127.0.0.1');
      await sleep(5);
    }
  } finally {
    socket.close();
  }
}

/** As `load`, with datagrams. */
export async function loadUdp(
  directory: string,
  scenario: Scenario,
  port: number,
  seconds: number,
): Promise<LoadResult> {
  const args = [PROCESS, 'load', `${port}`, `${scenario.connections}`, `${seconds}`];
  const running = await start({ file: process.execPath, args }, directory);
  const timer = setTimeout(() => void running.stop(), (seconds + 30) * 1000);
  const line = await said(running, /^RESULT (.*)$/m);
  clearTimeout(timer);
  await running.stop();
  return JSON.parse(line) as LoadResult;
}
