/** `access_log`, `log_format`, `open_log_file_cache`. */
import { encodeText } from '../../bytes.ts';
import type { AccessLogTarget, LogConfig, LogFormatConfig } from '../../model.ts';
import { parseNumber, parseSize, parseTime } from '../../units.ts';
import { hasVariables } from '../../value.ts';
import { ALL, Args, Context, isStream } from '../context.ts';
import { directive, table } from '../directive.ts';
import { finishSyslog, readSyslog } from '../logging.ts';
import type { RawSyslog } from '../logging.ts';
import { locationPart, streamPart } from '../module.ts';
import type { ModuleDef } from '../module.ts';
import type { Conf } from '../parser.ts';
import { slot } from '../scope.ts';
import { checkValue, useVariable } from '../variables.ts';

type Format = LogFormatConfig;

const COMBINED: Format = {
  name: 'combined',
  parts:
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"',
  escape: 'default',
};

/** Compressed logs are always buffered. */
const GZIP_BUFFER = 64 * 1024;

interface FormatsRaw {
  formats: Format[];
  /** How a file is buffered, by path: all that write to it must agree. */
  buffered: Map<string, string>;
}
const formatsSlot = slot<FormatsRaw>('log.main', () => ({ formats: [COMBINED], buffered: new Map() }));

interface RawTarget {
  config: AccessLogTarget;
  syslog: RawSyslog | null;
}
type FileCache = NonNullable<AccessLogTarget['fileCache']>;

interface LogRaw {
  off?: boolean;
  logs?: RawTarget[];
  /** Null: off. */
  openFileCache?: FileCache | null;
}
const logSlot = slot<LogRaw>('log.loc', () => ({}));
const loc = table<LogRaw>((cf) => cf.scope.loc.get(logSlot));

/** One argument of `log_format`; variables are written with brackets so that arguments can be joined. */
function formatPart(cf: Conf, text: string): string {
  let out = '';
  let i = 0;
  while (i < text.length) {
    const dollar = text.indexOf('$', i);
    if (dollar < 0) return out + text.slice(i);
    out += text.slice(i, dollar);
    const match = /^\$(?:\{(\w*)(\})?|(\w+))/.exec(text.slice(dollar));
    const invalid = () => cf.error(`invalid parameter "${text.slice(dollar)}"`);
    if (match === null) throw invalid();
    if (match[1] !== undefined && match[2] === undefined) {
      if (dollar + 2 === text.length) throw invalid();
      throw cf.error(`the closing bracket in "${match[1]}" variable is missing`);
    }
    const name = match[1] ?? (match[3] as string);
    if (name === '') throw invalid();
    out += `\${${useVariable(cf, name)}}`;
    i = dollar + match[0].length;
  }
  return out;
}

function logFormat(cf: Conf): void {
  const { formats } = cf.scope.main.get(formatsSlot);
  const [, name = '', ...parts] = cf.args;
  if (formats.some((format) => format.name === name)) {
    throw cf.error(`duplicate "log_format" name "${name}"`);
  }
  let escape: Format['escape'] = 'default';
  if (parts[0]?.startsWith('escape=') === true) {
    const text = parts[0].slice('escape='.length);
    if (text !== 'default' && text !== 'json' && text !== 'none') {
      throw cf.error(`unknown log format escaping "${text}"`);
    }
    escape = text;
    parts.shift();
  }
  formats.push({ name, parts: parts.map((part) => formatPart(cf, part)).join(''), escape });
}

function accessLog(cf: Conf, raw: LogRaw): void {
  const stream = isStream(cf.context);
  const [, file = '', formatName = stream ? '' : COMBINED.name, ...options] = cf.args;
  if (file === 'off') {
    raw.off = true;
    if (cf.args[2] !== undefined) throw cf.error(`invalid parameter "${cf.args[2]}"`);
    return;
  }

  let syslog: RawSyslog | null = null;
  let target: AccessLogTarget['target'];
  if (file.startsWith('syslog:')) {
    syslog = readSyslog(cf);
    target = { kind: 'syslog', target: syslog.target };
  } else {
    const path = cf.cycle.fullName(file);
    checkValue(cf, path);
    target = { kind: 'file', path };
  }

  if (formatName === '') throw cf.error('log format is not specified');
  const { formats, buffered } = cf.scope.main.get(formatsSlot);
  const format = (stream ? formats.slice(1) : formats).find(
    (known) => known.name.toLowerCase() === formatName.toLowerCase(),
  );
  if (format === undefined) throw cf.error(`unknown log format "${formatName}"`);

  const config: AccessLogTarget = {
    target,
    format: format.name,
    condition: null,
    bufferSize: 0,
    flushMs: 0,
    gzipLevel: 0,
  };
  for (const option of options) readOption(cf, config, option);

  if (config.flushMs > 0 && config.bufferSize === 0) {
    throw cf.error(`no buffer is defined for access_log "${file}"`);
  }
  if (config.bufferSize > 0) checkBuffer(cf, config, file, buffered);
  raw.logs = [...(raw.logs ?? []), { config, syslog }];
}

