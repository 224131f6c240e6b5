/** A certificate authority with an OCSP responder, by openssl: `ca.crt` and what it issues stand in a directory. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const CONF = `[ca]
default_ca = own
[own]
database = index.txt
serial = serial
new_certs_dir = .
default_md = sha256
default_days = 10
policy = any
copy_extensions = copy
unique_subject = no
[any]
commonName = supplied
[req]
distinguished_name = name
[name]
`;

export class OcspAuthority {
  readonly dir: string;
  readonly #responder: string;

  /** @param responder URL that certificates name */
  constructor(dir: string, responder: string) {
    this.dir = dir;
    this.#responder = responder;
    writeFileSync(join(dir, 'ca.cnf'), CONF);
    writeFileSync(join(dir, 'index.txt'), '');
    writeFileSync(join(dir, 'serial'), '1000');
    this.#openssl(
      'req',
      '-x509',
      ...this.#key('ca'),
      '-subj',
      '/CN=ca',
      '-addext',
      'basicConstraints=critical,CA:TRUE',
      '-out',
      'ca.crt',
    );
  }

  #openssl(...args: string[]): void {
    execFileSync('openssl', args, { cwd: this.dir, stdio: ['ignore', 'ignore', 'pipe'] });
  }

  #key(name: string, rsa = false): string[] {
    return [
      '-newkey',
      ...(rsa ? ['rsa:2048'] : ['ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1']),
      '-nodes',
      '-config',
      'ca.cnf',
      '-keyout',
      `${name}.key`,
    ];
  }

  /** Makes `NAME.crt` and `NAME.key`; a name that begins with `rsa` gets such a key. */
  issue(name: string, ...extensions: string[]): void {
    const more = [`authorityInfoAccess=OCSP;URI:${this.#responder}`, ...extensions].flatMap((text) => [
      '-addext',
      text,
    ]);
    this.#openssl(
      'req',
      '-new',
      ...this.#key(name, name.startsWith('rsa')),
      '-subj',
      `/CN=${name}`,
      ...more,
      '-out',
      `${name}.csr`,
    );
    this.#openssl(
      'ca',
      '-batch',
      '-notext',
      '-config',
      'ca.cnf',
      '-cert',
      'ca.crt',
      '-keyfile',
      'ca.key',
      '-in',
      `${name}.csr`,
      '-out',
      `${name}.crt`,
    );
  }

  revoke(name: string): void {
    this.#openssl('ca', '-config', 'ca.cnf', '-cert', 'ca.crt', '-keyfile', 'ca.key', '-revoke', `${name}.crt`);
  }

  /** What a responder answers about a certificate. @param signer whose key signs it */
  answer(name: string, signer = 'ca'): Buffer {
    this.#openssl('ocsp', '-issuer', 'ca.crt', '-cert', `${name}.crt`, '-reqout', 'req.der');
    this.#openssl(
      'ocsp',
      '-index',
      'index.txt',
      '-CA',
      'ca.crt',
      '-rsigner',
      `${signer}.crt`,
      '-rkey',
      `${signer}.key`,
      '-reqin',
      'req.der',
      '-respout',
      'resp.der',
      '-ndays',
      '1',
    );
    return readFileSync(join(this.dir, 'resp.der'));
  }
}
