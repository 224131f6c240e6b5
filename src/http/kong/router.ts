/**
 * Which route a request takes, by Kong's rules. Pure.
 *
 * Of several routes that fit, the one counts that says more: more kinds of conditions, then plain hosts before wildcards,
 * more header conditions, regular expressions before prefixes and among them `regex_priority`, the longer path, and last the
 * older route. Routes are split by path when the router is built, so that each path is ordered by itself; for a request the
 * first entry that fits is the answer.
 */
import { NameSet } from '../../config/kong/sni.ts';
import { compileRegex } from '../../config/pcre.ts';
import type { KongPath, KongRoute } from '../../config/kong/model.ts';

/** What of a request decides. */
export interface Routed {
  method: string;
  /** Lower case, without port; may be empty. */
  host: string;
  /** Port that the request came to. */
  port: number;
  /** Normal form, decoded. */
  path: string;
  /** Empty: none. */
  serverName: string;
  /** All values of a field by its lower-case name. */
  header(name: string): string[];
}

export interface RouteMatch {
  route: KongRoute;
  /** How much of the path the route's own path has taken; 0: the route names no path. */
  matched: number;
  /** Named groups of a path that is a regular expression; null: none. */
  captures: Readonly<Record<string, string | undefined>> | null;
}

interface HostRule {
  /** Plain name; or with `*`, what stands before or behind it. */
  kind: 'plain' | 'suffix' | 'prefix';
  text: string;
  port: number | null;
}

interface HeaderRule {
  name: string;
  values: ReadonlySet<string>;
  regexes: readonly RegExp[];
}

interface Entry {
  route: KongRoute;
  hosts: HostRule[];
  methods: ReadonlySet<string> | null;
  headers: HeaderRule[];
  snis: NameSet | null;
  prefix: string | null;
  regex: RegExp | null;
  /** For the order. */
  kinds: number;
  category: number;
  plainHosts: boolean;
}

/** Bits of the kinds of conditions, the weightier higher. */
const HOST = 8;
const HEADER = 4;
const PATH = 2;
const METHOD = 1;

export class Router {
  /** In the order in which they are asked. */
  readonly #entries: readonly Entry[];
  /** Entries that a plain host may take: made when it is first asked for. */
  readonly #byHost = new Map<string, readonly Entry[] | null>();
  /** Entries for hosts that no route names. */
  readonly #others: readonly Entry[];

  constructor(routes: readonly KongRoute[]) {
    this.#entries = routes.filter(overHttp).flatMap(entriesOf).sort(compare);
    for (const { hosts } of this.#entries) {
      for (const { kind, text } of hosts) if (kind === 'plain') this.#byHost.set(text, null);
    }
    this.#others = this.#entries.filter(
      ({ hosts }) => hosts.length === 0 || hosts.some(({ kind }) => kind !== 'plain'),
    );
  }

  get size(): number {
    return this.#entries.length;
  }

  /** Null: no route fits. */
  find(request: Routed): RouteMatch | null {
    for (const entry of this.#candidates(request.host)) {
      if (!fits(entry, request)) continue;
      const { route, prefix, regex } = entry;
      if (regex !== null) {
        const match = regex.exec(request.path);
        if (match !== null) return { route, matched: match[0].length, captures: match.groups ?? null };
      } else if (prefix === null) return { route, matched: 0, captures: null };
      else if (request.path.startsWith(prefix)) return { route, matched: prefix.length, captures: null };
    }
    return null;
  }

  #candidates(host: string): readonly Entry[] {
    const known = this.#byHost.get(host);
    if (known === undefined) return this.#others;
    if (known !== null) return known;
    const fitting = this.#entries.filter(
      ({ hosts }) => hosts.length === 0 || hosts.some((rule) => rule.kind !== 'plain' || rule.text === host),
    );
    this.#byHost.set(host, fitting);
    return fitting;
  }
}

const overHttp = ({ protocols }: KongRoute): boolean =>
  protocols.some((protocol) => /^(?:http|grpc)s?$/.test(protocol));

