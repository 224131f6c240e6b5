/** What a session has to wait for before a server can be chosen: a TLS hello, or a number of bytes. */
import type { Buffer } from 'node:buffer';
import type { Hello } from '../net/anyproxy/packet.ts';
import { PREREAD_DECLINED, PREREAD_MORE, prereadHello } from '../net/hello-preread.ts';
import { validateHost } from '../variables/host-table.ts';
import type { Session } from './session.ts';

/** Whether anything has to be read of the client first. */
export function needsPreread({ server: { config }, told }: Session): boolean {
  return (config.sslPreread && !namedBy(told)) || config.prereadBytes > 0;
}

/** The proxy before this one has told the name already. */
function namedBy(told: Hello | null): boolean {
  return told !== null && told.domain !== '';
}

/** @param bytes all that has arrived; @returns false: more are needed */
export function preread(s: Session, bytes: Buffer): boolean {
  const { config } = s.server;
  if (config.prereadBytes > bytes.length) return false;
  if (!config.sslPreread) return true;
  const hello = prereadHello(bytes);
  if (hello === PREREAD_MORE) return false;
  if (hello !== PREREAD_DECLINED) {
    s.hello = hello;
    if (!namedBy(s.told)) chooseServer(s, hello.serverName);
  }
  return true;
}

/** From now on the settings of the server that the client named hold, if there is one. */
export function chooseServer(s: Session, name: string): void {
  if (name === '') return;
  const host = validateHost(name);
  if (host !== null) s.server = s.listen.runtime.hosts.find(host, s);
}
