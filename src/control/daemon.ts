/**
 * Going into the background (`daemon on`).
 *
 * Node cannot fork, so the program starts itself once more in a session of its own and waits until that child is ready:
 * only then does the parent end with 0. What the child has to say until then comes over a pipe (descriptor 3), since
 * its own stdout and stderr are /dev/null.
 */

import { closeSync, fstatSync, writeSync } from 'node:fs';

const MARK = 'HEADRACE_DAEMON';
const CHANNEL_FD = 3;
/** Cannot be part of a message: those have no control characters. */
const READY = '\x06';

/** The child's end. */
export interface DaemonChannel {
  print(line: string): void;
  /** All is well: the parent may go. */
  ready(): void;
}

let channel: DaemonChannel | null | undefined;

/** What a child in the background reports to; null: this process was not started as one. */
export function daemonChannel(): DaemonChannel | null {
  if (channel === undefined) channel = openChannel();
  return channel;
}

function openChannel(): DaemonChannel | null {
  if (process.env[MARK] === undefined) return null;
  delete process.env[MARK];
  try {
    const stat = fstatSync(CHANNEL_FD);
    if (!stat.isSocket() && !stat.isFIFO()) return null;
  } catch {
    return null;
  }
  let open = true;
  const print = (text: string): void => {
    if (!open) return;
    try {
      writeSync(CHANNEL_FD, text);
    } catch {
      // The parent is gone: there is nobody to tell.
    }
  };
  return {
    print,
    ready() {
      print(READY);
      if (open) closeSync(CHANNEL_FD);
      open = false;
    },
  };
}

/**
 * Starts this program again in the background.
 *
 * @param keepStderr the configuration logs to stderr: the child keeps the terminal's
 * @returns the exit code for the parent: 0 once the child is ready
 */
export function daemonize(keepStderr: boolean): Promise<number> {
  // Loaded here: few starts need it, and it is not free.
  const { spawn } = process.getBuiltinModule('node:child_process');
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    detached: true,
    stdio: ['ignore', 'ignore', keepStderr ? 'inherit' : 'ignore', 'pipe'],
    env: { ...process.env, [MARK]: '1' },
  });
  return new Promise((resolve) => {
    let done = false;
    const finish = (code: number): void => {
      if (done) return;
      done = true;
      child.unref();
      resolve(code);
    };
    child.once('error', (error) => {
      process.stderr.write(`cannot start in the background: ${error.message}\n`);
      finish(1);
    });
    const pipe = child.stdio[CHANNEL_FD];
    if (pipe === null || pipe === undefined || !('setEncoding' in pipe)) return finish(1);
    pipe.setEncoding('utf8');
    pipe.on('data', (text: string) => {
      const end = text.indexOf(READY);
      process.stderr.write(end < 0 ? text : text.slice(0, end));
      if (end < 0) return;
      pipe.destroy();
      finish(0);
    });
    // 'close' comes after the pipe's last words.
    child.once('close', (code) => finish(code === null || code === 0 ? 1 : code));
  });
}
