/** `http` (or `net`): its servers and locals, as servers of `stream`. */
import type { Place } from '../model.ts';
import type { Statement } from '../nginx/statements.ts';
import type { AccessLogs } from './access-log.ts';
import { LOCAL, MAIN, NET, SERVER, assignments, blocks, choice, fault, flag, number, passKind } from './keys.ts';
import type { PassKind, Warn } from './keys.ts';
import { HttpServers, speaksHttp } from './http-servers.ts';
import { readDomains, readListening } from './listens.ts';
import type { Domains, Listening } from './listens.ts';
import { groupName } from './passes.ts';
import type { Balancer, PassReader } from './passes.ts';
import { readOneLine } from './one-line.ts';
import type { Profiles } from './profiles.ts';
import type { Assignment, Block, Item } from './syntax.ts';
import { Toml } from './toml.ts';

export interface ServersEnv {
  warn: Warn;
  profiles: Profiles;
  passes: PassReader;
  logs: AccessLogs;
  path: (name: string) => string;
  /** Names of groups that are defined. */
  groups: ReadonlySet<string>;
  /** `tunnel { data }` says that listeners accept tunnels. */
  opensTunnels: boolean;
  /** `disable_ipv6_only`. */
  dualStack: boolean;
}

/** What the three levels say together: the innermost counts; lists of rules go on. */
class Settings {
  readonly values: ReadonlyMap<string, Assignment>;
  readonly rules: readonly Assignment[];

  constructor(parent: Settings | null, items: readonly Assignment[]) {
    const values = new Map(parent?.values);
    const rules = items.filter(({ key }) => key === 'ip_allow' || key === 'ip_deny');
    for (const item of items) values.set(item.key, item);
    this.values = values;
    this.rules = rules.length > 0 ? rules : (parent?.rules ?? []);
  }

  get(...keys: string[]): Assignment | null {
    for (const key of keys) {
      const item = this.values.get(key);
      if (item !== undefined) return item;
    }
    return null;
  }
}

interface DomainAddress {
  place: Place;
  ssl: boolean;
  quic: boolean;
  /** A server takes every name. */
  taken: boolean;
  /** Whose hello is read, by any of its servers: which one a session belongs to is known only then. */
  from: Set<string>;
  extra: string[];
}

export class ServersReader {
  readonly #env: ServersEnv;
  /** Groups of single `proxy_pass_…`, and the servers. */
  readonly groups: Statement[] = [];
  readonly servers: Statement[] = [];
  readonly http = new HttpServers();
  /** Groups that sessions are passed to. */
  readonly used = new Set<string>();
  readonly #ports = new Map<string, Place>();
  readonly #domains = new Map<string, DomainAddress>();
  /** Servers of addresses that several share. */
  readonly #byDomain: { lines: Statement[]; keys: string[]; place: Place }[] = [];

  constructor(env: ServersEnv) {
    this.#env = env;
  }

