/**
 * Processes: starting them, ending them by their own ids whatever happens, and reading what they used from /proc.
 *
 * Everything that the benchmark starts is in one registry, so that Ctrl-C, an error or a normal end leave nothing
 * behind: no process, no temporary directory.
 */
import { spawn, execFileSync, type ChildProcess } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What to start: an executable with its arguments, and additions to the environment. */
export type Command = {
  readonly file: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
};

/** A process that the benchmark started. */
export type Running = {
  readonly pid: number;
  /** False once it has ended by itself or was stopped. */
  alive(): boolean;
  /** The end of what it wrote to stdout and stderr. */
  output(): string;
  /** Its end, by itself or stopped. */
  readonly ended: Promise<void>;
  /** Ends it and its children: SIGTERM, then SIGKILL after a grace period. */
  stop(): Promise<void>;
};

const KEPT_OUTPUT = 16384;
const GRACE_MILLIS = 3000;

const running = new Set<Running>();
const directories = new Set<string>();

/** Starts a process and registers it. Throws when the executable cannot be started. */
export async function start(command: Command, cwd: string): Promise<Running> {
  const child = spawn(command.file, command.args, {
    cwd,
    env: { ...process.env, ...command.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  const keep = (chunk: Buffer): void => {
    text = (text + chunk.toString('latin1')).slice(-KEPT_OUTPUT);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  // 'close' and not 'exit': then its output has been read, too.
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', reject);
  });
  const handle: Running = {
    pid: child.pid!,
    alive: () => child.exitCode === null && child.signalCode === null,
    output: () => text.trim(),
    ended,
    stop: () => endTree(child, ended),
  };
  running.add(handle);
  void ended.then(() => running.delete(handle));
  return handle;
}

async function endTree(child: ChildProcess, ended: Promise<void>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const pids = tree(child.pid!);
  child.kill('SIGTERM');
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(true), GRACE_MILLIS);
  });
  const isLate = await Promise.race([ended.then(() => false), late]);
  clearTimeout(timer);
  if (isLate) {
    for (const pid of new Set([...pids, ...tree(child.pid!)])) kill(pid);
    await ended;
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended meanwhile.
  }
}

/** A temporary directory that is removed at the end; readable by the unprivileged workers of a proxy run as root. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'headrace-bench-'));
  chmodSync(directory, 0o755);
  directories.add(directory);
  return directory;
}

/** Ends all that is still running and removes the temporary directories. */
export async function cleanUp(): Promise<void> {
  await Promise.all([...running].map((one) => one.stop()));
  removeDirectories();
}

function removeDirectories(): void {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
  directories.clear();
}

/** Makes sure that nothing outlives the benchmark, also when it is interrupted. Call once, first. */
export function guard(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      process.stderr.write(`\n${signal}: ending what was started\n`);
      void cleanUp().finally(() => process.exit(130));
    });
  }
  // The last resort: synchronous, so no waiting for a polite end.
  process.on('exit', () => {
    for (const one of running) for (const pid of one.alive() ? tree(one.pid) : []) kill(pid);
    removeDirectories();
  });
}

/** The fields of /proc/PID/stat after the command name (state is the first); none when there is no such process. */
function statFields(pid: number): string[] {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name is in parentheses and may itself hold spaces and parentheses.
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return [];
  }
}

/** A process and all of its descendants. */
export function tree(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
    const parent = Number(statFields(pid)[1]);
    const list = children.get(parent);
    if (list) list.push(pid);
    else children.set(parent, [pid]);
  }
  const found = [root];
  for (let i = 0; i < found.length; i++) found.push(...(children.get(found[i]!) ?? []));
  return found;
}

const ticksPerSecond = ((): number => {
  try {
    return Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' })) || 100;
  } catch {
    return 100;
  }
})();

/** CPU time that these processes have used so far, user and system, all of their threads, in microseconds. */
export function cpuMicros(pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of pids) {
    const fields = statFields(pid);
    ticks += Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
  }
  return (ticks / ticksPerSecond) * 1e6;
}

/** Resident memory of these processes (the sum of VmRSS; pages that they share count for each), in MiB. */
export function rssMiB(pids: readonly number[]): number {
  let kib = 0;
  for (const pid of pids) {
    try {
      kib += Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0);
    } catch {
      // It has ended meanwhile.
    }
  }
  return kib / 1024;
}

/** How many files this process, and so the ones that it starts, may open. */
export function openFilesLimit(): number {
  try {
    const text = readFileSync('/proc/self/limits', 'latin1');
    return Number(/^Max open files\s+(\d+)/m.exec(text)?.[1] ?? 1024);
  } catch {
    return 1024;
  }
}
