/** Certificates made for a test, by openssl. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface MadeCertificate {
  /** PEM. */
  certificate: string;
  key: string;
}

/** A self-signed one that is no authority, so that strict clients take it for a server's. @param openssl path of the program */
export function makeCertificate(openssl: string, name: string): MadeCertificate {
  const dir = mkdtempSync(join(tmpdir(), 'headrace-cert-'));
  try {
    const request = `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=${name}`;
    const extensions = ['-addext', `subjectAltName=DNS:${name}`, '-addext', 'basicConstraints=critical,CA:FALSE'];
    const files = ['-keyout', 'key', '-out', 'certificate'];
    execFileSync(openssl, [...request.split(' '), ...extensions, ...files], { cwd: dir, stdio: 'pipe' });
    const read = (file: string): string => readFileSync(join(dir, file), 'utf8');
    return { certificate: read('certificate'), key: read('key') };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