  /** @throws {ConfigError} */
  read(block: Block): void {
    const top = new Settings(null, assignments(block.items, NET, MAIN, this.#env.warn));
    for (const server of blocks(block.items, ['server'])) this.#server(server, top);
  }

  /** After all blocks: who answers for names that nobody has. */
  finish(): void {
    for (const [key, { place, ssl, quic, taken, extra }] of this.#domains) {
      if (taken) continue;
      const address = quic ? key.slice('quic '.length) : key;
      const lines: Statement[] = [{ args: ['listen', address, 'default_server', ...extra], place }];
      lines.push({ args: ssl ? ['ssl_reject_handshake', 'on'] : ['ssl_preread', 'on'], place });
      this.servers.push({ args: ['server'], place, block: lines });
      this.#byDomain.push({ lines, keys: [key], place });
    }
    for (const { lines, keys, place } of this.#byDomain) {
      const from = new Set(keys.flatMap((key) => [...this.#domains.get(key)!.from]));
      if (from.size > 0) lines.push({ args: ['hello_from', ...from], place });
    }
  }

  #server(block: Block, top: Settings): void {
    const { warn } = this.#env;
    const items = assignments(block.items, NET, SERVER, warn);
    const local = this.#local(block);
    const server = new Settings(top, items);
    const settings = new Settings(server, local);
    const listens = items.flatMap((item) => readListening(item, this.#env.path) ?? []);
    if (listens.length === 0) throw fault('server has no port_listen_… and no domain_listen_…', block);
    const [{ mode }] = listens as [Listening, ...Listening[]];
    const other = listens.find((listen) => listen.mode !== mode);
    if (other !== undefined) throw fault('a server listens by ports or by domains, not both', other);
    const domain = server.get('domain');
    if (mode === 'domain' && domain === null) throw fault('"domain" is missing: the server listens by domains', block);
    const domains = domain === null ? { names: [], all: false } : readDomains(domain);
    const all = [...items, ...local];
    if (speaksHttp(all)) {
      const target = this.#target(all);
      const get = (key: string): Assignment | null => settings.get(key);
      const { rules } = settings;
      const { path, warn: tell } = this.#env;
      const parts = { items: all, listens, domains, target, get, rules, path, warn: tell, place: block.place };
      this.servers.push(...this.http.add(parts));
      return;
    }
    const target = this.#target(all);
    if (target === null) throw fault('server has no proxy_pass_…', block);
    this.used.add(target);
    for (const listen of listens) this.#listen(listen, domains, settings, target);
  }

  /** What the one `local` says that takes everything. */
  #local(block: Block): Assignment[] {
    const { warn } = this.#env;
    let found: Assignment[] | null = null;
    for (const local of blocks(block.items, ['local'])) {
      const items = assignments(local.items, NET, LOCAL, warn);
      blocks(local.items, []);
      const rule = items.find(({ key }) => key === 'rule');
      if (rule !== undefined && !takesAll(rule)) {
        throw fault('"rule" is not supported: requests are told apart in an nginx.conf, by location', rule);
      }
      if (found !== null) throw fault('there is a local already that takes everything', local);
      found = items.filter(({ key }) => key !== 'rule');
    }
    return found ?? [];
  }

  #target(items: readonly Assignment[]): string | null {
    const targets = items.filter(({ key }) => key === 'proxy_pass_upstream' || passKind(key) !== null);
    const [target, second] = targets;
    if (target === undefined) return null;
    if (second !== undefined) throw fault(`there is "${target.key}" already: a server has one proxy_pass_…`, second);
    const kind = passKind(target.key);
    if (kind === null && target.value.startsWith('//')) {
      const { pass, balancer } = readOneLine(target);
      return this.#ownGroup(passKind(pass.key)!, pass, balancer);
    }
    if (kind === null) {
      const name = groupName(target);
      if (this.#env.groups.has(name)) return name;
      throw fault(`there is no upstream server with name "${name}"`, target);
    }
    return this.#ownGroup(kind, target);
  }

  #ownGroup(kind: PassKind, item: Assignment, balancer: Balancer = 'round_robin'): string {
    const name = `proxy_pass_${kind}.${this.groups.length + 1}`;
    this.groups.push(this.#env.passes.group(name, balancer, [[kind, item]], item.place));
    return name;
  }

  // ------------------------------------------------------------------------------------------------ statements

  #listen(listen: Listening, domains: Domains, settings: Settings, target: string): void {
    const { place, mode, kind, tls } = listen;
    const line = (...args: string[]): Statement => ({ args, place });
    const options = [
      ...(kind === 'ssl' ? ['ssl'] : kind === 'quic' ? ['quic'] : []),
      ...(this.#acceptsTunnels(settings) ? ['tunnel=also'] : []),
    ];
    const lines = listen.addresses.map((address) => {
      const v6 = address.startsWith('[') && this.#env.dualStack ? ['ipv6only=off'] : [];
      this.#note(listen, address, domains, [...options, ...v6]);
      const first = mode === 'domain' && domains.all ? ['default_server'] : [];
      return line('listen', address, ...first, ...options, ...v6);
    });
    if (domains.names.length > 0) lines.push(line('server_name', ...domains.names));
    if (mode === 'domain' && kind === 'tcp') lines.push(line('ssl_preread', 'on'));
    if (tls !== null) {
      lines.push(line('ssl_certificate', tls.certificate), line('ssl_certificate_key', tls.key));
      if (tls.protocols !== null) lines.push(line('ssl_protocols', ...tls.protocols));
    }
    lines.push(...this.#settings(settings, kind));
    const from = settings.get('hello_from');
    if (mode === 'port' && from !== null) lines.push({ args: ['hello_from', ...from.words], place: from.place });
    if (mode === 'domain') {
      const keys = listen.addresses.map((address) => keyOf(kind, address));
      for (const key of keys) for (const word of from?.words ?? []) this.#domains.get(key)!.from.add(word);
      this.#byDomain.push({ lines, keys, place: from?.place ?? place });
    }
    if (mode === 'port' && domains.names.length > 0) lines.push(line('proxy_hello_domain', domains.names[0]!));
    lines.push(line('proxy_pass', target));
    this.servers.push({ args: ['server'], place, block: lines });
  }

  #acceptsTunnels(settings: Settings): boolean {
    const item = settings.get('accept_tunnel');
    return item === null ? this.#env.opensTunnels : flag(item);
  }

  /** Remembers who listens where. @throws {ConfigError} */
  #note({ mode, kind, place }: Listening, address: string, domains: Domains, extra: string[]): void {
    const key = keyOf(kind, address);
    const port = this.#ports.get(key);
    const before = this.#domains.get(key);
    if (port !== undefined || (mode === 'port' && before !== undefined)) {
      const { file, line } = port ?? before!.place;
      throw fault(`"${address}" is listened to by another server already, in ${file}:${line}`, { place });
    }
    if (mode === 'port') {
      this.#ports.set(key, place);
      return;
    }
    if (before === undefined) {
      this.#domains.set(key, {
        place,
        ssl: kind !== 'tcp',
        quic: kind === 'quic',
        taken: domains.all,
        extra,
        from: new Set(),
      });
      return;
    }
    if (before.ssl !== (kind !== 'tcp')) throw fault(`"${address}" is listened to with and without TLS`, { place });
    if (before.taken && domains.all) throw fault(`"$$(.*)" is there already for "${address}"`, { place });
    before.taken ||= domains.all;
  }

  #settings(settings: Settings, kind: Listening['kind']): Statement[] {
    const lines: Statement[] = [];
    const add = (item: { place: Place }, ...args: string[]): void => void lines.push({ args, place: item.place });
    const size = settings.get('stream_cache_size');
    if (size !== null && number(size) > 0) add(size, 'proxy_buffer_size', String(number(size)));
    for (const way of ['download', 'upload']) {
      const rate = settings.get(`${way}_limit_rate`);
      if (rate !== null && number(rate) > 0) add(rate, `proxy_${way}_rate`, String(number(rate)));
    }
    const hello = settings.get('is_proxy_protocol_hello');
    if (hello !== null && flag(hello)) add(hello, 'proxy_hello', 'on');
    const magic = settings.get('hello_magic');
    if (magic !== null) add(magic, 'proxy_hello_magic', choice(magic, ['2023-12', '2024-08']));
    const closing = settings.get('close_type');
    if (closing !== null && choice(closing, ['fast', 'shutdown']) === 'shutdown')
      add(closing, 'proxy_half_close', 'on');
    const next = settings.get('next_upstream');
    if (next !== null) add(next, 'proxy_next_upstream', flag(next) ? 'on' : 'off');
    const access = settings.get('access');
    if (access !== null) lines.push(...this.#env.logs.read(access));
    for (const rule of settings.rules) add(rule, rule.key.slice(3), rule.value);
    this.#profile(settings, kind, add);
    return lines;
  }

  #profile(
    settings: Settings,
    kind: Listening['kind'],
    add: (item: { place: Place }, ...args: string[]) => void,
  ): void {
    const protocol = kind === 'quic' ? 'quic' : 'tcp';
    const item = settings.get(`${protocol}_conf_name`, `${protocol}_config_name`);
    if (item === null) return;
    const profile = this.#env.profiles.find(protocol, item.value);
    if (profile === null) throw fault(`there is no ${protocol} profile "${item.value}" in "socket"`, item);
    if (!profile.nodelay) add(item, 'tcp_nodelay', 'off');
    const idle = Math.max(profile.sendTimeoutMs, profile.recvTimeoutMs);
    if (idle > 0) add(item, 'proxy_timeout', `${idle}ms`);
  }
}

/** TCP and UDP ports are not the same. */
function keyOf(kind: Listening['kind'], address: string): string {
  return kind === 'quic' ? `quic ${address}` : address;
}

function takesAll(rule: Assignment): boolean {
  const { root } = new Toml(rule);
  return root.tables('rule').every((table) => {
    table.text('data');
    return table.text('filter') === '$$(.*)';
  });
}

/** Top blocks in which nothing but assignments stands. */
export function onlyAssignments(items: readonly Item[]): void {
  blocks(items, []);
}
