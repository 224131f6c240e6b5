/** Which variant of an answer a request gets: a sum over the request fields that `Vary` names (nginx's normal form). */
import type { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import type { HeaderBlock } from '../wire/header-block.ts';

/** Of these the white space and empty elements do not count. */
const LISTS = new Set(['accept-charset', 'accept-encoding', 'accept-language']);

/**
 * @param main the key's sum
 * @param vary value of the answer's `Vary`
 * @param head the request's fields
 */
export function variantOf(main: Buffer, vary: string, head: HeaderBlock): Buffer {
  const sum = createHash('md5').update(main);
  for (const name of vary.toLowerCase().split(/[ ,]+/)) {
    if (name === '') continue;
    const values: string[] = [];
    for (let i = head.find(name); i >= 0; i = head.find(name, i)) {
      const value = head.value(i);
      if (LISTS.has(name)) values.push(...value.split(/[ ,]+/).filter((part) => part !== ''));
      else values.push(value);
    }
    sum.update(`${name}:${values.join(',')}\r\n`, 'latin1');
  }
  return sum.digest();
}

/** What a variant's answer is remembered by. */
export function variantName(variant: Buffer): string {
  return `\0${variant.toString('latin1')}`;
}
