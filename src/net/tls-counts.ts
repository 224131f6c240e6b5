/** How handshakes ended, for the API's `/ssl`: those with clients and those with servers. */
import { counters, TLS } from '../observe/counters.ts';

export function countHandshake(reused: boolean): void {
  counters.tls[TLS.handshakes]!++;
  if (reused) counters.tls[TLS.reused]!++;
}

/** Codes of OpenSSL as Node has them, and what they mean for the count. */
const WHY: readonly (readonly [pattern: RegExp, place: number])[] = [
  [/^ERR_SSL_NO_SHARED_CIPHER|_ALERT_HANDSHAKE_FAILURE/, TLS.noCipher],
  [
    /UNSUPPORTED_PROTOCOL|NO_PROTOCOLS_AVAILABLE|UNKNOWN_PROTOCOL|ALERT_PROTOCOL_VERSION|VERSION_TOO_LOW/,
    TLS.noProtocol,
  ],
  [/ALERT_(?:UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_|UNSUPPORTED_CERTIFICATE)/, TLS.rejectedCertificate],
  [/^ERR_TLS_CERT_ALTNAME_INVALID/, TLS.hostname],
  [/^CERT_HAS_EXPIRED/, TLS.expired],
  [/^CERT_REVOKED/, TLS.revoked],
  [/^(?:CERT_|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO|ERR_SSL_CERTIFICATE_VERIFY_FAILED|INVALID_CA|CRL_)/, TLS.otherVerify],
];

/** @param error null: the other side left */
export function countFailedHandshake(error: Error | null): void {
  counters.tls[TLS.failed]!++;
  if (error === null) return;
  if (error.message === 'handshake timed out') {
    counters.tls[TLS.timeout]!++;
    return;
  }
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const found = WHY.find(([pattern]) => pattern.test(code));
  if (found !== undefined) counters.tls[found[1]]!++;
}

/**
 * A client's certificate is not accepted, or not there.
 * @param verify `$ssl_client_verify`
 */
export function countRefusedCertificate(verify: string): void {
  const place =
    verify === 'NONE'
      ? TLS.noCertificate
      : /expired/i.test(verify)
        ? TLS.expired
        : /revoked/i.test(verify)
          ? TLS.revoked
          : TLS.otherVerify;
  counters.tls[place]!++;
}
