/** TLS contexts as a configuration describes them. */
import { constants, X509Certificate } from 'node:crypto';
import type { SslServerConfig } from '../config/model.ts';
import { openKey } from './tls-peer.ts';
import { secureContext } from './tls-server.ts';
import type { ServerTls } from './tls-server.ts';
import { sessionIdentity, TicketKeys } from './tls-tickets.ts';
import type { TicketSecret } from './tls-tickets.ts';

/** A server without certificates may say who is let in; the handshake is the default server's. */
export function handshakes(ssl: SslServerConfig | null): ssl is SslServerConfig {
  return ssl !== null && (ssl.certificates.length > 0 || ssl.rejectHandshake);
}

/**
 * @param alpn protocols to offer; empty: ALPN is not answered
 * @throws when a certificate or key cannot be used
 */
export function serverTls(ssl: SslServerConfig, tickets: TicketSecret, alpn: string[]): ServerTls {
  const ca = authorities(ssl);
  const identity = sessionIdentity([
    ssl.certificates.map((c) => c.certificate),
    ssl.clientCertificate,
    ssl.trustedCertificate,
    ssl.crl,
    ssl.verifyClient,
    ssl.verifyDepth,
    ssl.protocols,
    ssl.ciphers,
  ]);
  // Node offers no cache of sessions: where one is configured, tickets do its work.
  const resumes = ssl.sessionTickets || ssl.sessionCache === 'shared' || ssl.sessionCache === 'builtin';
  const context = secureContext({
    ...(ssl.certificates.length === 0
      ? null
      : {
          cert: ssl.certificates.map((c) => c.certificate),
          key: ssl.certificates.map((c) => ({ pem: openKey(c.key, ssl.passphrases), passphrase: '' })),
        }),
    ...(ca.length === 0 ? null : { ca }),
    ...(ssl.crl === null ? null : { crl: ssl.crl }),
    ...(ssl.dhparam === null ? null : { dhparam: ssl.dhparam }),
    ...(ssl.ciphers === '' || ssl.ciphers === 'DEFAULT' ? null : { ciphers: ssl.ciphers }),
    ...(ssl.ecdhCurve === '' || ssl.ecdhCurve === 'auto' ? null : { ecdhCurve: ssl.ecdhCurve }),
    // Clients may not begin another handshake on a connection (TLS 1.2), as nginx has it.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION | (resumes ? 0 : constants.SSL_OP_NO_TICKET),
    honorCipherOrder: ssl.preferServerCiphers,
    sessionTimeout: ssl.sessionTimeoutSec,
    sessionIdContext: identity,
    ...protocolRange(ssl.protocols),
  });
  if (resumes) new TicketKeys(tickets, identity, ssl.sessionTimeoutSec, ssl.sessionTicketKeys).install(context);
  return {
    context,
    requestCertificate: ssl.verifyClient !== 'off',
    rejectHandshake: ssl.rejectHandshake,
    verifyDepth: ssl.verifyDepth,
    alpn,
  };
}

/** Trusted certificates, each once; they are also those that a client is asked for. */
function authorities(ssl: SslServerConfig): string[] {
  const found = new Map<string, string>();
  for (const pem of [ssl.clientCertificate, ssl.trustedCertificate]) {
    for (const [text] of (pem ?? '').matchAll(/-----BEGIN [^-]*CERTIFICATE-----[^-]*-----END [^-]*CERTIFICATE-----/g)) {
      found.set(new X509Certificate(text).fingerprint256, text);
    }
  }
  return [...found.values()];
}

const VERSIONS: Readonly<Record<string, 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3'>> = {
  TLSv1: 'TLSv1',
  'TLSv1.1': 'TLSv1.1',
  'TLSv1.2': 'TLSv1.2',
  'TLSv1.3': 'TLSv1.3',
};

/** Node takes a range; the listed versions' lowest and highest are its ends. */
export function protocolRange(protocols: readonly string[]): {
  minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3';
  maxVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3';
} {
  const known = Object.keys(VERSIONS).filter((v) => protocols.includes(v));
  if (known.length === 0) return {};
  return { minVersion: VERSIONS[known[0]!]!, maxVersion: VERSIONS[known[known.length - 1]!]! };
}
