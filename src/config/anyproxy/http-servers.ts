/** HTTP servers of any-proxy: those that pass requests to a group, send files, or answer with a text. */
import { encodeText } from '../bytes.ts';
import type { Place } from '../model.ts';
import type { Statement } from '../nginx/statements.ts';
import { fault, number } from './keys.ts';
import type { Warn } from './keys.ts';
import type { Domains, Listening } from './listens.ts';
import type { Assignment } from './syntax.ts';
import { Toml } from './toml.ts';

/** What answers, by either edition's name. */
const CONTENTS: Readonly<Record<string, 'proxy' | 'static' | 'echo'>> = {
  http_server_proxy: 'proxy',
  net_server_http_proxy: 'proxy',
  http_server_proxy_websocket: 'proxy',
  net_server_websocket_proxy: 'proxy',
  http_server_static: 'static',
  net_server_http_static: 'static',
  http_server_echo: 'echo',
  net_server_http_echo: 'echo',
};
/** Say that it is HTTP, and nothing more. */
const MARKS: readonly string[] = ['net_server_http', 'net_server_websocket'];

const VERSIONS: Readonly<Record<string, string>> = { 'http1.1': '1.1', 'http2.0': '2', auto: '1.1' };

/** `$anyproxy_upgrade` is what `Connection` says to servers. */
const UPGRADE_MAP = (place: Place): Statement => ({
  args: ['map', '$http_upgrade', '$anyproxy_upgrade'],
  place,
  block: [
    { args: ['default', 'upgrade'], place },
    { args: ['', ''], place },
  ],
});

/** Whether these say that a server speaks HTTP. */
export function speaksHttp(items: readonly Assignment[]): boolean {
  return items.some(({ key }) => CONTENTS[key] !== undefined || MARKS.includes(key));
}

/** What a server of HTTP is made of. */
export interface HttpServerParts {
  items: readonly Assignment[];
  listens: readonly Listening[];
  domains: Domains;
  /** The innermost that is written. */
  get: (key: string) => Assignment | null;
  rules: readonly Assignment[];
  /** Group that requests are passed to; null: none is written. */
  target: string | null;
  path: (name: string) => string;
  warn: Warn;
  place: Place;
}

/** The location of all requests. @throws {ConfigError} */
function httpContent({ items, target, path, place }: HttpServerParts): Statement[] {
  for (const item of items) if (MARKS.includes(item.key)) new Toml(item).root.end();
  const contents = items.filter(({ key }) => CONTENTS[key] !== undefined);
  const [content] = contents;
  if (content === undefined)
    throw fault('the HTTP server has no content: net_server_http_proxy, _static or _echo', { place });
  const kinds = new Set(contents.map(({ key }) => CONTENTS[key]));
  if (kinds.size > 1)
    throw fault(`"${contents.at(-1)!.key}" and "${content.key}" exclude each other`, contents.at(-1)!);
  const line = (...args: string[]): Statement => ({ args, place: content.place });
  const location = (...lines: Statement[]): Statement[] => [
    { args: ['location', '/'], place: content.place, block: lines },
  ];
  const kind = CONTENTS[content.key]!;
  if (kind === 'proxy') {
    if (target === null) throw fault(`"${content.key}" needs a proxy_pass_…`, content);
    const version = contents.map(versionOf).findLast((one) => one !== null) ?? '1.1';
    return location(
      line('proxy_pass', `http://${target}`),
      line('proxy_http_version', version),
      line('proxy_set_header', 'Host', '$http_host'),
      ...(version === '2'
        ? []
        : [
            line('proxy_set_header', 'Upgrade', '$http_upgrade'),
            line('proxy_set_header', 'Connection', '$anyproxy_upgrade'),
          ]),
    );
  }
  if (target !== null) throw fault(`"${content.key}" passes nothing on: there may be no proxy_pass_…`, content);
  const { root } = new Toml(content);
  const value = root.text(kind === 'static' ? 'path' : 'body');
  if (value === null) throw root.fault(`"${kind === 'static' ? 'path' : 'body'}" is missing`);
  root.end();
  if (kind === 'static') return location(line('root', path(encodeText(value))));
  // A text is a text: there are no variables in it.
  if (value.includes('$')) throw fault('"$" in "body" is not supported', content);
  return location(line('return', '200', encodeText(value)));
}

function versionOf(item: Assignment): string | null {
  const { root } = new Toml(item);
  const pass = root.table('proxy_pass');
  const text = pass?.text('version') ?? null;
  pass?.end();
  root.end();
  if (text === null) return null;
  const version = VERSIONS[text];
  if (version === undefined)
    throw root.fault(`"version" must be one of ${Object.keys(VERSIONS).join(', ')}`, 'proxy_pass');
  return version;
}

