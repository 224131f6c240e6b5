/** `access_log` and `log_format`: what is written of each request or session, compiled once to functions. */
import type { AccessLogTarget, LogFormatConfig } from '../config/model.ts';
import { parseValue } from '../config/value.ts';
import type { AccessLogOptions } from '../observe/access-log-writer.ts';
import type { LogFileCacheOptions } from '../observe/log-file-cache.ts';
import { openSyslog } from '../observe/syslog.ts';
import type { SyslogSender } from '../observe/syslog.ts';
import type { VariableContext } from './context.ts';
import { escapeDefault, escapeJson, isPlainVariable } from './escape.ts';
import type { Variables } from './table.ts';
import { interleave } from './value.ts';
import type { Value } from './value.ts';

/** Makes a log line, without line feed. */
export type LineFormat<C extends VariableContext> = (c: C) => string;

/** Where lines go: the part of `observe/access-log-writer.ts` that is used here. */
export interface LogFiles {
  /** Pair with `release()`. */
  open(path: string, options: AccessLogOptions): { write(line: string): void; release(): void };
  writeTo(path: string, line: string): void;
  /** Files that stay open as `open_log_file_cache` says. Pair with `release()`. */
  cached?(options: LogFileCacheOptions): { writeTo(path: string, line: string): void; release(): void };
}

/** Compiles a format. Variables that are not found are `-`, or nothing when escaping is not the default one. */
export function compileFormat<C extends VariableContext>(
  { parts, escape }: LogFormatConfig,
  table: Variables<C>,
): LineFormat<C> {
  const { texts, getters } = interleave<C>(parseValue(parts), (name) => {
    const getter = table.lookup(name);
    if (escape === 'default') {
      if (isPlainVariable(name)) return (c) => getter(c) ?? '-';
      return (c) => {
        const value = getter(c);
        return value === null ? '-' : escapeDefault(value);
      };
    }
    if (escape === 'none') return getter;
    return (c) => {
      const value = getter(c);
      return value === null ? null : escapeJson(value);
    };
  });
  return (c) => {
    let line = texts[0]!;
    for (let i = 0; i < getters.length; i++) line += (getters[i]!(c) ?? '') + texts[i + 1]!;
    return line;
  };
}

interface Target<C extends VariableContext> {
  condition: Value<C> | null;
  format: LineFormat<C>;
  write(c: C, line: string): void;
}

/** The access logs of a location or server. */
export class AccessLog<C extends VariableContext> {
  readonly #targets: Target<C>[];
  readonly #syslog: SyslogSender[];

  constructor(targets: Target<C>[], syslog: SyslogSender[]) {
    this.#targets = targets;
    this.#syslog = syslog;
  }

  /** Logs a request or session that is over. */
  write(c: C): void {
    const targets = this.#targets;
    for (let i = 0; i < targets.length; i++) {
      const target = targets[i]!;
      if (target.condition !== null) {
        const value = target.condition.get(c);
        if (value === '' || value === '0') continue;
      }
      target.write(c, target.format(c));
    }
  }

  /** Lets go of syslog senders; files belong to whoever made them. */
  close(): void {
    for (const sender of this.#syslog) sender.release();
  }
}

/** Says whether a file whose name holds variables may be written for this request; it logs why not. */
export type FileGuard<C> = (c: C) => boolean;

/** All access logs of a generation: equal ones are made once. */
export class AccessLogCompiler<C extends VariableContext> {
  readonly #table: Variables<C>;
  readonly #files: LogFiles;
  readonly #formats = new Map<string, LineFormat<C>>();
  readonly #sources = new Map<string, LogFormatConfig>();
  readonly #logs = new Map<string, AccessLog<C>>();
  #opened: { release(): void }[] = [];

  constructor(formats: readonly LogFormatConfig[], table: Variables<C>, files: LogFiles) {
    this.#table = table;
    this.#files = files;
    for (const format of formats) this.#sources.set(format.name, format);
  }

  /**
   * The logs of a location or server; null for `access_log off`.
   *
   * @param guard asked before a file named by variables is written; null: nobody
   */
  compile(access: readonly AccessLogTarget[], guard: FileGuard<C> | null): AccessLog<C> | null {
    if (access.length === 0) return null;
    // Guards differ: what they watch over is not shared.
    const shared = guard === null || access.every((t) => t.target.kind !== 'file' || !t.target.path.includes('$'));
    const key = shared ? JSON.stringify(access) : `own ${this.#logs.size}`;
    let log = this.#logs.get(key);
    if (log !== undefined) return log;
    const syslog: SyslogSender[] = [];
    log = new AccessLog(
      access.map((target) => this.#target(target, guard, syslog)),
      syslog,
    );
    this.#logs.set(key, log);
    return log;
  }

  #format(name: string): LineFormat<C> {
    let format = this.#formats.get(name);
    if (format === undefined) {
      const source = this.#sources.get(name);
      if (source === undefined) throw new TypeError(`unknown log format "${name}"`);
      this.#formats.set(name, (format = compileFormat(source, this.#table)));
    }
    return format;
  }

  #target(config: AccessLogTarget, guard: FileGuard<C> | null, syslog: SyslogSender[]): Target<C> {
    const condition = this.#table.compileOptional(config.condition);
    const format = this.#format(config.format);
    const { target } = config;
    if (target.kind === 'syslog') {
      const sender = openSyslog(target.target);
      syslog.push(sender);
      return { condition, format, write: (_c, line) => sender.send(null, line) };
    }
    const path = this.#table.compile(target.path);
    if (path.constant === null) return { condition, format, write: this.#variableFile(path, guard, config.fileCache) };
    const { bufferSize, flushMs, gzipLevel } = config;
    const file = this.#files.open(path.constant, { bufferSize, flushMs, gzipLevel });
    this.#opened.push(file);
    return { condition, format, write: (_c, line) => file.write(`${line}\n`) };
  }

  #variableFile(
    path: Value<C>,
    guard: FileGuard<C> | null,
    cache: LogFileCacheOptions | null | undefined,
  ): Target<C>['write'] {
    const prefix = this.#table.environment.prefix;
    const kept = cache === null || cache === undefined ? undefined : this.#files.cached?.(cache);
    if (kept !== undefined) this.#opened.push(kept);
    const files = kept ?? this.#files;
    return (c, line) => {
      if (guard !== null && !guard(c)) return;
      const name = path.get(c);
      // A variable may hold what the client sent; it must not choose the directory.
      if (name.includes('/../') || name.includes('\0')) {
        this.#table.report(c, 'error', `access log name "${name}" leaves its directory`);
        return;
      }
      files.writeTo(name.startsWith('/') ? name : prefix + name, `${line}\n`);
    };
  }

  /** Lets go of everything: the generation is over. */
  close(): void {
    for (const log of this.#logs.values()) log.close();
    for (const file of this.#opened.splice(0)) file.release();
  }
}
