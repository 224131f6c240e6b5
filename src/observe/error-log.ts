/**
 * The error log: one or several targets, each with its level, usable from any thread.
 *
 * Lines look as nginx's: `2026/11/21 13:35:00 [error] 123#1: *45 message`, where 123 is the process, 1 the thread
 * (0: the main one) and 45 the connection. A line is one write. Nothing throws; what could not be written is counted.
 */
import { isUtf8 } from 'node:buffer';
import { writeSync } from 'node:fs';
import { threadId } from 'node:worker_threads';
import type { ErrorLogTarget, LogLevel } from '../config/model.ts';
import { type AppendFile, shareFile } from './append-file.ts';
import { errorLogTime } from './log-time.ts';
import { type SyslogSender, openSyslog, severityOfLevel } from './syslog.ts';

/** nginx's numbers: the higher, the less it matters. A target takes a level when its own number is not lower. */
export const LEVELS: Readonly<Record<LogLevel, number>> = {
  emerg: 1,
  alert: 2,
  crit: 3,
  error: 4,
  warn: 5,
  notice: 6,
  info: 7,
  debug: 8,
};

/** nginx's NGX_MAX_ERROR_STR: no line is longer, whatever a client sends. */
const MAX_LINE = 2048;

/** What stands before a message on the terminal. nginx's name, because scripts around nginx look for it. */
export const PROGRAM = 'nginx';

interface Sink {
  level: number;
  file: AppendFile | null;
  syslog: SyslogSender | null;
}

export interface ErrorLogOptions {
  /** Also print messages of level warn and above to stderr as `nginx: [level] message` (command line, start-up). */
  copyToStderr?: boolean;
  /** Where copies and the target `stderr` go; tests and the daemon's start-up replace it. */
  stderr?: (line: string) => void;
}

/** A control character in a message would let a client forge log lines. */
const CONTROL = /[\x00-\x1f\x7f]/;
const CONTROLS = /[\x00-\x1f\x7f]/g;

function escapeControl(char: string): string {
  return `\\x${char.charCodeAt(0).toString(16).padStart(2, '0').toUpperCase()}`;
}

/**
 * Messages mix text (UTF-8 once written) and request bytes held as latin1 strings. Bytes that are UTF-8 already
 * go out as they came; everything else is encoded.
 */
export function encodeLine(line: string): Uint8Array {
  const bytes = Buffer.from(line, 'utf8');
  if (bytes.length === line.length) return bytes;
  const raw = Buffer.from(line, 'latin1');
  for (let i = 0; i < line.length; i++) if (line.charCodeAt(i) > 0xff) return bytes;
  return isUtf8(raw) ? raw : bytes;
}

/** Lines that a terminal did not take. */
let lostOnStderr = 0;

function writeStderr(line: string): void {
  try {
    writeSync(2, line);
  } catch {
    lostOnStderr++;
  }
}

export class ErrorLog {
  #sinks: Sink[] = [];
  #max = 0;
  #copy: boolean;
  readonly #stderr: (line: string) => void;
  /** `PID#TID: `. */
  readonly #identity = `${process.pid}#${threadId}: `;

  constructor(targets: readonly ErrorLogTarget[], options: ErrorLogOptions = {}) {
    this.#copy = options.copyToStderr ?? false;
    this.#stderr = options.stderr ?? writeStderr;
    this.setTargets(targets);
  }

  /**
   * Logs to these targets from now on. Files that stay are not reopened; those that cannot be opened are left out
   * of use until `reopen`, see `failures`.
   */
  setTargets(targets: readonly ErrorLogTarget[]): void {
    const old = this.#sinks;
    this.#sinks = targets.map((target) => ({
      level: LEVELS[target.level],
      file: target.kind === 'file' ? shareFile(target.path) : null,
      syslog: target.kind === 'syslog' ? openSyslog(target.target) : null,
    }));
    this.#max = this.#sinks.reduce((most, sink) => Math.max(most, sink.level), 0);
    if (this.#copy) this.#max = Math.max(this.#max, LEVELS.warn);
    for (const sink of old) releaseSink(sink);
  }

  /** What went wrong with opening or writing files, in nginx's words; empty when all is well. */
  failures(): string[] {
    return this.#sinks.flatMap((sink) => sink.file?.failure ?? []);
  }

  /** Lines that were lost, over all targets of this log. */
  get lost(): number {
    return this.#sinks.reduce((sum, s) => sum + (s.file?.lost ?? s.syslog?.lost ?? 0), lostOnStderr);
  }

  /** Stops the copies to stderr: called once the program runs. */
  stopCopies(): void {
    this.#copy = false;
    this.#max = this.#sinks.reduce((most, sink) => Math.max(most, sink.level), 0);
  }

  /** True when a message of this level would go anywhere: ask before building an expensive one. */
  enabled(level: LogLevel): boolean {
    return LEVELS[level] <= this.#max;
  }

  /**
   * @param message without a final line feed; control characters are escaped, over-long ones cut
   * @param connection the connection's number, 0 for none
   * @param force log whatever the targets' levels are (`debug_connection`)
   */
  write(level: LogLevel, message: string, connection = 0, force = false): void {
    const number = LEVELS[level];
    if (number > this.#max && !force) return;
    const text = CONTROL.test(message) ? message.replace(CONTROLS, escapeControl) : message;
    const origin = connection === 0 ? this.#identity : `${this.#identity}*${connection} `;
    let line = `${errorLogTime()} [${level}] ${origin}${text}`;
    if (line.length >= MAX_LINE) line = line.slice(0, MAX_LINE - 1);

    let bytes: Uint8Array | null = null;
    let onStderr = false;
    for (const sink of this.#sinks) {
      if (sink.level < number && !force) continue;
      if (sink.syslog !== null) {
        sink.syslog.send(severityOfLevel(number), line);
      } else if (sink.file !== null) {
        bytes ??= encodeLine(`${line}\n`);
        // A pipe whose reader is slow loses error lines: to wait for it would stop traffic.
        const taken = sink.file.write(bytes);
        if (taken >= 0 && taken < bytes.length) sink.file.lost++;
      } else {
        onStderr = true;
        this.#stderr(`${line}\n`);
      }
    }
    if (this.#copy && !onStderr && number <= LEVELS.warn) this.#stderr(`${PROGRAM}: [${level}] ${text}\n`);
  }

  emerg(message: string, connection = 0): void {
    this.write('emerg', message, connection);
  }
  alert(message: string, connection = 0): void {
    this.write('alert', message, connection);
  }
  crit(message: string, connection = 0): void {
    this.write('crit', message, connection);
  }
  error(message: string, connection = 0): void {
    this.write('error', message, connection);
  }
  warn(message: string, connection = 0): void {
    this.write('warn', message, connection);
  }
  notice(message: string, connection = 0): void {
    this.write('notice', message, connection);
  }
  info(message: string, connection = 0): void {
    this.write('info', message, connection);
  }
  debug(message: string, connection = 0): void {
    this.write('debug', message, connection);
  }

  /** Lets go of files and sockets. Later messages go nowhere. */
  close(): void {
    for (const sink of this.#sinks) releaseSink(sink);
    this.#sinks = [];
    this.#max = 0;
    this.#copy = false;
  }
}

function releaseSink(sink: Sink): void {
  sink.file?.release();
  sink.syslog?.release();
}
