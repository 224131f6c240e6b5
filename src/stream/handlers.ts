/** What a server does with its sessions: `return`, `pass`, `proxy_pass`. */
import { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import { parseUrl, peerAddress } from '../config/address.ts';
import type { PeerAddress } from '../config/model.ts';
import type { ClientAddress } from '../net/client-address.ts';
import type { Value } from '../variables/value.ts';
import type { ProxyPlan } from './proxy/plan.ts';
import { proxyTcp } from './proxy/tcp.ts';
import { proxyUdp } from './proxy/udp.ts';
import type { Handler } from './runtime.ts';
import { INTERNAL_ERROR, OK } from './session.ts';
import type { Session } from './session.ts';
import { TcpSession } from './tcp-session.ts';
import { UdpSession } from './udp-session.ts';

/** As nginx has it: a connection is handed on so often. */
const MAX_PASSES = 10;

export function returnHandler(text: Value<Session>): Handler {
  return (s) => {
    const bytes = Buffer.from(text.get(s), 'latin1');
    if (s instanceof TcpSession) s.sendAndEnd(bytes);
    else if (s instanceof UdpSession) s.sendAndEnd(bytes);
  };
}

export function proxyHandler(plan: ProxyPlan): Handler {
  return (s) => {
    if (s instanceof TcpSession) proxyTcp(s, plan);
    else if (s instanceof UdpSession) proxyUdp(s, plan);
  };
}

/** Hands a connection to whoever listens on an address in this worker. @returns false: nobody does */
export type PassOn = (to: PeerAddress, socket: Socket, client: ClientAddress) => boolean;

const passes = new WeakMap<Socket, number>();

export function passHandler(address: Value<Session>, passOn: PassOn): Handler {
  return (s) => {
    const failure = pass(s, address.get(s), passOn);
    if (failure === null) return;
    s.log('error', failure);
    s.finalize(failure.startsWith('port not found') ? OK : INTERNAL_ERROR);
  };
}

/** @returns why it cannot be passed on, or null */
function pass(s: Session, text: string, passOn: PassOn): string | null {
  s.action = 'passing connection to port';
  if (!(s instanceof TcpSession)) return 'cannot pass udp connection';
  // As in nginx. Of a plain connection the bytes go along: nothing has been taken from them.
  if (s.tls !== null && s.held !== null) return 'cannot pass connection with preread data';
  const parsed = parseUrl(text);
  if (!parsed.ok) return `${parsed.error} in pass "${text}"`;
  const { url } = parsed;
  if (url.address === null) return `no addresses in pass "${text}"`;
  if (url.noPort) return `no port in pass "${text}"`;
  const to = peerAddress(url.kind, url.address, url.port);
  const { socket } = s.transport!;
  // Of an address whose sessions may be passed on.
  if (socket === null) throw new Error('passing on a connection without a socket');
  const count = (passes.get(socket) ?? 0) + 1;
  if (count > MAX_PASSES) return 'stream pass cycle';
  passes.set(socket, count);
  const { held, client } = s;
  s.transport!.detach();
  if (held !== null) socket.unshift(held);
  if (!passOn(to, socket, client)) {
    socket.destroy();
    return `port not found for "${to.text}"`;
  }
  s.release();
  return null;
}
