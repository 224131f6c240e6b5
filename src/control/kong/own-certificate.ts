/**
 * The certificate that stands in where addresses with `ssl` were given none, as Kong has one: made at the first start and kept in
 * the data directory, so that clients who were told to trust it may go on.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CertificatePair } from '../../config/kong/settings.ts';
import { makeSelfSigned } from '../../net/self-signed.ts';

const fileOf = (dataDir: string): string => join(dataDir, 'own-certificate.pem');

/** The one that is kept, or a new one. Writes nothing. */
export function ownCertificate(dataDir: string, now: number): CertificatePair {
  try {
    const text = readFileSync(fileOf(dataDir), 'latin1');
    const [cert] = /-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n/s.exec(text) ?? [];
    const [key] = /-----BEGIN PRIVATE KEY-----.*?-----END PRIVATE KEY-----\n/s.exec(text) ?? [];
    if (cert !== undefined && key !== undefined) return { cert, key };
  } catch {
    // The first start, or a directory that is not to be read: it is another one at each start then.
  }
  return makeSelfSigned('localhost', now);
}

/** Keeps it, if it is not there yet; where that cannot be, clients see another one after a restart. */
export function keepOwnCertificate(dataDir: string, { cert, key }: CertificatePair): void {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    writeFileSync(fileOf(dataDir), cert + key, { flag: 'wx', mode: 0o600 });
  } catch {
    // It is there, or cannot be.
  }
}
