/** Addresses as any-proxy's packets have them: `ip:port` or `[ip]:port`. */
import { formatIpv6, parseIpv4, parseIpv6 } from '../../config/address.ts';
import type { ClientAddress } from '../client-address.ts';
import type { NetworkList } from '../networks.ts';

/** Port 0 is one that nobody knows. @returns null: no such address */
export function parseSocketAddress(text: string): ClientAddress | null {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):([0-9]{1,5})$/.exec(text);
  if (match === null) return null;
  const [, six, four = '', digits] = match;
  const port = Number(digits);
  if (port > 65535) return null;
  if (six === undefined) {
    const bytes = parseIpv4(four);
    return bytes === null ? null : { text: bytes.join('.'), port, bytes: Uint8Array.from(bytes) };
  }
  const bytes = parseIpv6(six);
  return bytes === null ? null : { text: formatIpv6(bytes), port, bytes: Uint8Array.from(bytes) };
}

/**
 * Whether what a peer says of others is believed.
 * @param trusted null: of everybody, which only a listener that strangers cannot reach may say
 */
export function believes(trusted: NetworkList | null, peer: ClientAddress): boolean {
  return trusted === null || trusted.has(peer.bytes);
}
