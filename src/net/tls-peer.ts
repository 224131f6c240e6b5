/** Keys that passwords protect, and how long a peer's chain of certificates is: what `node:tls` leaves to its user. */
import { createPrivateKey } from 'node:crypto';
import type { DetailedPeerCertificate, TLSSocket } from 'node:tls';
import { encodeText } from '../config/bytes.ts';

/** The key, opened by the first password that fits (a password file may hold several). */
export function openKey(pem: string, passphrases: readonly string[]): string {
  if (!pem.includes('ENCRYPTED')) return pem;
  for (const passphrase of passphrases) {
    try {
      const key = createPrivateKey({ key: pem, passphrase: Buffer.from(encodeText(passphrase), 'latin1') });
      return key.export({ type: 'pkcs8', format: 'pem' }) as string;
    } catch {
      // The next one.
    }
  }
  return pem;
}

/** What OpenSSL has against the peer's certificate; null: it holds. */
export function verifyError(socket: TLSSocket): Error | null {
  // `authorized` is set by tls.Server only; a socket of our own has to be asked as that does. No handle, no proof.
  const handle = (socket as unknown as { _handle?: { verifyError(): Error | null | undefined } | null })._handle;
  return handle == null ? new Error('connection is closed') : (handle.verifyError() ?? null);
}

/** Certificates between the peer's own and the last one of its verified chain. */
export function intermediates(socket: TLSSocket): number {
  let count = -1;
  let certificate: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
  while (
    certificate !== undefined &&
    certificate.issuerCertificate !== undefined &&
    certificate.issuerCertificate !== certificate
  ) {
    count++;
    certificate = certificate.issuerCertificate;
  }
  return Math.max(0, count);
}
