/**
 * any-proxy's configuration as statements of nginx's language: the model, its checks and all that runs are the same for
 * both. Blocks may stand in any order.
 */
import { encodeText } from '../bytes.ts';
import type { Place } from '../model.ts';
import type { Statement } from '../nginx/statements.ts';
import { AccessLogs } from './access-log.ts';
import {
  COMMON,
  DATA,
  MAIN,
  UPSTREAM_SERVER,
  assignments,
  blocks,
  choice,
  fault,
  flag,
  milliseconds,
  number,
  passKind,
} from './keys.ts';
import type { PassKind, Warn } from './keys.ts';
import { BALANCERS, PassReader, groupName } from './passes.ts';
import { Profiles } from './profiles.ts';
import { ServersReader, onlyAssignments } from './servers.ts';
import type { Assignment, Block, Item } from './syntax.ts';
import { Toml } from './toml.ts';

export interface TranslateEnv {
  warn: Warn;
  /** Completes a path, byte string, which is relative to the directory that any-proxy runs in: the prefix. */
  path: (name: string) => string;
  /** What `worker_threads = 0` means. */
  cpuCount: number;
  /** nginx's directives that the command line has set: they count more. */
  given: readonly string[];
  /** Stands for what no statement asks for. */
  place: Place;
}

const TOP = ['common', 'socket', 'tunnel', 'tunnel2', 'ebpf', 'upstream', 'http', 'net'] as const;
/** Connections of a worker when any-proxy sets no limit. */
const UNLIMITED = 1_000_000;
const LEVELS = ['debug', 'info', 'notice', 'warn', 'error', 'crit', 'alert', 'emerg'] as const;

/** @throws {ConfigError} */
export function translate(items: readonly Item[], env: TranslateEnv): Statement[] {
  const all = blocks(items, TOP);
  const stray = items.find((item) => item.kind === 'assignment');
  if (stray !== undefined) throw fault(`"${stray.key}" is not allowed here, outside of all blocks`, stray);
  const of = (...keys: string[]): Block[] => all.filter(({ key }) => keys.includes(key));

  const common = of('common').flatMap((block) => {
    onlyAssignments(block.items);
    return assignments(block.items, COMMON, MAIN, env.warn);
  });
  const profiles = new Profiles();
  for (const block of of('socket')) profiles.read(block, env.warn);
  const tunnels = readTunnels(of('tunnel'), env);
  for (const block of of('tunnel2', 'ebpf')) checkGone(block, env);

  const passes = new PassReader({ profiles, warn: env.warn, path: env.path });
  const upstreams = new Map<string, Statement>();
  for (const block of of('upstream')) {
    for (const server of blocks(block.items, ['server'])) readUpstream(server, passes, upstreams, env);
  }
  const logs = new AccessLogs(env.warn, env.path);
  const servers = new ServersReader({
    warn: env.warn,
    profiles,
    passes,
    logs,
    path: env.path,
    groups: new Set(upstreams.keys()),
    opensTunnels: tunnels.open,
    dualStack: common.some((item) => item.key === 'disable_ipv6_only' && flag(item)),
  });
  for (const block of of('http', 'net')) servers.read(block);
  servers.finish();

  const groups = new Map([...upstreams.values(), ...servers.groups].map((group) => [group.args[1]!, group]));
  for (const group of groups.values()) group.block!.push(...tunnels.keys);
  // Those that nobody uses are checked, too.
  const ofStream = [...groups].filter(([name]) => servers.used.has(name) || !servers.http.used.has(name));
  const settings = [...tunnels.keys, ...tunnels.wire, ...logs.formats];
  const block = [...settings, ...ofStream.map(([, group]) => group), ...servers.servers];
  const http = servers.http.block(groups, env.place, env.warn);
  return [
    ...mainStatements(common, env),
    { args: ['stream'], place: env.place, block },
    ...(http === null ? [] : [http]),
  ];
}

