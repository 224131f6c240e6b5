/** Reading certificates, keys and password files when a configuration is loaded. */
import { X509Certificate, createPrivateKey } from 'node:crypto';
import { encodeText, decodeText } from '../bytes.ts';
import { ConfigError, at } from '../errors.ts';
import type { CertificateCacheConfig, Place } from '../model.ts';
import { parseTime } from '../units.ts';
import { hasVariables } from '../value.ts';
import { errnoText } from './cycle.ts';
import type { Cycle } from './cycle.ts';
import { parameterList } from './directive.ts';
import type { Conf } from './parser.ts';

export const TLS_PROTOCOLS = ['SSLv2', 'SSLv3', 'TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'];
export const DEFAULT_TLS_PROTOCOLS = ['TLSv1.2', 'TLSv1.3'];

/** A PEM file and what to call it. */
export interface Pem {
  /** Full path, or `data:…` as written. */
  file: string;
  /** Contents; empty where the name holds variables. */
  text: string;
}

/** @throws {ConfigError} `cannot load <what> "F": <reason>` */
function readPem(cycle: Cycle, name: string, what: string, place: Place): Pem {
  if (hasVariables(name)) return { file: name, text: '' };
  if (name.startsWith('data:')) return { file: name, text: name.slice('data:'.length) };
  if (name.startsWith('engine:') || name.startsWith('store:')) {
    throw new ConfigError(`cannot load ${what} "${name}": engines and stores are not supported`, place, at(place));
  }
  const file = cycle.fullName(name, 'conf');
  try {
    return { file: decodeText(file), text: cycle.readObject(file) };
  } catch (error) {
    throw new ConfigError(
      `cannot load ${what} "${file}": BIO_new_file() failed (${errnoText(error)})`,
      place,
      at(place),
    );
  }
}

/** @throws {ConfigError} if it cannot be read or holds no certificate */
export function readCertificate(cycle: Cycle, name: string, place: Place): Pem {
  const pem = readPem(cycle, name, 'certificate', place);
  if (hasVariables(name)) return pem;
  try {
    new X509Certificate(Buffer.from(pem.text, 'latin1'));
  } catch (error) {
    throw new ConfigError(`cannot load certificate "${pem.file}": ${reason(error)}`, place, at(place));
  }
  return pem;
}

/** @throws {ConfigError} if it cannot be read, or no password opens it */
export function readKey(cycle: Cycle, name: string, passphrases: readonly string[], place: Place): Pem {
  const pem = readPem(cycle, name, 'certificate key', place);
  if (hasVariables(name)) return pem;
  let failure: unknown;
  for (const passphrase of passphrases.length === 0 ? [undefined] : passphrases) {
    try {
      createPrivateKey({
        key: pem.text,
        // Without this OpenSSL would ask at the terminal.
        passphrase: passphrase === undefined ? '' : Buffer.from(encodeText(passphrase), 'latin1'),
      });
      return pem;
    } catch (error) {
      failure = error;
    }
  }
  throw new ConfigError(`cannot load certificate key "${pem.file}": ${reason(failure)}`, place, at(place));
}

/** The key must belong to the certificate. @throws {ConfigError} */
export function checkPair(certificate: Pem, key: Pem, passphrases: readonly string[], place: Place): void {
  if (hasVariables(certificate.file) || hasVariables(key.file)) return;
  for (const passphrase of passphrases.length === 0 ? [''] : passphrases) {
    try {
      const secret = createPrivateKey({ key: key.text, passphrase });
      if (new X509Certificate(Buffer.from(certificate.text, 'latin1')).checkPrivateKey(secret)) return;
    } catch {
      // Another password, or the mismatch below.
    }
  }
  const text = `SSL_CTX_use_PrivateKey("${key.file}") failed (SSL: key values mismatch)`;
  throw new ConfigError(text, place, at(place));
}

/**
 * A file that every load of a configuration reads, as nginx does: ticket keys, DH parameters, answers for stapling.
 *
 * @param failure nginx's words when it cannot be opened, up to the reason
 * @throws {ConfigError}
 */
export function readPlain(
  cycle: Cycle,
  name: string | undefined,
  failure: (file: string) => string,
  place: Place,
): string | null {
  return readBy((file) => cycle.readFile(file), cycle, name, failure, place);
}

/** Authorities and CRLs, which a configuration takes over from the one before: see `Cycle.readObject`. Otherwise as `readPlain`. */
export function readShared(
  cycle: Cycle,
  name: string | undefined,
  failure: (file: string) => string,
  place: Place,
): string | null {
  return readBy((file) => cycle.readObject(file), cycle, name, failure, place);
}

function readBy(
  read: (file: string) => string,
  cycle: Cycle,
  name: string | undefined,
  failure: (file: string) => string,
  place: Place,
): string | null {
  if (name === undefined || name === '') return null;
  const file = cycle.fullName(name, 'conf');
  try {
    return read(file);
  } catch (error) {
    throw new ConfigError(`${failure(file)} failed (${errnoText(error)})`, place, at(place));
  }
}

export const loadCertificates = (file: string): string => `cannot load certificate "${file}": BIO_new_file()`;
export const loadCrl = (file: string): string => `cannot load CRL "${file}": BIO_new_file()`;
export const loadParameters = (file: string): string => `BIO_new_file("${file}")`;
export const openBio = (file: string): string => `BIO_new_file("${file}")`;
export const openFile = (file: string): string => `open() "${file}"`;

/** Passwords of keys, one a line. @throws {ConfigError} if the file cannot be opened */
export function readPasswords(cf: Conf, name: string): string[] {
  const file = cf.cycle.fullName(name, 'conf');
  let text: string;
  try {
    text = cf.cycle.readFile(file);
  } catch (error) {
    throw cf.error(`open() "${file}" failed (${errnoText(error)})`);
  }
  return text
    .split('\n')
    .map((line) => line.replace(/\r$/, ''))
    .filter((line) => line !== '');
}

/** OpenSSL's reason without the number that precedes it. */
function reason(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/^error:[0-9A-Fa-f]+:/, '');
}

/**
 * `ssl_certificate_cache off | max=N [inactive=TIME] [valid=TIME]`.
 * @returns null: `off`
 */
export function certificateCache(cf: Conf): CertificateCacheConfig | null {
  const name = cf.args[0] as string;
  parameterList(
    cf,
    { 'max=': 'number', 'inactive=': 'time', 'valid=': 'time', off: 'word' },
    (arg) => `invalid parameter "${arg}"`,
  );
  const given = new Map(cf.args.slice(1).map((arg) => arg.split('=', 2) as [string, string]));
  if (given.has('off')) return null;
  const max = given.get('max');
  if (max === undefined) throw cf.error(`"${name}" must have the "max" parameter`);
  if (Number(max) === 0) throw cf.error(`invalid parameter "max=${max}"`);
  const seconds = (key: string, usual: number): number => {
    const text = given.get(key);
    return (text === undefined ? usual : parseTime(text, 's')!) * 1000;
  };
  return { max: Number(max), inactiveMs: seconds('inactive', 10), validMs: seconds('valid', 60) };
}
