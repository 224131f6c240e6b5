/** What the PROXY protocol told of a client's connection. */
import type { ClientChannel } from '../request.ts';

/** Addresses of a PROXY protocol header. */
export interface ProxyProtocolInfo {
  sourceAddress: string;
  /** 0: none. */
  sourcePort: number;
  destinationAddress: string;
  destinationPort: number;
  /** Value of a type-length-value entry by its name (`authority`, `alpn`, `ssl_cn`, `0x05`…); null: not sent. */
  tlv?(name: string): string | null;
}

/** What the PROXY protocol told of the connection; null: nothing. */
export function proxyProtocol(channel: ClientChannel): ProxyProtocolInfo | null {
  return (channel as ClientChannel & { proxyProtocol?: ProxyProtocolInfo | null }).proxyProtocol ?? null;
}