function readUpstream(block: Block, passes: PassReader, into: Map<string, Statement>, env: TranslateEnv): void {
  onlyAssignments(block.items);
  const items = assignments(block.items, UPSTREAM_SERVER, MAIN, env.warn);
  const last = (key: string): Assignment | undefined => items.findLast((item) => item.key === key);
  const named = last('name');
  if (named === undefined) throw fault('upstream server has no "name"', block);
  const name = groupName(named);
  if (into.has(name)) throw fault(`there is an upstream server with name "${name}" already`, named);
  const method = last('balancer');
  const balancer = method === undefined ? 'round_robin' : choice(method, BALANCERS);
  const servers = items.flatMap((item): [PassKind, Assignment][] => {
    const kind = passKind(item.key);
    return kind === null ? [] : [[kind, item]];
  });
  if (servers.length === 0) throw fault(`upstream server "${name}" has no proxy_pass_…`, block);
  into.set(name, passes.group(name, balancer, servers, block.place));
}

interface Tunnels {
  open: boolean;
  keys: Statement[];
  wire: Statement[];
}

function readTunnels(all: readonly Block[], env: TranslateEnv): Tunnels {
  const tunnels: Tunnels = { open: false, keys: [], wire: [] };
  for (const block of all) {
    onlyAssignments(block.items);
    for (const item of assignments(block.items, DATA, MAIN, env.warn)) {
      const { root } = new Toml(item);
      tunnels.open = root.flag('is_open_tunnel') ?? tunnels.open;
      const wire = root.text('wire');
      if (wire !== null) tunnels.wire = [{ args: ['tunnel_wire', encodeText(wire)], place: root.place('wire') }];
      for (const key of root.tables('key')) {
        const id = key.text('id');
        const secret = key.text('secret');
        const file = key.text('file');
        if (id === null) throw key.fault('"id" is missing');
        if ((secret === null) === (file === null)) throw key.fault('either "secret" or "file" must be there');
        const value = secret ?? `file:${env.path(encodeText(file!))}`;
        tunnels.keys.push({ args: ['tunnel_key', encodeText(id), encodeText(value)], place: key.place('id') });
      }
      root.end();
    }
  }
  return tunnels;
}

/** Blocks that are there in any-proxy's examples and switch nothing on. */
function checkGone(block: Block, env: TranslateEnv): void {
  onlyAssignments(block.items);
  for (const item of assignments(block.items, DATA, MAIN, env.warn)) {
    const { root } = new Toml(item);
    root.skip('tunnel2_worker_thread', 'tunnel2_max_connect', 'debug_is_open_ebpf_log');
    if (root.flag('is_open_tunnel2') === true) {
      throw root.fault('tunnel2 is not supported: it is obsolete in any-proxy itself, use tunnel', 'is_open_tunnel2');
    }
    if (root.flag('is_open_ebpf') === true) env.warn('"is_open_ebpf" has no effect here', root.place('is_open_ebpf'));
    root.end();
  }
}

function mainStatements(common: readonly Assignment[], env: TranslateEnv): Statement[] {
  const last = (key: string): Assignment | null => common.findLast((item) => item.key === key) ?? null;
  const { place } = env;
  const statements: Statement[] = [];
  const add = (item: Assignment | null, ...args: string[]): void => {
    if (!env.given.includes(args[0]!)) statements.push({ args, place: item?.place ?? place });
  };

  const threads = last('worker_threads');
  const count = threads === null ? 0 : number(threads);
  const workers = count === 0 ? env.cpuCount : count;
  add(threads, 'worker_processes', String(workers));
  const daemon = last('daemon');
  add(daemon, 'daemon', daemon !== null && flag(daemon) ? 'on' : 'off');
  const pid = last('pid');
  add(pid, 'pid', env.path(pid?.value ?? './logs/anyproxy.pid'));
  const shutdown = last('shutdown_timeout');
  add(shutdown, 'worker_shutdown_timeout', `${shutdown === null ? 30_000 : milliseconds(shutdown)}ms`);
  const user = last('user');
  if (user !== null) add(user, 'user', ...user.value.trim().split(/\s+/));
  const log = last('error_log');
  const level = last('error_log_level');
  if (log !== null) {
    const to = log.value === 'stderr' ? 'stderr' : env.path(log.value);
    add(log, 'error_log', to, level === null ? 'error' : choice(level, LEVELS));
  } else if (level !== null) throw fault('"error_log_level" needs "error_log"', level);
  const most = last('max_connections');
  const connections = most === null ? 0 : number(most);
  const each = connections === 0 ? UNLIMITED : Math.ceil(connections / workers);
  const events = [{ args: ['worker_connections', String(each)], place: most?.place ?? place }];
  statements.push({ args: ['events'], place, block: events });
  return statements;
}
