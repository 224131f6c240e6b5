/**
 * Single items of a PCRE2 pattern: escapes, character classes, quantifiers. Groups: `pcre-translator.ts`.
 */
import { posixClass, propertyClass } from './pcre-classes.ts';

/** What is wrong with a pattern, and at which byte. */
export class PatternFault extends Error {
  readonly offset: number;

  constructor(message: string, offset: number) {
    super(message);
    this.offset = offset;
  }
}

const SPACE_CLASS = '\\t\\n\\v\\f\\r ';
const NOT_SPACE_CLASS = '\\x00-\\x08\\x0e-\\x1f!-\\uffff';
const H_CLASS = '\\t \\xa0';
const NOT_H_CLASS = '\\x00-\\x08\\x0a-\\x1f!-\\x9f\\xa1-\\uffff';
const V_CLASS = '\\n\\v\\f\\r\\x85';
const NOT_V_CLASS = '\\x00-\\x09\\x0e-\\x84\\x86-\\uffff';

/** `\d` and the like, inside of a class. */
const CLASS_ESCAPES: Record<string, string> = {
  d: '\\d',
  D: '\\D',
  w: '\\w',
  W: '\\W',
  s: SPACE_CLASS,
  S: NOT_SPACE_CLASS,
  h: H_CLASS,
  H: NOT_H_CLASS,
  v: V_CLASS,
  V: NOT_V_CLASS,
};

const CONTROL: Record<string, number> = { a: 7, e: 27, f: 12, n: 10, r: 13, t: 9 };

/** One byte as it may stand anywhere in a JavaScript pattern. */
export function literal(code: number): string {
  const ch = String.fromCharCode(code);
  if (/[A-Za-z0-9_]/.test(ch)) return ch;
  if (code < 0x20 || code > 0x7e || ch === '-') return `\\x${code.toString(16).padStart(2, '0')}`;
  return /[\^$\\.*+?()[\]{}|/]/.test(ch) ? `\\${ch}` : ch;
}

export const unsupported = (what: string, offset: number): PatternFault =>
  new PatternFault(`${what} is not supported by JavaScript regular expressions`, offset);

/** An item as JavaScript writes it, and whether a quantifier may follow. */
export interface Item {
  source: string;
  repeatable: boolean;
}

export class AtomReader {
  protected readonly pattern: string;
  protected position = 0;
  protected readonly names: string[] = [];
  protected captures = 0;
  /** All groups, counted ahead: tells a back reference from an octal code. */
  protected readonly totalGroups: number;

  constructor(pattern: string) {
    this.pattern = pattern;
    this.totalGroups = countGroups(pattern);
  }

  protected peek(): string {
    return this.pattern[this.position] ?? '';
  }

  protected quantifier(): string {
    const ch = this.peek();
    if (ch === '*' || ch === '+' || ch === '?') {
      this.position++;
      return ch;
    }
    if (ch !== '{') return '';
    const rest = this.pattern.slice(this.position);
    if (/^\{ *, *[0-9]+ *\}/.test(rest)) throw unsupported('"{,N}", write "{0,N}": it', this.position);
    const match = /^\{([0-9]+)(?:(,)([0-9]*))?\}/.exec(rest);
    if (match === null) return '';
    const low = Number(match[1]);
    const high = match[3] ? Number(match[3]) : null;
    const end = this.position + match[0].length;
    if (low > 65535 || (high ?? 0) > 65535) throw new PatternFault('number too big in {} quantifier', end - 1);
    if (high !== null && high < low) throw new PatternFault('numbers out of order in {} quantifier', end - 1);
    this.position = end;
    return match[0];
  }

  protected knownName(name: string, offset: number): string {
    if (!this.names.includes(name)) throw new PatternFault('reference to non-existent subpattern', offset);
    return name;
  }

  private backReference(number: number): string {
    if (number > this.totalGroups || number === 0) {
      throw new PatternFault('reference to non-existent subpattern', this.position);
    }
    // A following digit must not be read into the number.
    return `(?:\\${number})`;
  }

