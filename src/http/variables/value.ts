/**
 * Values with variables, compiled once when a configuration is loaded: evaluating one costs no parsing and no look-up
 * of names. A variable that is not found counts as the empty text.
 */
import type { ValuePart } from '../../config/value.ts';
import type { HttpRequest } from '../request.ts';

/** What a variable is for a request: its text, or null when it is not found (`-` in logs). */
export type Getter = (r: HttpRequest) => string | null;

export interface Value {
  /** The text, when it is the same for every request. */
  readonly constant: string | null;
  get(r: HttpRequest): string;
}

class Constant implements Value {
  readonly constant: string;

  constructor(text: string) {
    this.constant = text;
  }

  get(): string {
    return this.constant;
  }
}

class One implements Value {
  readonly constant = null;
  readonly #getter: Getter;

  constructor(getter: Getter) {
    this.#getter = getter;
  }

  get(r: HttpRequest): string {
    return this.#getter(r) ?? '';
  }
}

/** `text $variable text`. */
class Around implements Value {
  readonly constant = null;
  readonly #before: string;
  readonly #getter: Getter;
  readonly #after: string;

  constructor(before: string, getter: Getter, after: string) {
    this.#before = before;
    this.#getter = getter;
    this.#after = after;
  }

  get(r: HttpRequest): string {
    return this.#before + (this.#getter(r) ?? '') + this.#after;
  }
}

/** Any number of variables; `texts` has one entry more than `getters`. */
class Many implements Value {
  readonly constant = null;
  readonly #texts: string[];
  readonly #getters: Getter[];

  constructor(texts: string[], getters: Getter[]) {
    this.#texts = texts;
    this.#getters = getters;
  }

  get(r: HttpRequest): string {
    const getters = this.#getters;
    const texts = this.#texts;
    let out = texts[0]!;
    for (let i = 0; i < getters.length; i++) out += (getters[i]!(r) ?? '') + texts[i + 1]!;
    return out;
  }
}

/** Texts and what stands between them: `texts[0] getters[0] texts[1] …`. */
export interface Interleaved {
  texts: string[];
  getters: Getter[];
}

/** Sorts parts into texts and getters. `lookup` finds a variable by its lower-case name. */
export function interleave(parts: readonly ValuePart[], lookup: (name: string) => Getter): Interleaved {
  const texts = [''];
  const getters: Getter[] = [];
  for (const part of parts) {
    if (part.kind === 'text') {
      texts[texts.length - 1] += part.text;
      continue;
    }
    getters.push(part.kind === 'variable' ? lookup(part.name) : captureGetter(part.index));
    texts.push('');
  }
  return { texts, getters };
}

/** `$1` to `$9`; not found where the last match had no such group. */
export function captureGetter(index: number): Getter {
  return (r) => (r.captures === null ? null : (r.captures[index] ?? null));
}

/** A value that is the same for every request. */
export function constantValue(text: string): Value {
  return new Constant(text);
}

/** Compiles parts; picks the cheapest form. */
export function compileParts(parts: readonly ValuePart[], lookup: (name: string) => Getter): Value {
  const { texts, getters } = interleave(parts, lookup);
  if (getters.length === 0) return new Constant(texts[0]!);
  if (getters.length > 1) return new Many(texts, getters);
  const getter = getters[0]!;
  return texts[0] === '' && texts[1] === '' ? new One(getter) : new Around(texts[0]!, getter, texts[1]!);
}
