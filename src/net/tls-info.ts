/** What is known of a TLS connection to a client. */
import type { TLSSocket } from 'node:tls';
import { intermediates } from './tls-peer.ts';
import type { ServerTls } from './tls-server.ts';

export interface TlsInfo {
  protocol: string;
  cipher: string;
  serverName: string;
  sessionReused: boolean;
  sessionId: string;
  alpn: string;
  curve: string;
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

/** What is known of a TLS connection; read when somebody asks. */
export class SocketTls implements TlsInfo {
  readonly serverName: string;
  readonly #socket: TLSSocket;
  readonly #depth: number;
  #verify = '';

  constructor(socket: TLSSocket, serverName: string, { verifyDepth }: ServerTls) {
    this.#socket = socket;
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
    const info = this.#socket.getEphemeralKeyInfo() as { name?: string } | null;
    return info?.name ?? '';
  }
  get clientVerify(): string {
    if (this.clientCertificate === null) return 'NONE';
    if (this.#verify === '') {
      // `authorized` is set by tls.Server only; a socket of our own has to be asked as that does. No handle, no proof.
      const handle = (this.#socket as unknown as { _handle?: { verifyError(): Error | null | undefined } | null })
        ._handle;
      const error = handle == null ? new Error('connection is closed') : handle.verifyError();
      if (error != null) this.#verify = `FAILED:${error.message}`;
      else this.#verify = intermediates(this.#socket) > this.#depth ? 'FAILED:certificate chain too long' : 'SUCCESS';
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

/** The session's id in hexadecimal, out of its DER form: version, protocol and cipher stand before it. */
function sessionIdOf(session: Buffer | undefined): string {
  if (session === undefined) return '';
  try {
    let at = 1;
    at += session[at]! < 0x80 ? 1 : 1 + (session[at]! & 0x7f);
    for (let skip = 0; skip < 3; skip++) at += 2 + session[at + 1]!;
    return session[at] === 4 ? session.toString('hex', at + 2, at + 2 + session[at + 1]!) : '';
  } catch {
    return '';
  }
}