  protected escape(start: number): Item {
    const ch = this.peek();
    if (ch === '') throw new PatternFault('\\ at end of pattern', start + 1);
    const rest = this.pattern.slice(this.position);
    const yes = (source: string) => ({ source, repeatable: true });
    const no = (source: string) => ({ source, repeatable: false });

    if (ch === 'Q') {
      let end = this.pattern.indexOf('\\E', this.position);
      if (end < 0) end = this.pattern.length;
      const text = this.pattern.slice(this.position + 1, end);
      this.position = Math.min(end + 2, this.pattern.length);
      const units = [...text].map((c) => literal(c.charCodeAt(0)));
      // A quantifier after `\E` belongs to the last character alone.
      const last = units.pop();
      if (last === undefined) return yes('(?:)');
      if (this.quantifierFollows()) return yes(units.length === 0 ? last : this.splitQuoted(units, last));
      return yes(units.join('') + last);
    }

    const simple: Record<string, string> = { A: '^', z: '$', Z: '(?=\\n?$)', b: '\\b', B: '\\B', E: '(?:)' };
    if (ch in simple) {
      this.position++;
      return no(simple[ch] as string);
    }
    if (ch in CLASS_ESCAPES) {
      this.position++;
      const source = CLASS_ESCAPES[ch] as string;
      return yes(/^\\[dDwW]$/.test(source) ? source : `[${source}]`);
    }
    if (ch === 'R') {
      this.position++;
      return yes(`(?:\\r\\n|\\r(?!\\n)|[\\n\\v\\f\\x85])`);
    }
    if (ch === 'N' && !/^N\{(?![0-9]+(?:,[0-9]*)?\})/.test(rest)) {
      this.position++;
      return yes('[^\\n]');
    }
    if (ch === 'C') {
      this.position++;
      return yes('[\\s\\S]');
    }
    if (ch === 'K') throw unsupported('\\K', start);
    if (ch === 'G') throw unsupported('\\G', start);
    if (ch === 'X') throw unsupported('\\X', start);
    if (ch === 'p' || ch === 'P') return yes(`[${this.property()}]`);

    const byName = /^(?:k(?:\{(\w+)\}|<(\w+)>|'(\w+)')|g\{([A-Za-z_]\w*)\})/.exec(rest);
    if (byName !== null) {
      this.position += byName[0].length;
      const name = (byName[1] ?? byName[2] ?? byName[3] ?? byName[4]) as string;
      return yes(`\\k<${this.knownName(name, this.position)}>`);
    }
    const byNumber = /^g(?:\{(-?[0-9]+)\}|(-?[0-9]+))/.exec(rest);
    if (byNumber !== null) {
      this.position += byNumber[0].length;
      const number = Number(byNumber[1] ?? byNumber[2]);
      return yes(this.backReference(number < 0 ? this.captures + 1 + number : number));
    }
    const digits = /^[1-9][0-9]*/.exec(rest);
    if (digits !== null && (Number(digits[0]) < 10 || Number(digits[0]) <= this.totalGroups)) {
      this.position += digits[0].length;
      return yes(this.backReference(Number(digits[0])));
    }
    return yes(literal(this.characterCode(start)));
  }

  private quantifierFollows(): boolean {
    return /^(?:[*+?]|\{[0-9]+(?:,[0-9]*)?\})/.test(this.pattern.slice(this.position));
  }

  /** Gives back the last quoted character to the pattern, so that the quantifier finds it alone. */
  private splitQuoted(units: string[], last: string): string {
    const quantifier = this.quantifier();
    const mode = this.peek() === '?' || this.peek() === '+' ? this.peek() : '';
    if (mode === '+') throw unsupported('a possessive quantifier after \\E', this.position);
    this.position += mode.length;
    return `(?:${units.join('')}${last}${quantifier}${mode})`;
  }

  /** `\p{…}`, `\P{…}`, `\pL`: as ranges of Latin-1. */
  private property(): string {
    const start = this.position;
    const match = /^([pP])(?:\{\s*(\^?)([\w &=:-]+?)\s*\}|([A-Z]))/.exec(this.pattern.slice(start));
    if (match === null) throw new PatternFault('malformed \\P or \\p sequence', start + 1);
    this.position += match[0].length;
    const negate = (match[1] === 'P') !== (match[2] === '^');
    const ranges = propertyClass((match[3] ?? match[4]) as string, negate);
    if (ranges === null) throw new PatternFault('unknown property after \\P or \\p', this.position);
    return ranges;
  }

