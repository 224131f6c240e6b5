/** What `error_log` and `access_log` have in common: syslog targets, levels. */
import { parseUrl, peerAddress } from '../address.ts';
import { decodeText } from '../bytes.ts';
import type { ErrorLogTarget, LogLevel, SyslogTarget } from '../model.ts';
import type { AddressBox } from './cycle.ts';
import type { Conf } from './parser.ts';

const FACILITIES = (
  'kern user mail daemon auth intern lpr news uucp clock authpriv ftp ntp audit alert cron ' +
  'local0 local1 local2 local3 local4 local5 local6 local7'
).split(' ');
const SEVERITIES = 'emerg alert crit error warn notice info debug'.split(' ');

/** nginx's names from the gravest; `debug_*` narrow the debug level. */
const LEVELS: readonly LogLevel[] = ['emerg', 'alert', 'crit', 'error', 'warn', 'notice', 'info', 'debug'];
const DEBUG_LEVELS = [
  'debug_core',
  'debug_alloc',
  'debug_mutex',
  'debug_event',
  'debug_http',
  'debug_mail',
  'debug_stream',
];

const SYSLOG_PORT = 514;

/** A target whose server's name may still have to be resolved; `server` is set by `finishSyslog`. */
export interface RawSyslog {
  target: SyslogTarget;
  box: AddressBox;
}

/** Reads `syslog:server=…,facility=…,severity=…,tag=…,nohostname`. @throws {ConfigError} */
export function readSyslog(cf: Conf): RawSyslog {
  const target: Partial<SyslogTarget> = {};
  let box: AddressBox | null = null;
  let hostname = true;

  for (const part of (cf.args[1] as string).slice('syslog:'.length).split(',')) {
    const [key = '', value = ''] = part.split(/=(.*)/s);
    if (part.startsWith('server=')) {
      if (box !== null) throw cf.error('duplicate syslog "server"');
      const parsed = parseUrl(value, { defaultPort: SYSLOG_PORT });
      if (!parsed.ok) throw cf.error(`${parsed.error} in syslog server "${value}"`);
      const { url } = parsed;
      box =
        url.address === null
          ? cf.resolveLater(url.host, url.port, (error) => `${error} in syslog server "${value}"`)
          : { addresses: [peerAddress(url.kind, url.address, url.port)] };
    } else if (part.startsWith('facility=') || part.startsWith('severity=')) {
      const name = key as 'facility' | 'severity';
      if (target[name] !== undefined) throw cf.error(`duplicate syslog "${name}"`);
      const known = name === 'facility' ? FACILITIES : SEVERITIES;
      if (!known.includes(value)) throw cf.error(`unknown syslog ${name} "${value}"`);
      target[name] = value;
    } else if (part.startsWith('tag=')) {
      if (target.tag !== undefined) throw cf.error('duplicate syslog "tag"');
      // RFC 3164 section 4.1.3: the tag is alphanumeric and has at most 32 characters.
      if (value.length > 32) throw cf.error('syslog tag length exceeds 32');
      if (!/^\w*$/.test(value)) throw cf.error('syslog "tag" only allows alphanumeric characters and underscore');
      target.tag = value;
    } else if (part === 'nohostname') {
      hostname = false;
    } else {
      throw cf.error(`unknown syslog parameter "${part}"`);
    }
  }

  if (box === null) throw cf.error('no syslog server specified');
  const { facility = 'local7', severity = 'info', tag = 'nginx' } = target;
  return { target: { server: '', facility, severity, tag, hostname }, box };
}

/** After names are resolved. */
export function finishSyslog({ target, box }: RawSyslog): SyslogTarget {
  const address = box.addresses[0];
  const server = address === undefined ? '' : address.family === 'unix' ? address.host : address.text;
  return { ...target, server };
}

export type RawErrorLog = { log: ErrorLogTarget; syslog: RawSyslog | null };

/** Reads one `error_log`. @throws {ConfigError} */
export function readErrorLog(cf: Conf): RawErrorLog {
  const name = cf.args[1] as string;
  const level = readLevels(cf);
  if (name === 'stderr') return { log: { kind: 'stderr', level }, syslog: null };
  if (name.startsWith('syslog:')) {
    const syslog = readSyslog(cf);
    return { log: { kind: 'syslog', target: syslog.target, level }, syslog };
  }
  if (name.startsWith('memory:')) throw cf.error('the memory error log is not supported');
  return { log: { kind: 'file', path: decodeText(cf.cycle.fullName(name)), level }, syslog: null };
}

export function finishErrorLog({ log, syslog }: RawErrorLog): ErrorLogTarget {
  return log.kind === 'syslog' && syslog !== null ? { ...log, target: finishSyslog(syslog) } : log;
}

function readLevels(cf: Conf): LogLevel {
  let level: LogLevel | null = null;
  let debug = false;
  for (const arg of cf.args.slice(2)) {
    const known = LEVELS.find((name) => name === arg);
    if (known !== undefined) {
      if (level !== null || debug) throw cf.error(`duplicate log level "${arg}"`);
      level = known;
    } else if (DEBUG_LEVELS.includes(arg) && level === null) {
      debug = true;
    } else {
      throw cf.error(`invalid log level "${arg}"`);
    }
  }
  return debug ? 'debug' : (level ?? 'error');
}
