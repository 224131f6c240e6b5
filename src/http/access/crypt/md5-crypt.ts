/** Passwords by a thousand rounds of MD5: Poul-Henning Kamp's `$1$` of crypt(3), and Apache's `$apr1$`. */
import { createHash } from 'node:crypto';
import { encodeTriples, to64 } from './base64.ts';

const ROUNDS = 1000;

/**
 * @param magic `$1$` or `$apr1$`
 * @param setting what follows it: a salt of up to eight characters, and maybe an old result behind `$`
 * @returns the whole text that stands in password files
 */
export function md5Crypt(password: Buffer, magic: string, setting: string): string {
  const salt = /^[^$]{0,8}/.exec(setting)![0];
  const saltBytes = Buffer.from(salt, 'latin1');
  const md5 = (...parts: (Buffer | string)[]): Buffer => {
    const hash = createHash('md5');
    for (const part of parts) hash.update(part);
    return hash.digest();
  };

  const inner = md5(password, saltBytes, password);
  const first: Buffer[] = [password, Buffer.from(magic, 'latin1'), saltBytes];
  for (let left = password.length; left > 0; left -= 16) first.push(inner.subarray(0, Math.min(16, left)));
  for (let bits = password.length; bits > 0; bits >>= 1) {
    first.push((bits & 1) === 1 ? Buffer.alloc(1) : password.subarray(0, 1));
  }
  let digest = md5(...first);
  for (let i = 0; i < ROUNDS; i++) {
    const odd = (i & 1) === 1;
    const parts = [odd ? password : digest];
    if (i % 3 !== 0) parts.push(saltBytes);
    if (i % 7 !== 0) parts.push(password);
    parts.push(odd ? digest : password);
    digest = md5(...parts);
  }
  const text = encodeTriples(digest, [
    [0, 6, 12],
    [1, 7, 13],
    [2, 8, 14],
    [3, 9, 15],
    [4, 10, 5],
  ]);
  return `${magic}${salt}$${text}${to64(digest[11]!, 2)}`;
}
