/** `access_log` and `log_format`: what is written of each request, compiled once to functions. */
import { statSync } from 'node:fs';
import { fsPath } from '../../config/bytes.ts';
import type { AccessLogTarget, HttpConfig, LocationConfig } from '../../config/model.ts';
import { parseValue } from '../../config/value.ts';
import { failedText } from '../../observe/errno.ts';
import type { AccessLogOptions } from '../../observe/access-log-writer.ts';
import { openSyslog } from '../../observe/syslog.ts';
import type { SyslogSender } from '../../observe/syslog.ts';
import type { LocationPath } from '../handlers/static-path.ts';
import type { HttpRequest } from '../request.ts';
import { logRequest } from '../request-log.ts';
import type { VariableTable } from '../variables/table.ts';
import type { Value } from '../variables/value.ts';
import { interleave } from '../variables/value.ts';
import { escapeDefault, escapeJson, isPlainVariable } from './escape.ts';

/** Makes a log line, without line feed. */
export type LineFormat = (r: HttpRequest) => string;

/** Where lines go: the part of `observe/access-log-writer.ts` that is used here. */
export interface LogFiles {
  /** Pair with `release()`. */
  open(path: string, options: AccessLogOptions): { write(line: string): void; release(): void };
  writeTo(path: string, line: string): void;
}

type Escape = HttpConfig['logFormats'][number]['escape'];

export const COMBINED: HttpConfig['logFormats'][number] = {
  name: 'combined',
  parts:
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"',
  escape: 'default',
};

/** Compiles a format. Variables that are not found are `-`, or nothing when escaping is not the default one. */
export function compileFormat(parts: string, escape: Escape, table: VariableTable): LineFormat {
  const { texts, getters } = interleave(parseValue(parts), (name) => {
    const getter = table.lookup(name);
    if (escape === 'default') {
      if (isPlainVariable(name)) return (r) => getter(r) ?? '-';
      return (r) => {
        const value = getter(r);
        return value === null ? '-' : escapeDefault(value);
      };
    }
    if (escape === 'none') return getter;
    return (r) => {
      const value = getter(r);
      return value === null ? null : escapeJson(value);
    };
  });
  return (r) => {
    let line = texts[0]!;
    for (let i = 0; i < getters.length; i++) line += (getters[i]!(r) ?? '') + texts[i + 1]!;
    return line;
  };
}

interface Target {
  condition: Value | null;
  format: LineFormat;
  write(r: HttpRequest, line: string): void;
}

/** The access logs of a location. */
export class AccessLog {
  readonly #targets: Target[];
  readonly #syslog: SyslogSender[];

  constructor(targets: Target[], syslog: SyslogSender[]) {
    this.#targets = targets;
    this.#syslog = syslog;
  }

  /** Logs a request that is over. */
  write(r: HttpRequest): void {
    const targets = this.#targets;
    for (let i = 0; i < targets.length; i++) {
      const target = targets[i]!;
      if (target.condition !== null) {
        const value = target.condition.get(r);
        if (value === '' || value === '0') continue;
      }
      target.write(r, target.format(r));
    }
  }

  /** Lets go of syslog senders; files belong to whoever made them. */
  close(): void {
    for (const sender of this.#syslog) sender.release();
  }
}

/** All access logs of a generation: equal ones are made once. */
export class AccessLogCompiler {
  readonly #table: VariableTable;
  readonly #files: LogFiles;
  readonly #formats = new Map<string, LineFormat>();
  readonly #sources = new Map<string, HttpConfig['logFormats'][number]>();
  readonly #logs = new Map<string, AccessLog>();
  #opened: { release(): void }[] = [];

  constructor(formats: HttpConfig['logFormats'], table: VariableTable, files: LogFiles) {
    this.#table = table;
    this.#files = files;
    for (const format of [COMBINED, ...formats]) this.#sources.set(format.name, format);
  }

  /** The access logs of a location; null for `access_log off`. */
  compile(location: Pick<LocationConfig, 'log' | 'core'>): AccessLog | null {
    const { access } = location.log;
    if (access.length === 0) return null;
    // A path with variables looks at the location's root: such logs are not shared.
    const shared = access.every((t) => t.target.kind !== 'file' || !t.target.path.includes('$'));
    const key = shared ? JSON.stringify(access) : '';
    let log = shared ? this.#logs.get(key) : undefined;
    if (log !== undefined) return log;
    const syslog: SyslogSender[] = [];
    const path = this.#table.paths.of(location.core);
    log = new AccessLog(
      access.map((target) => this.#target(target, path, syslog)),
      syslog,
    );
    this.#logs.set(shared ? key : `own ${this.#logs.size}`, log);
    return log;
  }

  #format(name: string): LineFormat {
    let format = this.#formats.get(name);
    if (format === undefined) {
      const source = this.#sources.get(name);
      if (source === undefined) throw new TypeError(`unknown log format "${name}"`);
      this.#formats.set(name, (format = compileFormat(source.parts, source.escape, this.#table)));
    }
    return format;
  }

  #target(config: AccessLogTarget, root: LocationPath, syslog: SyslogSender[]): Target {
    const condition = this.#table.compileOptional(config.condition);
    const format = this.#format(config.format);
    const { target } = config;
    if (target.kind === 'syslog') {
      const sender = openSyslog(target.target);
      syslog.push(sender);
      return { condition, format, write: (_r, line) => sender.send(null, line) };
    }
    const path = this.#table.compile(target.path);
    if (path.constant === null) return { condition, format, write: this.#variableFile(path, root) };
    const { bufferSize, flushMs, gzipLevel } = config;
    const file = this.#files.open(path.constant, { bufferSize, flushMs, gzipLevel });
    this.#opened.push(file);
    return { condition, format, write: (_r, line) => file.write(`${line}\n`) };
  }

  /**
   * A file whose name holds variables. As in nginx the location's root must exist: with names such as
   * `/spool/$host.log` that is what keeps clients from making files at will.
   */
  #variableFile(path: Value, root: LocationPath): Target['write'] {
    const prefix = this.#table.environment.prefix;
    return (r, line) => {
      const directory = root.root(r);
      if (!directoryExists(r, directory)) return;
      const name = path.get(r);
      // A variable may hold what the client sent; it must not choose the directory.
      if (name.includes('/../') || name.includes('\0')) {
        logRequest(r, 'error', `access log name "${name}" leaves its directory`);
        return;
      }
      this.#files.writeTo(name.startsWith('/') ? name : prefix + name, `${line}\n`);
    };
  }

  /** Lets go of everything: the generation is over. */
  close(): void {
    for (const log of this.#logs.values()) log.close();
    for (const file of this.#opened.splice(0)) file.release();
  }
}

function directoryExists(r: HttpRequest, path: string): boolean {
  try {
    if (statSync(fsPath(path)).isDirectory()) return true;
    logRequest(r, 'error', `testing "${path}" existence failed (20: Not a directory)`);
  } catch (error) {
    logRequest(r, 'error', failedText(`testing "${path}" existence`, error));
  }
  return false;
}