function entriesOf(route: KongRoute): Entry[] {
  const hosts = route.hosts.map(hostRule);
  const methods = route.methods.length === 0 ? null : new Set(route.methods);
  const snis = route.snis.length === 0 ? null : new NameSet(route.snis);
  const headers = route.headers.map(headerRule);
  const category =
    (hosts.length > 0 ? HOST : 0) |
    (headers.length > 0 ? HEADER : 0) |
    (route.paths.length > 0 ? PATH : 0) |
    (methods === null ? 0 : METHOD);
  const kinds = [8, 4, 2, 1].filter((bit) => (category & bit) !== 0).length + (snis === null ? 0 : 1);
  const plainHosts = hosts.length > 0 && hosts.every(({ kind }) => kind === 'plain');
  const paths: readonly (KongPath | null)[] = route.paths.length === 0 ? [null] : route.paths;
  return paths.map((path) => ({
    route,
    hosts,
    methods,
    headers,
    snis,
    prefix: path?.kind === 'prefix' ? path.text : null,
    regex: path?.kind === 'regex' ? anchored(path.text) : null,
    kinds,
    category,
    plainHosts,
  }));
}

/** Kong's expressions begin where the path begins. */
function anchored(pattern: string): RegExp {
  try {
    return compileRegex({ pattern: `^(?:${pattern.replace(/^\^/, '')})`, caseless: false });
  } catch {
    // The Admin API has checked it by the same rules; a file of another version may not have been.
    return /$./;
  }
}

function hostRule(text: string): HostRule {
  const lower = text.toLowerCase();
  const port = /^(.*):(\d+)$/.exec(lower);
  const name = port?.[1] ?? lower;
  const at = port === null ? null : Number(port[2]);
  if (name.startsWith('*')) return { kind: 'suffix', text: name.slice(1), port: at };
  if (name.endsWith('*')) return { kind: 'prefix', text: name.slice(0, -1), port: at };
  return { kind: 'plain', text: name, port: at };
}

function headerRule({ name, values }: KongRoute['headers'][number]): HeaderRule {
  const [patterns, plain] = [
    values.filter((value) => value.startsWith('~*')),
    values.filter((v) => !v.startsWith('~*')),
  ];
  const regexes = patterns.flatMap((pattern) => {
    try {
      return [compileRegex({ pattern: pattern.slice(2), caseless: true })];
    } catch {
      return [];
    }
  });
  return { name: name.toLowerCase(), values: new Set(plain.map((value) => value.toLowerCase())), regexes };
}

function compare(a: Entry, b: Entry): number {
  return (
    b.kinds - a.kinds ||
    b.category - a.category ||
    Number(b.plainHosts) - Number(a.plainHosts) ||
    b.headers.length - a.headers.length ||
    Number(b.regex !== null) - Number(a.regex !== null) ||
    (a.regex === null ? 0 : b.route.regexPriority - a.route.regexPriority) ||
    (b.prefix?.length ?? 0) - (a.prefix?.length ?? 0) ||
    a.route.createdAt - b.route.createdAt ||
    (a.route.id < b.route.id ? -1 : Number(a.route.id > b.route.id))
  );
}

function fits({ hosts, methods, headers, snis }: Entry, request: Routed): boolean {
  if (methods !== null && !methods.has(request.method)) return false;
  if (hosts.length > 0 && !hosts.some((rule) => hostFits(rule, request))) return false;
  // Without TLS there is no name to look at.
  if (snis !== null && request.serverName !== '' && !snis.has(request.serverName)) return false;
  return headers.every(({ name, values, regexes }) =>
    request.header(name).some((value) => {
      const lower = value.toLowerCase();
      return values.has(lower) || regexes.some((regex) => regex.test(lower));
    }),
  );
}

function hostFits({ kind, text, port }: HostRule, { host, port: asked }: Routed): boolean {
  if (port !== null && port !== asked) return false;
  if (kind === 'plain') return host === text;
  if (host.length <= text.length) return false;
  return kind === 'suffix' ? host.endsWith(text) : host.startsWith(text);
}
