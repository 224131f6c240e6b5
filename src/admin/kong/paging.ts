/** `size`, `offset` and `tags` of lists. */
import { invalidOffset, invalidOption, invalidSize } from '../../config/kong/errors.ts';
import { tagText } from '../../config/kong/fields.ts';
import type { PageQuery } from '../../store/store.ts';
import type { Query } from './http.ts';

const DEFAULT_SIZE = 100;
const MAX_SIZE = 1000;
const MAX_TAGS = 5;

/** @throws {KongError} code 9 */
export function readSize(query: Query): number {
  const text = query.get('size');
  if (text === undefined) return DEFAULT_SIZE;
  const size = text.trim() === '' ? Number.NaN : Number(text);
  if (Number.isNaN(size)) throw invalidSize('size must be a number');
  if (!Number.isInteger(size) || size < 1 || size > MAX_SIZE) {
    throw invalidSize(`size must be an integer between 1 and ${MAX_SIZE}`);
  }
  return size;
}

/** Of lists that are paged in memory: what is too large is taken for the most. */
export function readLooseSize(query: Query): number {
  const size = Number(query.get('size') ?? DEFAULT_SIZE);
  return size > MAX_SIZE ? MAX_SIZE : readSize(query);
}

/** Opaque to clients. */
export function writeOffset(key: string): string {
  return Buffer.from(JSON.stringify([key])).toString('base64url');
}

/** @throws {KongError} code 7 */
export function readOffset(query: Query): string | null {
  const text = query.get('offset');
  if (text === undefined) return null;
  if (!/^[\w+/-]+={0,2}$/.test(text)) throw invalidOffset(text);
  try {
    const [key] = JSON.parse(Buffer.from(text, 'base64').toString('utf8')) as unknown[];
    if (typeof key === 'string') return key;
  } catch {
    // It was none of ours.
  }
  throw invalidOffset(text);
}

/** Positions in a list that is paged in memory. @throws {KongError} code 7 */
export function readPosition(query: Query): number {
  const text = query.get('offset') ?? '0';
  if (!/^\d{1,9}$/.test(text)) throw invalidOffset(text, 'not a number');
  return Number(text);
}

/**
 * `a,b`: with all of them; `a/b`: with any.
 *
 * @throws {KongError} code 11
 */
export function readTags(query: Query): PageQuery['tags'] {
  const text = query.get('tags');
  if (text === undefined) return undefined;
  if (text === '') throw invalidOption('tags', 'cannot be null');
  const match = text.includes('/') ? 'any' : 'all';
  const names = text.split(match === 'any' ? '/' : ',');
  if (names.some((name) => name === '' || tagText(name) !== null)) throw invalidOption('tags', 'invalid filter syntax');
  if (names.length > MAX_TAGS) throw invalidOption('tags', `cannot query more than ${MAX_TAGS} tags`);
  return { match, names };
}
