/** The plan of a location that proxies by HTTP (`proxy_pass`). */
import { Buffer } from 'node:buffer';
import type { LocationConfig, LocationMatch, ProxyConfig, ProxyRedirect } from '../../config/model.ts';
import type { Output } from '../../net/output.ts';
import type { HideTable, HttpRequest } from '../request.ts';
import { METHOD_HEAD } from '../wire/request-head.ts';
import type { ResponseHead } from '../wire/response-head.ts';
import type { Value } from '../variables/value.ts';
import type { VariableTable } from '../variables/table.ts';
import { CaptureRegex } from '../../variables/regex.ts';
import { compileCookies } from './cookies.ts';
import type { CookieRewriter } from './cookies.ts';
import { Http1Upstream } from './http1-upstream.ts';
import type { BlockPlan } from './http2/compose.ts';
import { parts as loaded } from '../parts.ts';
import { composeRequest, targetOf } from './request-writer.ts';
import { rewriteAnswer } from './rewrite-answer.ts';
import type { Target } from './target.ts';
import { hideTable, REQUEST_HIDDEN, RESPONSE_HIDDEN } from './hide.ts';
import type { TransportChannel } from './transport-channel.ts';
import type { OutgoingRequest } from './upstream-channel.ts';
import { UpstreamPlan } from './upstream-plan.ts';
import type { CommonParts, SplitTarget } from './upstream-plan.ts';

/** A stretch of the request head: bytes that never change, or a field whose value is computed. */
export type HeadSegment = { bytes: Buffer } | { bytes: null; name: Buffer; value: Value; isHost: boolean };

export class ProxyPlan extends UpstreamPlan {
  /** What every request gets, and which fields of the client's are not copied. */
  readonly form: RequestForm;
  /** The same for requests whose answer is to be cached; null: the location has no cache. */
  readonly cachedForm: RequestForm | null;
  override readonly alpn: string[];
  /** The same two of requests by HTTP/2; null: HTTP/1 is spoken. */
  readonly #block: BlockPlan | null = null;
  readonly #cachedBlock: BlockPlan | null = null;
  readonly method: Value | null;
  override readonly body: Value | null;
  override readonly streamsUnknown: boolean;
  override readonly rewritesAnswer: boolean;
  override readonly cookies: CookieRewriter | null;
  /** ` HTTP/1.1\r\n`. */
  readonly versionLine: Buffer;
  /** Length of the part of the URI that `uri` replaces. */
  readonly replaced: number;
  readonly redirects: CompiledRedirect[];
  /** The location's prefix, which the default proxy_redirect puts in the place of the target's URL. */
  readonly location: string;

  /** @param match of the location that proxy_pass stands in; `if` and `limit_except` inside it inherit it with its URI */
  constructor(location: LocationConfig, match: LocationMatch, parts: CommonParts) {
    const config = location.proxy;
    const { variables } = parts;
    const http2 = config.httpVersion === '2';
    super({ ...parts, settings: config, protocol: config.httpVersion, hidden: RESPONSE_HIDDEN, ownsDate: !http2 });
    const http11 = config.httpVersion !== '1.0';
    this.streamsUnknown = http11;
    this.versionLine = Buffer.from(` HTTP/${http11 ? '1.1' : '1.0'}\r\n`);
    this.method = config.method === null ? null : variables.compile(config.method);
    this.body = config.setBody === null ? null : variables.compile(config.setBody);
    this.location = match.kind === 'prefix' || match.kind === 'exact' ? match.path : '';
    this.replaced = this.location.length;
    const fields = config.setHeaders;
    const cachedFields = config.cache === null ? null : withConditions(fields);
    this.form = requestForm(fields, REQUEST_HIDDEN, variables);
    this.cachedForm = cachedFields === null ? null : requestForm(cachedFields, CACHED_HIDDEN, variables);
    this.alpn = http2 ? ['h2'] : [];
    if (http2) {
      const passFields = config.passRequestHeaders;
      const block = (of: SetHeaders, { hide }: RequestForm): BlockPlan => ({
        ...loaded.http2!.compileSegments(of, variables),
        requestHide: hide,
        passFields,
      });
      this.#block = block(fields, this.form);
      if (cachedFields !== null) this.#cachedBlock = block(cachedFields, this.cachedForm!);
    }
    this.cookies = compileCookies(config, variables);
    this.rewritesAnswer = config.redirects.length > 0 || this.cookies !== null;
    this.redirects = config.redirects.map((rule) => compileRedirect(rule, variables));
  }

  compose(o: Output, request: OutgoingRequest): void {
    if (this.#block === null) {
      composeRequest(o, request.r, this, request);
      return;
    }
    const { r } = request;
    const block = this.#cachedBlock !== null && request.cached ? this.#cachedBlock : this.#block;
    const method = this.method === null ? '' : this.method.get(r);
    loaded.http2!.composeBlock(o, request, block, method, r.proxyTarget?.host ?? this.proxyHost, request.bodyLength);
  }

  newChannel(): TransportChannel {
    return this.#block !== null ? new loaded.http2!.Http2Upstream() : new Http1Upstream();
  }

  override uriOf(r: HttpRequest, target: Target): string | null {
    return targetOf(r, this, target.uriPart);
  }

  override splitTarget(text: string): SplitTarget | null {
    const scheme = /^http(s?):\/\//i.exec(text);
    if (scheme === null) return null;
    const secure = scheme[1] !== '';
    return { address: text.slice(scheme[0].length), defaultPort: secure ? 443 : 80, secure };
  }

  override headOnly(r: HttpRequest): boolean {
    return r.method === METHOD_HEAD && this.method === null;
  }

  override rewriteAnswer(r: HttpRequest, target: Target, head: ResponseHead): void {
    rewriteAnswer(r, this, target, head);
  }

  /** The group's name and port decide what the default proxy_redirect looks for: `http://u/uri`. */
  defaultRedirect(target: Target): string | null {
    if (target !== this) return null;
    return `${this.scheme}://${this.proxyHost}${this.uriPart ?? '/'}`;
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

/** What makes a request's head besides its first line. */
export interface RequestForm {
  segments: HeadSegment[];
  hide: HideTable;
}

type SetHeaders = ProxyConfig['setHeaders'];

function requestForm(fields: SetHeaders, hidden: readonly string[], variables: VariableTable): RequestForm {
  return {
    segments: headSegments(fields, variables),
    hide: hideTable([...hidden, ...fields.map((h) => h.name)]),
  };
}

/** Also not copied for a cache, which wants all of the answer. */
const CACHED_HIDDEN = [
  ...REQUEST_HIDDEN,
  'If-Modified-Since',
  'If-Unmodified-Since',
  'If-None-Match',
  'If-Match',
  'Range',
  'If-Range',
] as const;

/** Of the cache's own: what it has may be good still. */
const CACHE_HEADERS: SetHeaders = [
  { name: 'If-Modified-Since', value: '$upstream_cache_last_modified' },
  { name: 'If-None-Match', value: '$upstream_cache_etag' },
];

/** What the configuration sets, and the cache's conditions where it sets none of its own. */
function withConditions(fields: SetHeaders): SetHeaders {
  const given = new Set(fields.map(({ name }) => name.toLowerCase()));
  return [...fields, ...CACHE_HEADERS.filter(({ name }) => !given.has(name.toLowerCase()))];
}

function headSegments(setHeaders: SetHeaders, variables: VariableTable): HeadSegment[] {
  const fields = setHeaders.filter((h) => !FRAMING.has(h.name.toLowerCase()));
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