function readOption(cf: Conf, config: AccessLogTarget, option: string): void {
  const [key = '', text = ''] = option.split(/=(.*)/s);
  if (option.startsWith('buffer=')) {
    const size = parseSize(text);
    if (!size) throw cf.error(`invalid buffer size "${text}"`);
    config.bufferSize = size;
  } else if (option.startsWith('flush=')) {
    const time = parseTime(text, 'ms');
    if (!time) throw cf.error(`invalid flush time "${text}"`);
    config.flushMs = time;
  } else if (key === 'gzip') {
    if (config.bufferSize === 0) config.bufferSize = GZIP_BUFFER;
    const level = option === 'gzip' ? 1 : parseNumber(text);
    if (level === null || level < 1 || level > 9) throw cf.error(`invalid compression level "${text}"`);
    config.gzipLevel = level;
  } else if (option.startsWith('if=')) {
    config.condition = checkValue(cf, text);
  } else {
    throw cf.error(`invalid parameter "${option}"`);
  }
}

function checkBuffer(cf: Conf, config: AccessLogTarget, file: string, buffered: Map<string, string>): void {
  const { target } = config;
  if (target.kind === 'syslog') throw cf.error('logs to syslog cannot be buffered');
  if (hasVariables(target.path)) throw cf.error('buffered logs cannot have variables in name');
  const kind = `${config.bufferSize} ${config.flushMs} ${config.gzipLevel}`;
  const known = buffered.get(target.path);
  if (known !== undefined && known !== kind) {
    throw cf.error(`access_log "${file}" already defined with conflicting parameters`);
  }
  buffered.set(target.path, kind);
}

function openLogFileCache(cf: Conf, raw: LogRaw): string | void {
  if (raw.openFileCache !== undefined) return 'is duplicate';
  const cache: FileCache = { max: 0, inactiveMs: 10_000, minUses: 1, validMs: 60_000 };
  let off = false;
  for (const arg of cf.args.slice(1)) {
    const [key = '', value = ''] = arg.split(/=(.*)/s);
    const number = key === 'max' || key === 'min_uses' ? parseNumber(value) : null;
    const time = key === 'inactive' || key === 'valid' ? parseTime(value, 's') : null;
    if (arg === 'off') off = true;
    else if (number !== null && number > 0) cache[key === 'max' ? 'max' : 'minUses'] = number;
    else if (time !== null) cache[key === 'valid' ? 'validMs' : 'inactiveMs'] = time * 1000;
    else throw cf.error(`invalid "open_log_file_cache" parameter "${arg}"`);
  }
  if (!off && cache.max === 0) throw cf.error('"open_log_file_cache" must have "max" parameter');
  raw.openFileCache = off ? null : cache;
}

const { http: HTTP, ifInLocation: LIF, limitExcept: LMT } = Context;

export const logModule: ModuleDef = {
  name: 'log',
  directives: [
    directive('log_format', HTTP | Context.stream, Args.twoOrMore, logFormat),
    loc.custom('access_log', ALL | LIF | LMT, Args.oneOrMore, accessLog),
    loc.custom('open_log_file_cache', ALL, Args.oneToFour, openLogFileCache),
  ],
  location: locationPart<LogRaw>({
    slot: logSlot,

    merge: mergeLogs,
    result: (raw, _node, build) => ({
      log: finishLogs(raw, [defaultLog(encodeText(build.cycle.fullName('logs/access.log')))]),
    }),
  }),
  http: (build) => ({ logFormats: build.block.main.get(formatsSlot).formats }),
  streamServer: streamPart<LogRaw>({
    slot: logSlot,
    merge: mergeLogs,
    result: (raw) => ({ log: finishLogs(raw, []) }),
  }),
  // "combined" speaks of requests.
  stream: (build) => ({ logFormats: build.block.main.get(formatsSlot).formats.slice(1) }),
};

/** `off` and logs of one block belong together: a block that says anything inherits nothing. */
function mergeLogs(parent: LogRaw | null, child: LogRaw): LogRaw {
  const openFileCache = child.openFileCache === undefined ? parent?.openFileCache : child.openFileCache;
  const from = child.off !== undefined || child.logs !== undefined || parent === null ? child : parent;
  return { off: from.off, logs: from.logs, openFileCache };
}

function finishLogs(raw: LogRaw, fallback: RawTarget[]): LogConfig {
  if (raw.off === true) return { access: [] };
  return {
    access: (raw.logs ?? fallback).map(({ config, syslog }) => {
      if (syslog !== null) return { ...config, target: { kind: 'syslog', target: finishSyslog(syslog) } };
      const named = config.target.kind === 'file' && hasVariables(config.target.path);
      return named && raw.openFileCache ? { ...config, fileCache: raw.openFileCache } : config;
    }),
  };
}

function defaultLog(path: string): RawTarget {
  return {
    config: {
      target: { kind: 'file', path },
      format: COMBINED.name,
      condition: null,
      bufferSize: 0,
      flushMs: 0,
      gzipLevel: 0,
    },
    syslog: null,
  };
}
