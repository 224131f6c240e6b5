/** What may come before a session's own bytes: tunnels where they are accepted, hello and heartbeats of trusted peers. */
import { hasVariables } from '../config/value.ts';
import { believes } from '../net/anyproxy/address.ts';
import type { Hello } from '../net/anyproxy/packet.ts';
import { newRequestId } from '../net/anyproxy/request-id.ts';
import type { ClientAddress } from '../net/client-address.ts';
import type { OpeningOptions } from '../net/accept-opening.ts';
import { chooseServer } from './preread.ts';
import type { Session } from './session.ts';

/** Whether the peer's hello is read and believed. */
export function expectsHello({ server, peer }: Session): boolean {
  return server.helloFrom !== null && believes(server.helloFrom, peer);
}

/** What is looked for in the first bytes; null: nothing. @param inner the session came out of a tunnel */
export function openingOf(s: Session, inner: boolean): OpeningOptions | null {
  const { tunnels, runtime } = s.listen;
  const tunnel = inner ? null : tunnels;
  const packets = expectsHello(s);
  if (tunnel === null && !packets) return null;
  const tunnelOnly = tunnel !== null && runtime.config.tunnel === 'only';
  return {
    hello: packets,
    heartbeat: packets,
    trusted: s.server.helloFrom,
    tunnel,
    tunnelOnly,
    timeoutMs: s.server.config.readHello?.timeoutMs ?? OPENING_MS,
    heartbeatIdleMs: HEARTBEAT_IDLE_MS,
  };
}

/** How long the beginning of a tunnel is waited for where other connections are taken as well. */
const OPENING_MS = 1000;
/** Between two heartbeats. */
const HEARTBEAT_IDLE_MS = 600_000;

/** From now on the client is who the hello says, and so is the name that it asks for. */
export function takeHello(s: Session, hello: Hello): void {
  s.told = hello;
  s.client = hello.client;
  chooseServer(s, hello.domain);
}

const socketText = (address: string, port: number): string =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;

/** The same over all proxies that a client's connection goes through. */
export function requestIdOf(s: Session): string {
  return (s.requestId ??= newId(s));
}

function newId(s: Session): string {
  if (s.told !== null) return s.told.requestId;
  return newRequestId(socketText(s.localAddress(), s.localPort()), socketText(s.peer.text, s.peer.port));
}

/** The name that the server has by its configuration, or that the client asked for; empty: none is known. */
export function domainOf(s: Session): string {
  const { domain } = s.server.config.proxy.hello;
  if (domain !== null && !hasVariables(domain)) return domain;
  if (s.told !== null && s.told.domain !== '') return s.told.domain;
  if (s.hello !== null && s.hello.serverName !== '') return s.hello.serverName;
  return s.tls === null ? '' : s.tls.serverName;
}

/** What the next proxy is told. @param domain empty: the one that the client asked for */
export function helloOf(s: Session, domain: string): Hello {
  return { requestId: requestIdOf(s), client: clientOf(s.client), domain: domain === '' ? domainOf(s) : domain };
}

const NOBODY: ClientAddress = { text: '0.0.0.0', port: 0, bytes: new Uint8Array(4) };

/** Clients of unix sockets have no address that the packet could say. */
function clientOf(client: ClientAddress): ClientAddress {
  return client.bytes.length === 0 ? NOBODY : client;
}