/** Settings that HTTP has another name for. */
function httpSettings({ get, rules, path, warn }: HttpServerParts): Statement[] {
  const lines = rules.map((rule): Statement => ({ args: [rule.key.slice(3), rule.value], place: rule.place }));
  const rate = get('download_limit_rate');
  if (rate !== null && number(rate) > 0) {
    lines.push({ args: ['limit_rate', String(number(rate))], place: rate.place });
  }
  const access = get('access');
  if (access === null) return lines;
  const { root } = new Toml(access);
  for (const table of root.tables('access')) {
    const on = table.flag('access_log') ?? true;
    const file = table.text('access_log_file') ?? './logs/access.log';
    if (table.text('access_format') !== null)
      warn('"access_format" is that of sessions: HTTP logs as nginx does', access.place);
    table.skip('access_log_stdout', 'is_err_access_log');
    table.end();
    lines.push({ args: ['access_log', on ? path(encodeText(file)) : 'off'], place: access.place });
  }
  root.end();
  return lines;
}

/** A group as HTTP has it: connections are kept for other clients, so nobody is announced on them. */
function httpGroup(group: Statement, warn: Warn): Statement {
  const block = group.block!.map((line) => {
    if (line.args.includes('hello=on')) warn('"is_proxy_protocol_hello" has no effect on HTTP', line.place);
    return { ...line, args: line.args.filter((arg) => !arg.startsWith('hello=')) };
  });
  return { ...group, block };
}

interface DomainAddress {
  place: Place;
  ssl: boolean;
  /** A server takes every name. */
  taken: boolean;
}

/** The `http` block that they come to. */
export class HttpServers {
  /** Groups that requests are passed to. */
  readonly used = new Set<string>();
  readonly #servers: Statement[] = [];
  readonly #domains = new Map<string, DomainAddress>();

  /** @returns servers of stream that hand streams of QUIC on to it @throws {ConfigError} */
  add(parts: HttpServerParts): Statement[] {
    const { listens, domains, target, place } = parts;
    if (target !== null) this.used.add(target);
    const content = httpContent(parts);
    const settings = httpSettings(parts);
    const streams: Statement[] = [];
    for (const listen of listens) {
      const { kind, tls } = listen;
      const line = (...args: string[]): Statement => ({ args, place: listen.place });
      const security =
        tls === null ? [] : [line('ssl_certificate', tls.certificate), line('ssl_certificate_key', tls.key)];
      if (kind === 'quic') {
        const inner = listens.find((one) => one.kind === 'tcp')?.addresses[0];
        if (inner === undefined) throw fault('QUIC of an HTTP server needs a listener of tcp beside it', listen);
        const to = inner.replace(/^(0\.0\.0\.0|\[::\])(?=:)/, (any) => (any === '0.0.0.0' ? '127.0.0.1' : '[::1]'));
        const heads = listen.addresses.map((address) => line('listen', address, 'quic'));
        streams.push({ args: ['server'], place, block: [...heads, ...security, line('pass', to)] });
        continue;
      }
      const heads = listen.addresses.map((address) => {
        this.#note(listen, address, domains.all);
        const first = listen.mode === 'domain' && domains.all ? ['default_server'] : [];
        return line('listen', address, ...first, ...(kind === 'ssl' ? ['ssl'] : []));
      });
      if (domains.names.length > 0) heads.push(line('server_name', ...domains.names));
      if (kind === 'ssl') heads.push(line('http2', 'on'));
      this.#servers.push({ args: ['server'], place, block: [...heads, ...security, ...settings, ...content] });
    }
    return streams;
  }

  #note({ mode, kind, place }: Listening, address: string, all: boolean): void {
    const known = this.#domains.get(address);
    if (known === undefined) {
      this.#domains.set(address, { place, ssl: kind === 'ssl', taken: mode === 'port' || all });
      return;
    }
    if (mode === 'port') throw fault(`"${address}" is listened to by another server already`, { place });
    if (known.ssl !== (kind === 'ssl')) throw fault(`"${address}" is listened to with and without TLS`, { place });
    known.taken ||= all;
  }

  /** After all servers. @param groups by name; null: there is no HTTP */
  block(groups: ReadonlyMap<string, Statement>, place: Place, warn: Warn): Statement | null {
    if (this.#servers.length === 0) return null;
    const nobody = [...this.#domains].flatMap(([address, domain]): Statement[] => {
      if (domain.taken) return [];
      const lines: Statement[] = [{ args: ['listen', address, 'default_server'], place: domain.place }];
      if (domain.ssl) {
        lines[0]!.args.push('ssl');
        lines.push({ args: ['ssl_reject_handshake', 'on'], place: domain.place });
      }
      lines.push({ args: ['return', '404'], place: domain.place });
      return [{ args: ['server'], place: domain.place, block: lines }];
    });
    const used = [...this.used].map((name) => httpGroup(groups.get(name)!, warn));
    const settings: Statement[] = [
      { args: ['access_log', 'off'], place },
      { args: ['default_type', 'application/octet-stream'], place },
      UPGRADE_MAP(place),
    ];
    return { args: ['http'], place, block: [...settings, ...used, ...this.#servers, ...nobody] };
  }
}
