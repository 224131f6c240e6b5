/**
 * What the directives of a location with an upstream come to, whatever protocol is spoken to the servers: made once when
 * a configuration is loaded, read by every request. The protocols' own plans extend it.
 */
import type { UpstreamPassConfig, UpstreamSettings } from '../../config/model.ts';
import type { PeerInfo } from '../../upstream/group.ts';
import type { Output } from '../../net/output.ts';
import type { HideTable, HttpRequest } from '../request.ts';
import { METHOD_HEAD } from '../wire/request-head.ts';
import type { ResponseHead } from '../wire/response-head.ts';
import type { Value } from '../variables/value.ts';
import type { VariableTable } from '../variables/table.ts';
import { acceleration } from './accel.ts';
import type { Acceleration } from './accel.ts';
import type { CookieRewriter } from './cookies.ts';
import { openUpstream } from './dial.ts';
import type { UpstreamGroup } from './group.ts';
import { hideTable, RESPONSE_FRAMING } from './hide.ts';
import type { StorePlan } from './store.ts';
import type { TargetBook } from '../../upstream/target-book.ts';
import type { Target } from './target.ts';
import type { UpstreamTls } from './tls.ts';
import type { TransportChannel } from './transport-channel.ts';
import type { OutgoingRequest, UpstreamChannel } from './upstream-channel.ts';

/** What every plan is made of. */
export interface PlanParts {
  settings: UpstreamSettings;
  pass: UpstreamPassConfig;
  /** Null: the target holds variables. */
  group: UpstreamGroup | null;
  tls: UpstreamTls | null;
  variables: VariableTable;
  book: TargetBook<UpstreamGroup>;
  /** Fields of answers that are not passed on unless …_pass_header names them. */
  hidden: readonly string[];
  /** Where …_pass_header names Date or Server, an answer without it goes on without it (ngx_http_proxy_process_header). */
  ownsDate?: boolean;
  /** Tells locations apart (`keepalive … local`). */
  serial: number;
  /** What idle connections must have in common beyond address and TLS. */
  protocol: string;
}

/** A target's text without its scheme. */
export interface SplitTarget {
  address: string;
  defaultPort: number;
  /** It is to be reached over TLS. */
  secure: boolean;
}

/** What a protocol's own plan adds by itself. */
export type CommonParts = Omit<PlanParts, 'settings' | 'protocol' | 'hidden'>;

export abstract class UpstreamPlan implements Target {
  readonly config: UpstreamSettings;
  /** As the log names it. */
  readonly scheme: string;
  /** Null: the target holds variables and is found per request. */
  readonly group: UpstreamGroup | null;
  readonly target: Value | null;
  /** With a target that holds variables: for targets that turn out to ask for it. */
  readonly tls: UpstreamTls | null;
  readonly responseHide: HideTable;
  /** Statuses that another server may do better: 1. */
  readonly nextStatus: Uint8Array;
  readonly accel: Acceleration;
  readonly bind: Value | null;
  /** Bytes a second at which answers are read; null: as they come. */
  readonly limitRate: Value | null;
  readonly book: TargetBook<UpstreamGroup>;
  /** Null: answers are not stored (proxy_store). */
  store: StorePlan | null = null;
  /** A body of the proxy's own in the place of the client's (proxy_set_body). */
  readonly body: Value | null = null;
  /** A body can go out before its length is known. */
  readonly streamsUnknown: boolean = false;
  /** What is offered by ALPN in a TLS handshake; empty: nothing. */
  readonly alpn: string[] = [];
  /** Answers say themselves of which type they are. */
  readonly answersHaveType: boolean = true;
  /** An answer opens a tunnel, whatever its status. */
  readonly tunnels: boolean = false;
  /** `rewriteAnswer` has something to do. */
  readonly rewritesAnswer: boolean = false;
  readonly cookies: CookieRewriter | null = null;
  readonly proxyHost: string;
  readonly proxyPort: string;
  /** What idle connections must have in common beyond address, TLS and local address. */
  readonly #variant: string;
  /** URI part of the target, for protocols whose targets have one. */
  readonly uriPart: string | null;

