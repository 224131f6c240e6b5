/** Addresses of clients. */

export interface ClientAddress {
  /** Text without brackets; `unix:` for unix sockets. */
  text: string;
  port: number;
  /** 4 or 16 bytes; empty for unix sockets. */
  bytes: Uint8Array;
}
