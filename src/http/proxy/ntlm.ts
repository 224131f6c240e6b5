/**
 * `ntlm`: a client that authenticates its connection (NTLM, Negotiate) has a connection to the server for itself. From the
 * first request with such an `Authorization` on, all its requests to the group go over that one, and nobody else's do. It
 * ends with the client's connection. One object a group and thread.
 */
import type { PeerInfo } from '../../upstream/group.ts';
import type { ClientBound, HttpRequest } from '../request.ts';
import { H } from '../wire/known.ts';
import type { Exchange } from './exchange.ts';
import type { UpstreamChannel } from './upstream-channel.ts';

/** It lives as long as its client's connection, which has limits of its own. */
const NO_LIMITS = { requests: Infinity, timeMs: Infinity };

/** A client's connection to a server of a group. */
class Binding implements ClientBound {
  readonly group: string;
  readonly next: ClientBound | null;
  peer: PeerInfo;
  variant = '';
  /** Null: a request is using it, or the server has closed it. */
  channel: UpstreamChannel | null = null;

  constructor(group: string, peer: PeerInfo, next: ClientBound | null) {
    this.group = group;
    this.peer = peer;
    this.next = next;
  }

  readonly closed = (channel: UpstreamChannel): void => {
    if (this.channel === channel) this.channel = null;
  };

  clientGone(): void {
    const { channel } = this;
    this.channel = null;
    channel?.destroy();
    this.next?.clientGone();
  }
}

export class Ntlm {
  /** The group's name: bindings outlive reloads. */
  readonly #group: string;

  constructor(group: string) {
    this.#group = group;
  }

  /** The server that the request's client is connected to; null: it has no connection of its own. */
  peerOf(r: HttpRequest): PeerInfo | null {
    return this.#of(r)?.peer ?? null;
  }

  /** The client's own connection, if it leads to this server. One that leads elsewhere is closed: it is of no more use. */
  take(r: HttpRequest, peer: PeerInfo, variant: string): UpstreamChannel | null {
    const binding = this.#of(r);
    if (binding === null || binding.channel === null) return null;
    const { channel } = binding;
    binding.channel = null;
    if (!channel.closed && binding.peer.address === peer.address && binding.variant === variant) return channel;
    channel.destroy();
    return null;
  }

  /**
   * The answer of an exchange was read to its end: keeps the connection for the client, if the client has authenticated it
   * or is about to.
   * @returns false: it is anybody's
   */
  keep({ r, peer, plan, target, sender }: Exchange, channel: UpstreamChannel): boolean {
    let binding = this.#of(r);
    if (binding === null && !authenticates(r)) return false;
    if (!channel.finish(sender.done, NO_LIMITS)) return true;
    const { bound } = r.channel;
    // over HTTP/2 requests of one connection are under way together: NTLM cannot be had there (RFC 9113 section 9.2)
    if (bound === undefined || !r.keepAlive || (binding !== null && binding.channel !== null)) {
      channel.destroy();
      return true;
    }
    if (binding === null) r.channel.bound = binding = new Binding(this.#group, peer!, bound);
    binding.peer = peer!;
    binding.variant = plan.variantOf(r, target);
    binding.channel = channel;
    channel.onIdleClose = binding.closed;
    return true;
  }

  #of(r: HttpRequest): Binding | null {
    let at = r.channel.bound ?? null;
    while (at !== null && (at as Binding).group !== this.#group) at = at.next;
    return at as Binding | null;
  }
}

/** The client says who its connection is, rather than who sends this one request. */
function authenticates({ head }: HttpRequest): boolean {
  const value = head.get(H.authorization);
  if (value === null) return false;
  const scheme = value.slice(0, 9).toLowerCase();
  return scheme.startsWith('ntlm') || scheme === 'negotiate';
}
