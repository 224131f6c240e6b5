/** What is asked of certificates while a configuration is read and while it runs. Pure. */
import { Buffer } from 'node:buffer';
import { X509Certificate } from 'node:crypto';

const PEM = /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[^-]*-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g;

/** All certificates of a PEM text; what cannot be read is left out. */
export function certificatesOf(pem: string): X509Certificate[] {
  return [...pem.matchAll(PEM)].flatMap(([text]) => {
    try {
      return [new X509Certificate(Buffer.from(text, 'latin1'))];
    } catch {
      return [];
    }
  });
}

/** The issuer of a certificate among others, by name and signature; null: none of them. */
export function issuerOf(certificate: X509Certificate, among: readonly X509Certificate[]): X509Certificate | null {
  return among.find((other) => certificate.checkIssued(other) && certificate.verify(other.publicKey)) ?? null;
}

/** Where an OCSP responder is, as the certificate says; null: it names none. */
export function responderOf({ infoAccess }: X509Certificate): string | null {
  return /^OCSP - URI:(\S+)$/im.exec(infoAccess ?? '')?.[1] ?? null;
}

/** Responders speak plain HTTP: their answers are signed. */
export function isResponder(url: string): boolean {
  return /^http:\/\/[^/]/i.test(url) && URL.canParse(url);
}
