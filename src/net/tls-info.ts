/** What is known of a TLS connection to a client. */
import type { TLSSocket } from 'node:tls';
import { helloOffers } from './client-hello.ts';
import { cipherName, groupName } from './tls-names.ts';
import { intermediates, verifyError } from './tls-peer.ts';
import type { ServerTls } from './tls-server.ts';

export interface TlsInfo {
  protocol: string;
  cipher: string;
  serverName: string;
  sessionReused: boolean;
  sessionId: string;
  alpn: string;
  curve: string;
  /** What the client offered, joined by colons; empty where that was not kept. */
  ciphers: string;
  curves: string;
  /** `NONE`, `SUCCESS`, `FAILED:reason`. */
  clientVerify: string;
  clientCertificate: {
    pem: string;
    subject: string;
    issuer: string;
    serial: string;
    fingerprint: string;
    notBefore: string;
    notAfter: string;
  } | null;
}

/** What is known while the handshake goes on: the name that the client asks for. */
export function handshakeInfo(serverName: string): TlsInfo {
  return {
    protocol: '',
    cipher: '',
    serverName,
    sessionReused: false,
    sessionId: '',
    alpn: '',
    curve: '',
    ciphers: '',
    curves: '',
    clientVerify: 'NONE',
    clientCertificate: null,
  };
}

/** What is known of a TLS connection; read when somebody asks. */
export class SocketTls implements TlsInfo {
  readonly serverName: string;
  readonly #socket: TLSSocket;
  readonly #depth: number;
  #verify = '';

  readonly #hello: Buffer | null;
  readonly #revoked: string | null;

  /**
   * @param hello the client's first message, if it was kept
   * @param revoked what was found out about the client's certificate (ssl_ocsp); null: nothing against it
   */
  constructor(
    socket: TLSSocket,
    serverName: string,
    { verifyDepth }: ServerTls,
    hello: Buffer | null,
    revoked: string | null,
  ) {
    this.#revoked = revoked;
    this.#socket = socket;
    this.#hello = hello;
    this.serverName = serverName;
    this.#depth = verifyDepth;
  }

  get protocol(): string {
    return this.#socket.getProtocol() ?? '';
  }
  get cipher(): string {
    return this.#socket.getCipher()?.standardName === undefined ? '' : this.#socket.getCipher().name;
  }
  get sessionReused(): boolean {
    return this.#socket.isSessionReused();
  }
  get sessionId(): string {
    return sessionIdOf(this.#socket.getSession());
  }
  get alpn(): string {
    return typeof this.#socket.alpnProtocol === 'string' ? this.#socket.alpnProtocol : '';
  }
  get curve(): string {
    const id = groupOf(this.#socket.getSession());
    return id === 0 ? '' : groupName(id);
  }
  get ciphers(): string {
    return this.#hello === null ? '' : helloOffers(this.#hello).ciphers.map(cipherName).join(':');
  }
  get curves(): string {
    return this.#hello === null ? '' : helloOffers(this.#hello).groups.map(groupName).join(':');
  }
  get clientVerify(): string {
    if (this.clientCertificate === null) return 'NONE';
    if (this.#verify === '') {
      const error = verifyError(this.#socket);
      if (error !== null) this.#verify = `FAILED:${error.message}`;
      else if (intermediates(this.#socket) > this.#depth) this.#verify = 'FAILED:certificate chain too long';
      else this.#verify = this.#revoked === null ? 'SUCCESS' : `FAILED:${this.#revoked}`;
    }
    return this.#verify;
  }
  get clientCertificate(): TlsInfo['clientCertificate'] {
    const x509 = this.#socket.getPeerX509Certificate();
    if (x509 === undefined) return null;
    const names = (text: string): string => text.split('\n').reverse().join(',');
    return {
      pem: x509.toString(),
      subject: names(x509.subject),
      issuer: names(x509.issuer),
      serial: x509.serialNumber,
      fingerprint: x509.fingerprint.replaceAll(':', '').toLowerCase(),
      notBefore: x509.validFrom,
      notAfter: x509.validTo,
    };
  }
}

/**
 * The fields of a session in OpenSSL's DER form (SSL_SESSION_ASN1), by tag: `02`s and `04`s in order, then those of
 * context-specific tags.
 */
function* sessionFields(session: Buffer): Generator<{ tag: number; body: Buffer }> {
  const lengthAt = (at: number): [length: number, next: number] => {
    const first = session.readUInt8(at);
    if (first < 0x80) return [first, at + 1];
    const bytes = first & 0x7f;
    return [session.readUIntBE(at + 1, bytes), at + 1 + bytes];
  };
  let [, at] = lengthAt(1);
  while (at + 2 <= session.length) {
    const tag = session.readUInt8(at);
    const [length, start] = lengthAt(at + 1);
    yield { tag, body: session.subarray(start, start + length) };
    at = start + length;
  }
}

const OCTET_STRING = 0x04;
/** `[19] EXPLICIT kex_group`. */
const KEX_GROUP = 0xb3;

/** The session's id in hexadecimal: the second octet string, behind the cipher. */
function sessionIdOf(session: Buffer | undefined): string {
  if (session === undefined) return '';
  try {
    let strings = 0;
    for (const { tag, body } of sessionFields(session))
      if (tag === OCTET_STRING && ++strings === 2) return body.toString('hex');
  } catch {
    // Not as expected: nothing to tell.
  }
  return '';
}

/** The number of the group that keys were exchanged in; 0: unknown. */
function groupOf(session: Buffer | undefined): number {
  if (session === undefined) return 0;
  try {
    // An INTEGER inside: tag, length, value.
    for (const { tag, body } of sessionFields(session))
      if (tag === KEX_GROUP) return body.readUIntBE(2, body.readUInt8(1));
  } catch {
    // As above.
  }
  return 0;
}
