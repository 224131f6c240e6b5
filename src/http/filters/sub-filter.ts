/**
 * `sub_filter`: replaces texts in a body that streams past (ngx_http_sub_filter_module). At most the length of the longest
 * text is held back, and only what may be the beginning of one.
 */
import { Buffer } from 'node:buffer';
import type { SubFilterConfig } from '../../config/model-content.ts';
import type { HttpRequest } from '../request.ts';
import { SENT } from '../request.ts';
import type { VariableTable } from '../variables/table.ts';
import type { Value } from '../variables/value.ts';
import { changesBody, contentTypes } from './body-change.ts';
import { ChainedFilter, prependFilter } from './chain.ts';
import type { HeadHook } from './headers.ts';

interface Pair {
  search: Value;
  replacement: Value;
}

const SPECIAL = /[\\^$.*+?()[\]{}|/-]/;

/** The text in any case, of ASCII letters only. */
function anyCase(text: string): string {
  let out = '';
  for (const c of text) {
    if (/[a-zA-Z]/.test(c)) out += `[${c.toLowerCase()}${c.toUpperCase()}]`;
    else out += SPECIAL.test(c) ? `\\${c}` : c;
  }
  return out;
}

function asciiLower(text: string): string {
  return text.replace(/[A-Z]+/g, (upper) => upper.toLowerCase());
}

/** Texts that are looked for at once: at the first place where any of them stands, the first of those that do. */
export class Searcher {
  readonly #texts: (string | null)[];
  #regex: RegExp | null = null;
  #longest = 0;

  /** @param texts byte strings; empty ones are never found */
  constructor(texts: readonly string[]) {
    this.#texts = texts.map((text) => (text === '' ? null : asciiLower(text)));
    this.#compile();
  }

  #compile(): void {
    const present = this.#texts.filter((text) => text !== null);
    this.#longest = Math.max(0, ...present.map((text) => text.length));
    this.#regex = present.length === 0 ? null : new RegExp(this.#texts.flatMap(group).join('|'), 'g');
  }

  /** Nothing is looked for any more. */
  get done(): boolean {
    return this.#regex === null;
  }

  /** The text of this number was found often enough. */
  drop(index: number): void {
    this.#texts[index] = null;
    this.#compile();
  }

  /**
   * Finds the next text.
   * @param whole nothing follows `subject`; else a text is only taken where no other could begin that is cut off
   * @returns null: none
   */
  find(subject: string, from: number, whole: boolean): { start: number; end: number; index: number } | null {
    const regex = this.#regex;
    if (regex === null) return null;
    regex.lastIndex = from;
    const match = regex.exec(subject);
    if (match === null) return null;
    if (!whole && match.index + this.#longest > subject.length && this.cut(subject, from) <= match.index) return null;
    const index = Number(
      Object.entries(match.groups!)
        .find(([, text]) => text !== undefined)![0]
        .slice(1),
    );
    return { start: match.index, end: regex.lastIndex, index };
  }

  /** From where on `subject` may be the beginning of a text: its length if nowhere. */
  cut(subject: string, from: number): number {
    const tail = Math.max(from, subject.length - this.#longest + 1);
    for (let i = tail; i < subject.length; i++) {
      const rest = asciiLower(subject.slice(i));
      if (this.#texts.some((text) => text !== null && text.length > rest.length && text.startsWith(rest))) return i;
    }
    return subject.length;
  }
}

function group(text: string | null, i: number): string[] {
  return text === null ? [] : [`(?<t${i}>${anyCase(text)})`];
}

class SubFilter extends ChainedFilter {
  readonly #searcher: Searcher;
  readonly #pairs: readonly Pair[];
  readonly #once: boolean;
  readonly #replacements: (string | undefined)[] = [];
  /** The beginning of what may be a text. */
  #held = '';

  constructor(pairs: readonly Pair[], once: boolean, r: HttpRequest) {
    super();
    this.#pairs = pairs;
    this.#once = once;
    this.#searcher = new Searcher(pairs.map((pair) => pair.search.get(r)));
  }

  override sendHead(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): number {
    if (r.headerOnly || buf === null || end === start) return this.nextHead(r, buf, start, end, last);
    const out = this.#replace(r, buf, start, end, last);
    return this.nextHead(r, out, 0, out === null ? 0 : out.length, last);
  }

  override sendBody(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): number {
    if (r.headerOnly || (this.#searcher.done && this.#held === '')) return this.nextBody(r, buf, start, end, last);
    const out = this.#replace(r, buf, start, end, last);
    if (out === null && !last) return SENT;
    return this.nextBody(r, out, 0, out === null ? 0 : out.length, last);
  }

  #replace(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): Buffer | null {
    const searcher = this.#searcher;
    const subject = this.#held + (buf === null ? '' : buf.latin1Slice(start, end));
    let out = '';
    let at = 0;
    for (;;) {
      const found = searcher.find(subject, at, last);
      if (found === null) break;
      out += subject.slice(at, found.start) + this.#replacement(r, found.index);
      at = found.end;
      if (this.#once) searcher.drop(found.index);
    }
    const cut = last || searcher.done ? subject.length : searcher.cut(subject, at);
    out += subject.slice(at, cut);
    this.#held = subject.slice(cut);
    return out === '' ? null : Buffer.from(out, 'latin1');
  }

  /** Evaluated when it is first used. */
  #replacement(r: HttpRequest, index: number): string {
    return (this.#replacements[index] ??= this.#pairs[index]!.replacement.get(r));
  }

  override close(): void {
    this.#held = '';
    super.close();
  }
}

/** Null where nothing is replaced. */
export function compileSubFilter(config: SubFilterConfig | undefined, table: VariableTable): HeadHook | null {
  if (config === undefined) return null;
  const types = contentTypes(config.types);
  const pairs = config.pairs.map(({ search, replacement }) => ({
    search: table.compile(search),
    replacement: table.compile(replacement),
  }));
  return (r) => {
    if (r.contentLength === 0 || !types(r)) return;
    if (r.parent === null) changesBody(r, config.lastModified);
    prependFilter(r, new SubFilter(pairs, config.once, r));
  };
}
