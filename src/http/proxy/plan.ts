/** What a location's proxy_ directives come to: made once when a configuration is loaded, read by every request. */
import { Buffer } from 'node:buffer';
import type { LocationConfig, LocationMatch, ProxyConfig, ProxyPassConfig, ProxyRedirect } from '../../config/model.ts';
import type { HideTable, HttpRequest } from '../request.ts';
import type { Value } from '../variables/value.ts';
import type { VariableTable } from '../variables/table.ts';
import { CaptureRegex } from '../../variables/regex.ts';
import { acceleration } from './accel.ts';
import type { Acceleration } from './accel.ts';
import { compileCookies } from './cookies.ts';
import type { CookieRewriter } from './cookies.ts';
import type { UpstreamGroup } from './group.ts';
import { targetOf } from './request-writer.ts';
import type { TargetBook } from '../../upstream/target-book.ts';
import type { Target } from './target.ts';
import type { UpstreamTls } from './tls.ts';
import { hideTable, REQUEST_HIDDEN, RESPONSE_FRAMING, RESPONSE_HIDDEN } from './hide.ts';

/** A stretch of the request head: bytes that never change, or a field whose value is computed. */
export type HeadSegment = { bytes: Buffer } | { bytes: null; name: Buffer; value: Value; isHost: boolean };

export class ProxyPlan implements Target {
  readonly config: ProxyConfig;
  readonly pass: ProxyPassConfig;
  /** Null: the target holds variables and is found per request. */
  readonly group: UpstreamGroup | null;
  readonly target: Value | null;
  readonly segments: HeadSegment[];
  /** Client fields that are not copied. */
  readonly requestHide: HideTable;
  readonly responseHide: HideTable;
  readonly method: Value | null;
  readonly body: Value | null;
  /** ` HTTP/1.1\r\n`. */
  readonly versionLine: Buffer;
  readonly http11: boolean;
  /** Length of the part of the URI that `uri` replaces. */
  readonly replaced: number;
  /** The location matches by prefix, so that the URI part of proxy_pass applies. */
  readonly tls: UpstreamTls | null;
  /** Idle connections of other variants are not taken: transport security, protocol, local address, location. */
  readonly variant: string;
  readonly nextStatus: Uint8Array;
  /** proxy_redirect or proxy_cookie_… have something to do. */
  readonly rewritesAnswer: boolean;
  readonly cookies: CookieRewriter | null;
  readonly accel: Acceleration;
  readonly redirects: CompiledRedirect[];
  /** The location's prefix, which the default proxy_redirect puts in the place of the target's URL. */
  readonly location: string;
  readonly bind: Value | null;
  readonly book: TargetBook<UpstreamGroup>;
  readonly proxyHost: string;
  readonly proxyPort: string;

  /** @param match of the location that proxy_pass stands in; `if` and `limit_except` inside it inherit it with its URI */
  constructor(
    location: LocationConfig,
    match: LocationMatch,
    pass: ProxyPassConfig,
    group: UpstreamGroup | null,
    tls: UpstreamTls | null,
    variables: VariableTable,
    book: TargetBook<UpstreamGroup>,
    serial: number,
  ) {
    const config = location.proxy;
    this.config = config;
    this.pass = pass;
    this.group = group;
    this.target = pass.variableTarget === null ? null : variables.compile(pass.variableTarget);
    this.tls = tls;
    this.http11 = config.httpVersion !== '1.0';
    this.versionLine = Buffer.from(` HTTP/${this.http11 ? '1.1' : '1.0'}\r\n`);
    this.method = config.method === null ? null : variables.compile(config.method);
    this.body = config.setBody === null ? null : variables.compile(config.setBody);
    this.location = match.kind === 'prefix' || match.kind === 'exact' ? match.path : '';
    this.replaced = this.location.length;
    this.segments = headSegments(config, variables);
    this.requestHide = hideTable([...REQUEST_HIDDEN, ...config.setHeaders.map((h) => h.name)]);
    const passed = new Set(config.passHeaders.map((name) => name.toLowerCase()));
    const hidden = RESPONSE_HIDDEN.filter((name) => !passed.has(name.toLowerCase()));
    this.responseHide = hideTable([...RESPONSE_FRAMING, ...hidden, ...config.hideHeaders]);
    this.variant = [
      group?.config.keepalive.local === true ? `#${serial}` : '',
      tls === null ? 'tcp' : tls.key,
      config.httpVersion,
      config.bind?.address ?? '',
    ].join('|');
    this.nextStatus = new Uint8Array(600);
    for (const status of config.nextUpstream.statuses) this.nextStatus[status] = 1;
    this.cookies = compileCookies(config, variables);
    this.accel = acceleration(config);
    this.rewritesAnswer = config.redirects.length > 0 || this.cookies !== null;
    this.redirects = config.redirects.map((rule) => compileRedirect(rule, variables));

    this.bind = config.bind?.address == null ? null : variables.compile(config.bind.address);
    this.book = book;
    this.proxyHost = pass.hostHeader;
    this.proxyPort = pass.port;
  }

  /** The group's name and port decide what the default proxy_redirect looks for: `http://u/uri`. */
  defaultRedirect(target: Target): string | null {
    if (target !== this) return null;
    return `${this.pass.scheme}://${this.proxyHost}${this.pass.uri ?? '/'}`;
  }

  uriOf(r: HttpRequest): string | null {
    return targetOf(r, this, this.pass.uri);
  }

  variantOf(r: HttpRequest): string {
    if (this.tls === null && this.bind === null) return this.variant;
    const name = this.tls === null ? '' : this.tls.nameOf(r, r.proxyTarget?.host ?? this.proxyHost);
    const credentials = this.tls === null ? '' : this.tls.credentialsOf(r);
    return `${this.variant}|${name}|${credentials}|${this.bind?.get(r) ?? ''}`;
  }
}

export interface CompiledRedirect {
  /** Null: the default rule, or a text. */
  regex: CaptureRegex | null;
  /** Null: the default rule. */
  from: Value | null;
  to: Value;
}

function compileRedirect(rule: ProxyRedirect, variables: VariableTable): CompiledRedirect {
  if (rule.kind === 'default') return { regex: null, from: null, to: variables.compile('') };
  const to = variables.compile(rule.to);
  return rule.kind === 'prefix'
    ? { regex: null, from: variables.compile(rule.from), to }
    : { regex: new CaptureRegex(rule.regex, variables), from: null, to };
}

/** Fields that only the proxy may write: they frame the message. */
const FRAMING = new Set(['content-length', 'transfer-encoding']);

function headSegments(config: ProxyConfig, variables: VariableTable): HeadSegment[] {
  const fields = config.setHeaders.filter((h) => !FRAMING.has(h.name.toLowerCase()));
  if (!fields.some((h) => h.name.toLowerCase() === 'host')) fields.unshift({ name: 'Host', value: '$proxy_host' });
  const segments: HeadSegment[] = [];
  let constant = '';
  const flush = (): void => {
    if (constant !== '') segments.push({ bytes: Buffer.from(constant, 'latin1') });
    constant = '';
  };
  for (const field of fields) {
    const value = variables.compile(field.value);
    if (value.constant !== null) {
      if (value.constant !== '') constant += `${field.name}: ${value.constant}\r\n`;
      continue;
    }
    flush();
    const isHost = field.name.toLowerCase() === 'host';
    segments.push({ bytes: null, name: Buffer.from(`${field.name}: `, 'latin1'), value, isHost });
  }
  flush();
  return segments;
}
