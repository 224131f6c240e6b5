/**
 * Which staple goes with a handshake. Node asks for it before OpenSSL has chosen between a server's certificates, so with
 * several of them the choice is made here, by what the client's hello offers.
 */
import { X509Certificate } from 'node:crypto';
import type { SslServerConfig } from '../config/model.ts';
import { FileStapler, ResponderStapler } from '../net/ocsp/stapler.ts';
import type { OcspLog, Stapler } from '../net/ocsp/stapler.ts';
import { helloOffers } from '../net/client-hello.ts';
import type { Credentials } from '../net/tls-context.ts';
import type { ServerTls } from '../net/tls-server.ts';

/** TLS 1.3: there the type of certificate follows from the signatures that a client can check. */
const TLS_1_3 = 0x0304;

/** Schemes of signatures by type of key; elliptic curves each have their own (RFC 8446 section 4.2.3). */
const SCHEMES: Readonly<Record<string, readonly number[]>> = {
  prime256v1: [0x0403],
  secp384r1: [0x0503],
  secp521r1: [0x0603],
  ed25519: [0x0807],
  ed448: [0x0808],
  rsa: [0x0804, 0x0805, 0x0806],
  'rsa-pss': [0x0809, 0x080a, 0x080b],
};

/** Chooses by the client's hello. */
export interface HelloChoice {
  of(hello: Buffer): ServerTls;
}

/**
 * Puts staples to the contexts of a server.
 * @param make a context for some of the server's pairs of certificate and key
 */
export function withStaples(
  ssl: SslServerConfig,
  make: (pairs?: readonly Credentials[]) => ServerTls,
  log: OcspLog,
): ServerTls | HelloChoice {
  const { stapling, certificates } = ssl;
  const all = make();
  if (stapling === undefined) return all;
  const { file, trusted } = stapling;
  const staplers = certificates.map(({ certificate }, i): Stapler | null => {
    if (file !== null) return new FileStapler(file);
    const source = stapling.certificates[i] ?? null;
    return source === null ? null : new ResponderStapler({ certificate, trusted, ...source }, log);
  });
  if (certificates.length === 1) return staplers[0] === null ? all : { ...all, stapler: staplers[0]! };
  const choices = certificates.map((pair, i) => {
    const stapler = staplers[i] ?? null;
    const tls = make([pair]);
    return { schemes: schemesOf(pair.certificate), tls: stapler === null ? tls : { ...tls, stapler } };
  });
  // Keys of elliptic curves are what OpenSSL and clients prefer.
  const sorted = choices.toSorted((a, b) => Number(isRsa(a.schemes)) - Number(isRsa(b.schemes)));
  return {
    of: (hello) => {
      const { versions, signatures } = helloOffers(hello);
      if (!versions.includes(TLS_1_3) || !ssl.protocols.includes('TLSv1.3')) return all;
      return sorted.find(({ schemes }) => schemes.some((scheme) => signatures.includes(scheme)))?.tls ?? all;
    },
  };
}

function schemesOf(pem: string): readonly number[] {
  const { asymmetricKeyType = '', asymmetricKeyDetails } = new X509Certificate(pem).publicKey;
  return SCHEMES[asymmetricKeyDetails?.namedCurve ?? asymmetricKeyType] ?? [];
}

function isRsa(schemes: readonly number[]): boolean {
  return schemes === SCHEMES['rsa'] || schemes === SCHEMES['rsa-pss'];
}
