/** Whether a password is the one that a file stores, in any of the forms that nginx and crypt(3) know. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { createRequire } from 'node:module';
import type Bcrypt from 'bcryptjs';
import { desCrypt } from './des-crypt.ts';
import { md5Crypt } from './md5-crypt.ts';
import { SHA256, SHA512, shaCrypt } from './sha-crypt.ts';

export class UnknownMethod extends Error {}

/** Cost, 22 characters of salt, 31 of result. */
const BCRYPT = /^\$2[aby]\$(?:0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}$/;

const utf8 = new TextDecoder();

/** Loaded with the first password of that form. */
const bcrypt = (): typeof Bcrypt => createRequire(import.meta.url)('bcryptjs') as typeof Bcrypt;

/**
 * @param password as sent, one character a byte
 * @param stored as it stands in the file
 * @throws {UnknownMethod} for a `$id$` that is not known
 */
export function verifyPassword(password: string, stored: string): boolean {
  const bytes = Buffer.from(password, 'latin1');
  if (/^\$2[aby]\$/.test(stored)) {
    // PHP and Apache write $2y$ for what others call $2b$.
    return BCRYPT.test(stored) && bcrypt().compareSync(utf8.decode(bytes), stored.replace(/^\$2y/, '$2b'));
  }
  const made = encrypt(bytes, stored);
  return made !== null && equal(made, stored);
}

/** The password in the form of `stored`, with its salt. */
function encrypt(password: Buffer, stored: string): string | null {
  if (stored.startsWith('{PLAIN}')) return `{PLAIN}${password.latin1Slice()}`;
  if (stored.startsWith('{SHA}')) return `{SHA}${sha1(password).toString('base64')}`;
  if (stored.startsWith('{SSHA}')) {
    const salt = Buffer.from(stored.slice(6), 'base64').subarray(20);
    return `{SSHA}${Buffer.concat([sha1(Buffer.concat([password, salt])), salt]).toString('base64')}`;
  }
  if (stored.startsWith('$apr1$')) return md5Crypt(password, '$apr1$', stored.slice(6));
  if (stored.startsWith('$1$')) return md5Crypt(password, '$1$', stored.slice(3));
  if (stored.startsWith('$5$')) return shaCrypt(SHA256, password, stored.slice(3));
  if (stored.startsWith('$6$')) return shaCrypt(SHA512, password, stored.slice(3));
  if (stored.startsWith('$')) throw new UnknownMethod(`password method "${/^\$[^$]*\$?/.exec(stored)![0]}"`);
  return desCrypt(password, stored);
}

function sha1(bytes: Buffer): Buffer {
  return createHash('sha1').update(bytes).digest();
}

function equal(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a, 'latin1'), Buffer.from(b, 'latin1'));
}

/** Whether checking takes rounds of hashing, milliseconds and more: not to be done where requests are served. */
export function isSlow(stored: string): boolean {
  return !/^\{(?:PLAIN|SHA|SSHA)\}/.test(stored);
}
