/** Passwords by rounds of SHA-256 (`$5$`) and SHA-512 (`$6$`): Ulrich Drepper, "Unix crypt using SHA-256 and SHA-512". */
import { hash } from 'node:crypto';
import { encodeTriples, to64 } from './base64.ts';

const DEFAULT_ROUNDS = 5000;
const MIN_ROUNDS = 1000;
const MAX_ROUNDS = 999_999_999;

interface Kind {
  readonly magic: string;
  readonly algorithm: string;
  readonly size: number;
  encode(digest: Buffer): string;
}

type Triple = readonly [number, number, number];

/** Each triple follows from the one before it: one step on, in another order. */
function triples(first: Triple, count: number, next: (triple: Triple) => Triple): Triple[] {
  const all = [first];
  while (all.length < count) all.push(next(all[all.length - 1]!));
  return all;
}

const PLACES_256 = triples([0, 10, 20], 10, ([a, b, c]) => [c + 1, a + 1, b + 1]);
const PLACES_512 = triples([0, 21, 42], 21, ([a, b, c]) => [b + 1, c + 1, a + 1]);

export const SHA256: Kind = {
  magic: '$5$',
  algorithm: 'sha256',
  size: 32,
  encode: (d) => encodeTriples(d, PLACES_256) + to64((d[31]! << 8) | d[30]!, 3),
};

export const SHA512: Kind = {
  magic: '$6$',
  algorithm: 'sha512',
  size: 64,
  encode: (d) => encodeTriples(d, PLACES_512) + to64(d[63]!, 2),
};

/**
 * @param setting what follows `$5$` or `$6$`: `rounds=N$` maybe, a salt of up to 16 characters, maybe an old result
 * @returns the whole text that stands in password files
 */
export function shaCrypt(kind: Kind, password: Buffer, setting: string): string {
  const given = /^rounds=([0-9]+)\$/.exec(setting);
  const rounds = given === null ? DEFAULT_ROUNDS : Math.min(MAX_ROUNDS, Math.max(MIN_ROUNDS, Number(given[1])));
  const salt = /^[^$]{0,16}/.exec(setting.slice(given === null ? 0 : given[0].length))![0];
  const saltBytes = Buffer.from(salt, 'latin1');
  const sum = (parts: readonly Buffer[]): Buffer => hash(kind.algorithm, Buffer.concat(parts), 'buffer');
  const { size } = kind;

  const inner = sum([password, saltBytes, password]);
  const first = [password, saltBytes, stretch(inner, password.length, size)];
  for (let bits = password.length; bits > 0; bits >>= 1) first.push((bits & 1) === 1 ? inner : password);
  let digest = sum(first);
  const p = stretch(sum(new Array<Buffer>(password.length).fill(password)), password.length, size);
  const s = stretch(sum(new Array<Buffer>(16 + digest[0]!).fill(saltBytes)), saltBytes.length, size);
  for (let i = 0; i < rounds; i++) {
    const odd = (i & 1) === 1;
    const parts = [odd ? p : digest];
    if (i % 3 !== 0) parts.push(s);
    if (i % 7 !== 0) parts.push(p);
    parts.push(odd ? digest : p);
    digest = sum(parts);
  }
  const shown = given === null ? '' : `rounds=${rounds}$`;
  return `${kind.magic}${shown}${salt}$${kind.encode(digest)}`;
}

/** `length` bytes of a digest that is repeated. */
function stretch(digest: Buffer, length: number, size: number): Buffer {
  const out = Buffer.alloc(length);
  for (let at = 0; at < length; at += size) digest.copy(out, at);
  return out;
}
