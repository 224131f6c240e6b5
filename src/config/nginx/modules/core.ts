/** Directives outside of all protocols: processes, `events`, the error log. */
import { parseCidr } from '../../address.ts';
import { decodeText } from '../../bytes.ts';
import type { ErrorLogTarget, MainConfig } from '../../model.ts';
import { parseNumber, parseTime } from '../../units.ts';
import { ANYWHERE, Args, Context } from '../context.ts';
import type { Cycle } from '../cycle.ts';
import { directive, table } from '../directive.ts';
import { finishErrorLog, readErrorLog } from '../logging.ts';
import type { RawErrorLog } from '../logging.ts';
import type { ModuleDef } from '../module.ts';
import type { Conf } from '../parser.ts';
import { slot } from '../scope.ts';

interface MainRaw {
  daemon?: boolean;
  masterProcess?: boolean;
  workerProcesses?: number;
  workerConnections?: number;
  eventMethod?: MainConfig['eventMethod'];
  pidFile?: string;
  user?: { name: string; group: string | null };
  workerShutdownTimeoutMs?: number;
  errorLogs: RawErrorLog[];
  debugConnections: (string | { addresses: { host: string }[] })[];
  eventsSeen?: boolean;
  inheritsObjects?: boolean;
}

const mainSlot = slot<MainRaw>('main', () => ({ errorLogs: [], debugConnections: [] }));
const main = table<MainRaw>((cf) => cf.cycle.core.get(mainSlot));
const { main: MAIN, events: EVENTS } = Context;

function workerProcesses(cf: Conf, raw: MainRaw): string | void {
  if (raw.workerProcesses !== undefined) return 'is duplicate';
  const text = cf.args[1] as string;
  if (text === 'auto') {
    raw.workerProcesses = cf.cycle.options.cpuCount;
    return;
  }
  const number = parseNumber(text);
  if (number === null) return 'invalid value';
  raw.workerProcesses = number;
}

function user(cf: Conf, raw: MainRaw): string | void {
  if (raw.user !== undefined) return 'is duplicate';
  if (!cf.cycle.options.superUser) {
    cf.warn('the "user" directive makes sense only if the master process runs with super-user privileges, ignored');
    return;
  }
  raw.user = { name: cf.args[1] as string, group: cf.args[2] ?? null };
}

function debugConnection(cf: Conf, raw: MainRaw): void {
  const text = cf.args[1] as string;
  if (text === 'unix:') {
    raw.debugConnections.push(text);
    return;
  }
  const cidr = parseCidr(text);
  if (cidr === null) {
    raw.debugConnections.push(cf.resolveLater(text, 0, (error) => `${error} in debug_connection "${text}"`));
    return;
  }
  if (cidr.meaningless) cf.warn(`low address bits of ${text} are meaningless`);
  raw.debugConnections.push(cidr.text);
}

function workerConnections(cf: Conf, raw: MainRaw): string | void {
  if (raw.workerConnections !== undefined) return 'is duplicate';
  const text = cf.args[1] as string;
  const number = parseNumber(text);
  if (number === null) throw cf.error(`invalid number "${text}"`);
  raw.workerConnections = number;
}

/** What nginx can use on some system: here they ask for nothing in particular. */
const METHODS_OF_NGINX = ['select', 'poll', 'kqueue', 'epoll', '/dev/poll', 'eventport'];

function use(cf: Conf, raw: MainRaw): string | void {
  if (raw.eventMethod !== undefined) return 'is duplicate';
  const name = cf.args[1] as string;
  if (name === 'io_uring' || name === 'libuv') raw.eventMethod = name;
  else if (METHODS_OF_NGINX.includes(name)) raw.eventMethod = 'auto';
  else throw cf.error(`invalid event type "${name}"`);
}

