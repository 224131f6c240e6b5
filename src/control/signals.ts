/**
 * Signals as nginx's master process takes them.
 */
import { constants } from 'node:os';
import type { ErrorLog } from '../observe/error-log.ts';

export type Command = 'reload' | 'quit' | 'stop' | 'reopen';

/** Signal -> what it asks for, and how the log says so. */
const COMMANDS: Record<string, { command: Command | null; text: string }> = {
  SIGHUP: { command: 'reload', text: ', reconfiguring' },
  SIGQUIT: { command: 'quit', text: ', shutting down' },
  SIGTERM: { command: 'stop', text: ', exiting' },
  SIGINT: { command: 'stop', text: ', exiting' },
  SIGUSR1: { command: 'reopen', text: ', reopening logs' },
  // Another binary beside this one would need the listening sockets of other threads: start it, then QUIT this one.
  SIGUSR2: { command: null, text: ': changing the binary is not supported, ignoring' },
  SIGWINCH: { command: null, text: ': stopping only the workers is not supported, ignoring' },
};

export interface SignalOptions {
  log: ErrorLog;
  /** A terminal sends SIGWINCH with each change of its size: only a daemon's is meant. */
  daemon: boolean;
}

/**
 * Listens for signals for the rest of the process's life (Node's own meaning of SIGUSR1, the inspector, is replaced).
 *
 * @param handle called with each command, after it was logged
 */
export function onSignals({ log, daemon }: SignalOptions, handle: (command: Command) => void): void {
  for (const [name, { command, text }] of Object.entries(COMMANDS)) {
    if (name === 'SIGWINCH' && !daemon) continue;
    const number = constants.signals[name as NodeJS.Signals];
    process.on(name, () => {
      log.notice(`signal ${number} (${name}) received${text}`);
      if (command !== null) handle(command);
    });
  }
  // A log or terminal that is gone must not end the process.
  process.on('SIGPIPE', () => {});
}