  constructor(parts: PlanParts) {
    const { settings: config, pass, group, tls, variables } = parts;
    this.config = config;
    this.scheme = pass.scheme;
    this.group = group;
    this.target = pass.variableTarget === null ? null : variables.compile(pass.variableTarget);
    this.tls = tls;
    const passed = new Set(config.passHeaders.map((name) => name.toLowerCase()));
    const hidden = parts.hidden.filter((name) => !passed.has(name.toLowerCase()));
    this.responseHide = hideTable([...RESPONSE_FRAMING, ...hidden, ...config.hideHeaders]);
    if (parts.ownsDate === true) {
      this.responseHide.ownDate = passed.has('date');
      this.responseHide.ownServer = passed.has('server');
    }
    this.nextStatus = new Uint8Array(600);
    for (const status of config.nextUpstream.statuses) this.nextStatus[status] = 1;
    this.accel = acceleration(config.ignoreHeaders);
    this.bind = config.bind?.address == null ? null : variables.compile(config.bind.address);
    this.limitRate = config.limitRate === '0' || !config.buffering ? null : variables.compile(config.limitRate);
    this.book = parts.book;
    this.proxyHost = pass.hostHeader;
    this.proxyPort = pass.port;
    this.uriPart = pass.uri;
    this.#variant = `${group?.config.keepalive.local === true ? `#${parts.serial}` : ''}|${parts.protocol}`;
  }

  /** Appends what opens the request, in the protocol's own framing: all but the body. */
  abstract compose(o: Output, request: OutgoingRequest): void;

  /** A channel for a connection that is being opened. */
  abstract newChannel(): TransportChannel;

  /** Why a request cannot go to any server, for the log: it is answered with 500. Null: it can. */
  refuse(_r: HttpRequest): string | null {
    return null;
  }

  /** No server can be chosen: the status that is answered. */
  nobody(_r: HttpRequest): number {
    return 502;
  }

  /** What stands in the request line, if the protocol has one; null: the client's own target. */
  uriOf(_r: HttpRequest, _target: Target): string | null {
    return null;
  }

  /** The answer has no body, whatever it says. */
  headOnly(r: HttpRequest): boolean {
    return r.method === METHOD_HEAD;
  }

  /** What the location changes in an answer's fields (proxy_redirect, cookies). */
  rewriteAnswer(_r: HttpRequest, _target: Target, _head: ResponseHead): void {}

  /** Idle connections of other variants are not taken: transport security, protocol, local address, location. */
  variantOf(r: HttpRequest, target: Target): string {
    const { tls } = target;
    if (tls === null && this.bind === null) return this.#variant;
    const name = tls === null ? '' : `${tls.key}|${tls.nameOf(r, target.proxyHost)}|${tls.credentialsOf(r)}`;
    return `${this.#variant}|${name}|${this.bind?.get(r) ?? ''}`;
  }

  /**
   * What stands before the address in a target that was evaluated; a protocol without URLs has nothing there.
   * @returns null: the target cannot be meant
   */
  splitTarget(text: string): SplitTarget | null {
    return { address: text, defaultPort: 0, secure: false };
  }

  /** A channel to a server that is open already; null: none is. Multiplexing protocols look among shared connections. */
  take(r: HttpRequest, target: Target, peer: PeerInfo): UpstreamChannel | null {
    const group = target.group!;
    const { idle, ntlm } = group;
    const own = ntlm === null ? null : ntlm.take(r, peer, this.variantOf(r, target));
    if (own !== null) return own;
    return idle === null ? null : idle.take(group.poolKey(peer), this.variantOf(r, target));
  }

  /**
   * Opens a connection.
   * @param opened called once with a channel on it
   * @param failed called once instead, with the log's text; `ours`: the server has nothing to do with it
   * @returns a handle that stops the attempt; neither callback is called after `cancel`
   */
  open(
    r: HttpRequest,
    target: Target,
    peer: PeerInfo,
    opened: (channel: UpstreamChannel) => void,
    failed: (message: string, ours?: boolean) => void,
  ): { cancel(): void } {
    return openUpstream(r, this, target, peer, opened, failed);
  }
}
