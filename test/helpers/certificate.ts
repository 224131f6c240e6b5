/** Certificates made for a test, by openssl. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/** Keys and certificates as files of a directory: `NAME.key`, `NAME.crt`. */
export class CertificateFiles {
  readonly dir: string;
  readonly #openssl: string;

  /** @param openssl path of the program */
  constructor(openssl: string, dir: string) {
    this.#openssl = openssl;
    this.dir = dir;
  }

  /** Anything else that openssl does, in the directory. */
  run(...args: string[]): void {
    execFileSync(this.#openssl, args, { cwd: this.dir, stdio: 'pipe' });
  }

  /** One of its own authority, which may sign others. @param extensions like `subjectAltName=DNS:a.test` */
  selfSigned(file: string, name: string = file, ...extensions: string[]): void {
    const added = extensions.flatMap((extension) => ['-addext', extension]);
    const files = ['-keyout', `${file}.key`, '-out', `${file}.crt`];
    this.run('req', '-x509', ...NEW_KEY, ...files, '-days', '2', '-subj', `/CN=${name}`, ...added);
  }

  /** One that `by` has signed. */
  issue(file: string, name: string, by: string, extensions = `subjectAltName=DNS:${name}`): void {
    this.run('req', ...NEW_KEY, '-keyout', `${file}.key`, '-out', `${file}.csr`, '-subj', `/CN=${name}`);
    writeFileSync(join(this.dir, `${file}.ext`), `${extensions}\n`);
    const signer = ['-CA', `${by}.crt`, '-CAkey', `${by}.key`, '-CAcreateserial', '-days', '2'];
    this.run('x509', '-req', '-in', `${file}.csr`, ...signer, '-out', `${file}.crt`, '-extfile', `${file}.ext`);
  }

  read(file: string): Buffer {
    return readFileSync(join(this.dir, file));
  }
}
