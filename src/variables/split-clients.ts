/** `split_clients`: a variable whose value is chosen by the hash of a text, for shares of traffic that stay the same. */
import type { SplitClientsConfig } from '../config/model-variables.ts';
import type { VariableContext } from './context.ts';
import type { Getter, Value } from './value.ts';

export function compileSplit<C extends VariableContext>(
  config: SplitClientsConfig,
  compile: (text: string) => Value<C>,
): Getter<C> {
  const source = compile(config.source);
  const { parts } = config;
  return (c) => {
    const hash = murmur2(source.get(c));
    for (let i = 0; i < parts.length; i++) {
      const { below, value } = parts[i]!;
      if (below === 0 || hash < below) return value;
    }
    return '';
  };
}

const M = 0x5bd1e995;

/** MurmurHash2 of 32 bits with seed 0 (Austin Appleby), as nginx has it. @param text one character a byte */
export function murmur2(text: string): number {
  let h = text.length;
  let i = 0;
  for (; i + 4 <= text.length; i += 4) {
    let k =
      text.charCodeAt(i) |
      (text.charCodeAt(i + 1) << 8) |
      (text.charCodeAt(i + 2) << 16) |
      (text.charCodeAt(i + 3) << 24);
    k = Math.imul(k, M);
    k = Math.imul(k ^ (k >>> 24), M);
    h = Math.imul(h, M) ^ k;
  }
  const rest = text.length - i;
  if (rest >= 3) h ^= text.charCodeAt(i + 2) << 16;
  if (rest >= 2) h ^= text.charCodeAt(i + 1) << 8;
  if (rest >= 1) h = Math.imul(h ^ text.charCodeAt(i), M);
  h = Math.imul(h ^ (h >>> 13), M);
  return (h ^ (h >>> 15)) >>> 0;
}
