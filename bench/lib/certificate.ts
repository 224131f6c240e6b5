/** A self-made certificate, the same for all proxies. */
import { spawnSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';

/** Makes an ECDSA P-256 certificate for localhost with the openssl program; undefined when that is not installed. */
export function makeCertificate(directory: string): { certificate: string; key: string } | undefined {
  const certificate = join(directory, 'certificate.pem');
  const key = join(directory, 'key.pem');
  const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '7'];
  args.push('-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1');
  args.push('-keyout', key, '-out', certificate);
  const { status } = spawnSync('openssl', args, { stdio: 'ignore' });
  if (status !== 0) return undefined;
  chmodSync(key, 0o600);
  return { certificate, key };
}
