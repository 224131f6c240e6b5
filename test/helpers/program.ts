/** Runs a program beside Headrace: a server of somebody else's. */
import { spawn } from 'node:child_process';
import type { Scope } from './wait.ts';

export interface Program {
  /** What it has written. */
  text(): string;
  ended(): boolean;
  /** Asks it to end, then makes it. */
  stop(): Promise<void>;
}

/** Starts a program that is ended, by its process id, after the test. */
export function startProgram(scope: Scope, program: string, args: readonly string[]): Program {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (more) => (text += more));
  const gone = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const stop = async (): Promise<void> => {
    const late = setTimeout(() => child.kill('SIGKILL'), 5000);
    child.kill('SIGTERM');
    await gone;
    clearTimeout(late);
  };
  scope.after(stop);
  return { text: () => text, ended: () => child.exitCode !== null || child.signalCode !== null, stop };
}