  /** The byte that an escape stands for; the backslash is read already. */
  private characterCode(start: number): number {
    const rest = this.pattern.slice(this.position);
    const take = (length: number, code: number): number => {
      this.position += length;
      if (code > 0xff)
        throw new PatternFault('character code point value in \\x{} or \\o{} is too large', this.position);
      return code;
    };
    const braced = /^x\{\s*([0-9a-fA-F]+)\s*\}/.exec(rest);
    if (braced !== null) return take(braced[0].length, parseInt(braced[1] as string, 16));
    const hex = /^x([0-9a-fA-F]{0,2})/.exec(rest);
    if (hex !== null) return take(hex[0].length, hex[1] === '' ? 0 : parseInt(hex[1] as string, 16));
    const octal = /^o\{([0-7]+)\}/.exec(rest);
    if (octal !== null) return take(octal[0].length, parseInt(octal[1] as string, 8));
    const digits = /^[0-7]{1,3}/.exec(rest);
    if (digits !== null) return take(digits[0].length, parseInt(digits[0], 8));
    const control = /^c([\x20-\x7e])/.exec(rest);
    if (control !== null) return take(2, (control[1] as string).toUpperCase().charCodeAt(0) ^ 0x40);

    const ch = rest[0] as string;
    if (ch in CONTROL) return take(1, CONTROL[ch] as number);
    if (/[A-Za-z0-9]/.test(ch)) throw new PatternFault('unrecognized character follows \\', start + 1);
    return take(1, ch.charCodeAt(0));
  }

  protected characterClass(): string {
    let negate = false;
    if (this.peek() === '^') {
      negate = true;
      this.position++;
    }
    let source = '';
    let first = true;
    for (;;) {
      const ch = this.peek();
      if (ch === '') throw new PatternFault('missing terminating ] for character class', this.pattern.length);
      if (ch === ']' && !first) break;
      first = false;
      const low = this.classAtom();
      const isRange = this.peek() === '-' && this.pattern[this.position + 1] !== undefined;
      if (typeof low === 'string' || !isRange || this.pattern[this.position + 1] === ']') {
        source += typeof low === 'string' ? low : literal(low);
        continue;
      }
      const dash = this.position++;
      const high = this.classAtom();
      if (typeof high === 'string') {
        // `[a-\d]`: the hyphen is itself.
        source += `${literal(low)}\\x2d${high}`;
        continue;
      }
      if (high < low) throw new PatternFault('range out of order in character class', dash + 1);
      source += `${literal(low)}-${literal(high)}`;
    }
    this.position++;
    // JavaScript knows the empty class, PCRE does not: quoting nothing (`[\Q\E]`) cannot be the only content.
    return `[${negate ? '^' : ''}${source}]`;
  }

  /** One member of a class: a byte, or a set as it stands in JavaScript's class. */
  private classAtom(): number | string {
    const start = this.position;
    const rest = this.pattern.slice(start);
    const posix = /^\[([:.=])(\^?)(\w*)\1\]/.exec(rest);
    if (posix !== null) {
      if (posix[1] !== ':') throw new PatternFault('POSIX collating elements are not supported', start);
      const set = posixClass(posix[3] as string, posix[2] === '^');
      if (set === null) throw new PatternFault('unknown POSIX class name', start + 2 + (posix[2] as string).length);
      this.position += posix[0].length;
      return set;
    }
    this.position++;
    const ch = rest[0] as string;
    if (ch !== '\\') return ch.charCodeAt(0);
    const next = this.peek();
    if (next === '') throw new PatternFault('\\ at end of pattern', this.position);
    if (next === 'Q') {
      let end = this.pattern.indexOf('\\E', this.position);
      if (end < 0) end = this.pattern.length;
      const text = this.pattern.slice(this.position + 1, end);
      this.position = Math.min(end + 2, this.pattern.length);
      return [...text].map((c) => literal(c.charCodeAt(0))).join('');
    }
    if (next === 'E') {
      this.position++;
      return '';
    }
    if (next === 'b') {
      this.position++;
      return 8;
    }
    if (next in CLASS_ESCAPES) {
      this.position++;
      return CLASS_ESCAPES[next] as string;
    }
    if (next === 'p' || next === 'P') return this.property();
    if (/[BRX]/.test(next)) {
      throw new PatternFault('escape sequence is invalid in character class', this.position + 1);
    }
    if (next === 'N') throw new PatternFault('escape sequence is invalid in character class', this.position + 1);
    return this.characterCode(start);
  }
}

/** Capturing groups of a pattern, without looking into classes and quotes. */
function countGroups(pattern: string): number {
  const bare = pattern
    .replace(/\\Q[\s\S]*?(?:\\E|$)/g, '')
    .replace(/\\[\s\S]/g, '')
    .replace(/\[\^?\]?(?:\[:\^?\w*:\]|[^\]])*\]/g, '');
  return (bare.match(/\((?!\?|\*)|\(\?(?:P?<(?![=!])|')/g) ?? []).length;
}
