/** Texts of the rewrite module: unlike other values they may escape what groups captured. */
import type { ValuePart } from '../../config/value.ts';
import { parseValue } from '../../config/value.ts';
import type { HttpRequest } from '../request.ts';
import type { Getter } from '../variables/value.ts';
import { captureGetter } from '../../variables/value.ts';
import { escapeArgs } from '../wire/escape.ts';

/**
 * Whether the request's path held `%XX` or `+`. nginx escapes captures only then: what was decoded is encoded again on
 * its way into a query or a redirect.
 */
export function needsEscape(r: HttpRequest): boolean {
  const { buf, targetStart, pathEnd } = r.head;
  for (let i = targetStart; i < pathEnd; i++) {
    const b = buf[i];
    if (b === 0x25 || b === 0x2b) return true;
  }
  return false;
}

interface Piece {
  text: string;
  getter: Getter | null;
  capture: boolean;
}

export class Template {
  readonly #pieces: Piece[];
  readonly #constant: string | null;

  constructor(parts: readonly ValuePart[], lookup: (name: string) => Getter) {
    this.#pieces = parts.map((part) => {
      if (part.kind === 'text') return { text: part.text, getter: null, capture: false };
      if (part.kind === 'variable') return { text: '', getter: lookup(part.name), capture: false };
      return { text: '', getter: captureGetter(part.index), capture: true };
    });
    this.#constant = this.#pieces.every((p) => p.getter === null) ? this.#pieces.map((p) => p.text).join('') : null;
  }

  /** @param escape captures are escaped, if the request's path was (`needsEscape`) */
  render(r: HttpRequest, escape: boolean): string {
    if (this.#constant !== null) return this.#constant;
    let out = '';
    for (const piece of this.#pieces) {
      if (piece.getter === null) {
        out += piece.text;
        continue;
      }
      const value = piece.getter(r);
      if (value === null) continue;
      out += piece.capture && escape && needsEscape(r) ? escapeArgs(value) : value;
    }
    return out;
  }
}

export function template(text: string, lookup: (name: string) => Getter): Template {
  return new Template(parseValue(text), lookup);
}

/** A replacement split at its first literal `?`, which begins the query. */
export function splitReplacement(text: string): { path: ValuePart[]; args: ValuePart[] | null } {
  const parts = parseValue(text);
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i]!;
    if (part.kind !== 'text') continue;
    const question = part.text.indexOf('?');
    if (question < 0) continue;
    const path = [...parts.slice(0, i), { kind: 'text' as const, text: part.text.slice(0, question) }];
    const args = [{ kind: 'text' as const, text: part.text.slice(question + 1) }, ...parts.slice(i + 1)];
    return { path, args };
  }
  return { path: parts, args: null };
}
