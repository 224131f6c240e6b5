/** TLS contexts as a configuration describes them. */
import { constants, X509Certificate } from 'node:crypto';
import type { SecureContext, SecureContextOptions } from 'node:tls';
import type { SslCommands, SslServerConfig } from '../config/model.ts';
import { openKey } from './tls-peer.ts';
import { secureContext } from './tls-server.ts';
import type { ServerTls } from './tls-server.ts';
import { sessionIdentity, TicketKeys } from './tls-tickets.ts';
import type { TicketSecret } from './tls-tickets.ts';

/** A server without certificates may say who is let in; the handshake is the default server's. */
export function handshakes(ssl: SslServerConfig | null): ssl is SslServerConfig {
  return ssl !== null && (ssl.certificates.length > 0 || ssl.rejectHandshake);
}

/** A certificate and its key, PEM. */
export interface Credentials {
  certificate: string;
  key: string;
}

/**
 * @param alpn protocols to offer; empty: ALPN is not answered
 * @param credentials instead of the configuration's own, whose names hold variables
 * @throws when a certificate or key cannot be used
 */
export function serverTls(
  ssl: SslServerConfig,
  tickets: TicketSecret,
  alpn: string[],
  credentials: readonly Credentials[] = ssl.certificates,
): ServerTls {
  const { commands } = ssl;
  const pairs = lastOfEachType(ownCredentials(credentials, commands));
  const ca = authorities(ssl);
  const identity = sessionIdentity([
    pairs.map((c) => c.certificate),
    ssl.clientCertificate,
    ssl.trustedCertificate,
    ssl.crl,
    ssl.verifyClient,
    ssl.verifyDepth,
    ssl.protocols,
    ssl.ciphers,
    ssl.commands,
  ]);
  // Clients may not begin another handshake on a connection (TLS 1.2), as nginx has it.
  const wanted = (constants.SSL_OP_NO_RENEGOTIATION | (commands.set ?? 0)) & ~(commands.clear ?? 0);
  // Node offers no cache of sessions: where one is configured, tickets do its work.
  const resumes =
    (wanted & constants.SSL_OP_NO_TICKET) === 0 &&
    (ssl.sessionTickets ||
      ((commands.clear ?? 0) & constants.SSL_OP_NO_TICKET) !== 0 ||
      ssl.sessionCache === 'shared' ||
      ssl.sessionCache === 'builtin');
  const byServer = prefersServer(ssl, commands);
  const options: SecureContextOptions = {
    ...(pairs.length === 0
      ? null
      : {
          cert: pairs.map((c) => c.certificate),
          key: pairs.map((c) => ({ pem: openKey(c.key, ssl.passphrases), passphrase: '' })),
        }),
    ...(ca.length === 0 ? null : { ca }),
    ...(ssl.crl === null ? null : { crl: ssl.crl }),
    ...(ssl.dhparam === null ? null : { dhparam: ssl.dhparam }),
    ...(ssl.ecdhCurve === '' || ssl.ecdhCurve === 'auto' ? null : { ecdhCurve: ssl.ecdhCurve }),
    ...(ssl.certificateCompression ? { certificateCompression: ['zlib', 'brotli', 'zstd'] } : null),
    ...commandOptions(ssl),
    secureOptions: wanted | (resumes ? 0 : constants.SSL_OP_NO_TICKET),
    honorCipherOrder: byServer,
    sessionTimeout: ssl.sessionTimeoutSec,
    sessionIdContext: identity,
  };
  const keys = resumes ? new TicketKeys(tickets, identity, ssl.sessionTimeoutSec, ssl.sessionTicketKeys) : null;
  const context = secureContext(options);
  keys?.install(context);
  let native: SecureContext | null = null;
  return {
    context,
    nativeContext: () => (native ??= secureContext(options)),
    requestCertificate: ssl.verifyClient !== 'off',
    rejectHandshake: ssl.rejectHandshake,
    verifyDepth: ssl.verifyDepth,
    alpn,
    tickets: keys,
  };
}

/** Whether `TlsTransport` can do what is configured: it neither looks at certificates of clients nor shows answers of OCSP. */
export function isNative(ssl: SslServerConfig): boolean {
  return ssl.verifyClient === 'off' && ssl.stapling === undefined;
}

function prefersServer(ssl: SslServerConfig, { set = 0, clear = 0 }: SslCommands): boolean {
  const bit = constants.SSL_OP_CIPHER_SERVER_PREFERENCE;
  return ((ssl.preferServerCiphers ? bit : 0) & ~clear & bit) !== 0 || (set & bit) !== 0;
}

/** Of several pairs with one type of key the last one counts, as OpenSSL loads it over those before. */
function lastOfEachType(pairs: readonly Credentials[]): readonly Credentials[] {
  if (pairs.length < 2) return pairs;
  const byType = new Map<string, Credentials>();
  for (const pair of pairs) byType.set(new X509Certificate(pair.certificate).publicKey.asymmetricKeyType ?? '', pair);
  return [...byType.values()];
}

/** `ssl_conf_command Certificate` and `PrivateKey` take the place of the last pair, as OpenSSL loads it over that. */
export function ownCredentials(
  pairs: readonly Credentials[],
  { certificate, key }: SslCommands,
): readonly Credentials[] {
  if (certificate === undefined && key === undefined) return pairs;
  const last = pairs.at(-1);
  const own = certificate ?? last?.certificate ?? '';
  return [...pairs.slice(0, -1), { certificate: own, key: key ?? last?.key ?? own }];
}

/** What directives and `ssl_conf_command` say alike of both sides: versions, ciphers, groups, signatures. */
export function commandOptions({
  protocols,
  ciphers,
  commands,
}: {
  protocols: readonly string[];
  ciphers: string;
  commands: SslCommands;
}): SecureContextOptions {
  const suites = commands.ciphersuites ?? '';
  const listed = commands.ciphers ?? (ciphers === 'DEFAULT' ? '' : ciphers);
  // Suites alone would be taken for "TLS 1.3 only".
  const wanted = suites === '' ? listed : `${suites}:${listed === '' ? 'DEFAULT' : listed}`;
  return {
    ...(wanted === '' ? null : { ciphers: wanted }),
    ...(commands.groups === undefined ? null : { ecdhCurve: commands.groups }),
    ...(commands.signatureAlgorithms === undefined ? null : { sigalgs: commands.signatureAlgorithms }),
    ...(commands.dhparam === undefined ? null : { dhparam: commands.dhparam }),
    ...protocolRange(commands.protocols ?? protocols),
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
