/**
 * Values with variables, compiled once when a configuration is loaded: evaluating one costs no parsing and no look-up
 * of names. A variable that is not found counts as the empty text.
 */
import type { ValuePart } from '../config/value.ts';
import type { VariableContext } from './context.ts';

/** What a variable is for a request or session: its text, or null when it is not found (`-` in logs). */
export type Getter<C extends VariableContext> = (c: C) => string | null;

export interface Value<C extends VariableContext> {
  /** The text, when it is always the same. */
  readonly constant: string | null;
  get(c: C): string;
}

class Constant implements Value<VariableContext> {
  readonly constant: string;

  constructor(text: string) {
    this.constant = text;
  }

  get(): string {
    return this.constant;
  }
}

class One<C extends VariableContext> implements Value<C> {
  readonly constant = null;
  readonly #getter: Getter<C>;

  constructor(getter: Getter<C>) {
    this.#getter = getter;
  }

  get(c: C): string {
    return this.#getter(c) ?? '';
  }
}

/** `text $variable text`. */
class Around<C extends VariableContext> implements Value<C> {
  readonly constant = null;
  readonly #before: string;
  readonly #getter: Getter<C>;
  readonly #after: string;

  constructor(before: string, getter: Getter<C>, after: string) {
    this.#before = before;
    this.#getter = getter;
    this.#after = after;
  }

  get(c: C): string {
    return this.#before + (this.#getter(c) ?? '') + this.#after;
  }
}

/** Any number of variables; `texts` has one entry more than `getters`. */
class Many<C extends VariableContext> implements Value<C> {
  readonly constant = null;
  readonly #texts: string[];
  readonly #getters: Getter<C>[];

  constructor(texts: string[], getters: Getter<C>[]) {
    this.#texts = texts;
    this.#getters = getters;
  }

  get(c: C): string {
    const getters = this.#getters;
    const texts = this.#texts;
    let out = texts[0]!;
    for (let i = 0; i < getters.length; i++) out += (getters[i]!(c) ?? '') + texts[i + 1]!;
    return out;
  }
}

/** Texts and what stands between them: `texts[0] getters[0] texts[1] …`. */
export interface Interleaved<C extends VariableContext> {
  texts: string[];
  getters: Getter<C>[];
}

/** Sorts parts into texts and getters. `lookup` finds a variable by its lower-case name. */
export function interleave<C extends VariableContext>(
  parts: readonly ValuePart[],
  lookup: (name: string) => Getter<C>,
): Interleaved<C> {
  const texts = [''];
  const getters: Getter<C>[] = [];
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
export function captureGetter(index: number): Getter<VariableContext> {
  return (c) => (c.captures === null ? null : (c.captures[index] ?? null));
}

/** A value that is always the same. */
export function constantValue(text: string): Value<VariableContext> {
  return new Constant(text);
}

/** Whether one of the values is neither empty nor `0`: what conditions of many directives ask. */
export function holds<C extends VariableContext>(values: readonly Value<C>[], c: C): boolean {
  for (let i = 0; i < values.length; i++) {
    const text = values[i]!.get(c);
    if (text !== '' && text !== '0') return true;
  }
  return false;
}

/** Compiles parts; picks the cheapest form. */
export function compileParts<C extends VariableContext>(
  parts: readonly ValuePart[],
  lookup: (name: string) => Getter<C>,
): Value<C> {
  const { texts, getters } = interleave(parts, lookup);
  if (getters.length === 0) return new Constant(texts[0]!);
  if (getters.length > 1) return new Many(texts, getters);
  const getter = getters[0]!;
  return texts[0] === '' && texts[1] === '' ? new One(getter) : new Around(texts[0]!, getter, texts[1]!);
}