export const core: ModuleDef = {
  name: 'core',
  directives: [
    directive('include', ANYWHERE, Args.one, (cf) => cf.include()),
    main.flag('daemon', MAIN, 'daemon'),
    main.flag('master_process', MAIN, 'masterProcess'),
    main.flag('ssl_object_cache_inheritable', MAIN, 'inheritsObjects', (cf, value) => {
      cf.cycle.inheritsObjects = value;
    }),
    main.custom('worker_processes', MAIN, Args.one, workerProcesses),
    main.path('pid', MAIN, 'pidFile'),
    main.custom('user', MAIN, Args.oneOrTwo, user),
    main.msec('worker_shutdown_timeout', MAIN, 'workerShutdownTimeoutMs'),
    main.custom('error_log', MAIN, Args.oneOrMore, (cf, raw) => {
      raw.errorLogs.push(readErrorLog(cf));
    }),
    main.block('events', MAIN, Args.none, (cf, raw): string | void => {
      if (raw.eventsSeen === true) return 'is duplicate';
      raw.eventsSeen = true;
      cf.block(EVENTS);
    }),
    main.custom('worker_connections', EVENTS, Args.one, workerConnections),
    main.custom('use', EVENTS, Args.one, use),
    main.custom('debug_connection', EVENTS, Args.one, debugConnection),
    directive('load_module', MAIN, Args.one, (cf) => {
      cf.warn(`the "load_module" directive has no effect here, "${cf.args[1]}" is not loaded`);
    }),
    directive('timer_resolution', MAIN, Args.one, (cf) =>
      parseTime(cf.args[1] as string, 'ms') === null ? 'invalid value' : undefined,
    ),
  ],
};

/** Directives that `-g` has set: another language than nginx's leaves them alone. */
export function setByCommandLine(cycle: Cycle): string[] {
  const raw = cycle.core.get(mainSlot);
  const names: Record<string, unknown> = {
    daemon: raw.daemon,
    pid: raw.pidFile,
    user: raw.user,
    worker_processes: raw.workerProcesses,
    worker_shutdown_timeout: raw.workerShutdownTimeoutMs,
  };
  return Object.keys(names).filter((name) => names[name] !== undefined);
}

/** nginx's default when `worker_connections` is not written. */
const DEFAULT_CONNECTIONS = 512;

/** True once an `events` block was read; nginx cannot do without. */
export function hasEvents(cycle: Cycle): boolean {
  return cycle.core.get(mainSlot).eventsSeen === true;
}

/** After names are resolved. */
export function finishMain(cycle: Cycle): MainConfig {
  const raw = cycle.core.get(mainSlot);
  return {
    daemon: raw.daemon ?? true,
    masterProcess: raw.masterProcess ?? true,
    workerProcesses: raw.workerProcesses ?? 1,
    workerConnections: raw.workerConnections ?? DEFAULT_CONNECTIONS,
    eventMethod: raw.eventMethod ?? 'auto',
    pidFile: raw.pidFile ?? decodeText(cycle.fullName('logs/nginx.pid')),
    user: raw.user ?? null,
    errorLog: errorLogs(cycle, raw),
    workerShutdownTimeoutMs: raw.workerShutdownTimeoutMs ?? 0,
    debugConnections: raw.debugConnections.flatMap((entry) =>
      typeof entry === 'string' ? [entry] : entry.addresses.map(({ host }) => host),
    ),
  };
}

/** As nginx does, a file (that of `-e`, else the default) is added where only other targets are written. */
function errorLogs(cycle: Cycle, raw: MainRaw): ErrorLogTarget[] {
  const targets = raw.errorLogs.map(finishErrorLog);
  if (targets.some((target) => target.kind !== 'syslog')) return targets;
  const { errorLogOverride } = cycle.options;
  if (errorLogOverride === 'stderr') return [...targets, { kind: 'stderr', level: 'error' }];
  const path = decodeText(cycle.fullName(errorLogOverride ?? 'logs/error.log'));
  return [...targets, { kind: 'file', path, level: 'error' }];
}
