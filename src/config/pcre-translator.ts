/**
 * Reads a PCRE2 pattern and writes the JavaScript one; `pcre.ts` explains what for. This file: groups and options.
 */
import { AtomReader, PatternFault, literal, unsupported } from './pcre-atoms.ts';
import type { Item } from './pcre-atoms.ts';

/** Options that `(?…)` switches. */
interface Options {
  i: boolean;
  s: boolean;
  m: boolean;
  x: boolean;
}

export class Translator extends AtomReader {
  /** Atomic groups need a group of their own, which must come after all that are numbered. */
  private helpers = 0;

  translate(caseless: boolean): { source: string; names: string[]; captures: number } {
    if (this.pattern.startsWith('(*')) throw unsupported('a (*VERB)', 0);
    const source = this.alternatives({ i: caseless, s: false, m: false, x: false }, caseless);
    if (this.position < this.pattern.length) {
      throw new PatternFault('unmatched closing parenthesis', this.position);
    }
    return { source, names: this.names, captures: this.captures };
  }

  private looking(text: string): boolean {
    return this.pattern.startsWith(text, this.position);
  }

  /** Branches up to the end of the group. Options set inside hold to its end, over the bars too. */
  private alternatives(outer: Options, baseCaseless: boolean): string {
    const options = { ...outer };
    let source = '';
    // Items of one branch that share a case mode different from the surroundings are wrapped together.
    let run = '';
    let runCaseless = options.i;
    const close = (): void => {
      if (run !== '') source += runCaseless === baseCaseless ? run : `(?${runCaseless ? 'i' : '-i'}:${run})`;
      run = '';
      runCaseless = options.i;
    };
    for (;;) {
      const ch = this.peek();
      if (ch === '' || ch === ')') break;
      if (ch === '|') {
        close();
        source += '|';
        this.position++;
        continue;
      }
      if (options.x && this.skipExtended()) continue;
      if (this.optionSetting(options)) {
        if (options.i !== runCaseless) close();
        continue;
      }
      run += this.quantified(options);
    }
    close();
    return source;
  }

  /** Under `x`: white space and comments between items. */
  private skipExtended(): boolean {
    const ch = this.peek();
    if (/[ \t\n\v\f\r]/.test(ch)) {
      this.position++;
      return true;
    }
    if (ch !== '#') return false;
    const end = this.pattern.indexOf('\n', this.position);
    this.position = end < 0 ? this.pattern.length : end + 1;
    return true;
  }

  /** `(?i)`, `(?-i)`, `(?^)`, comments: they yield nothing of their own. */
  private optionSetting(options: Options): boolean {
    if (this.looking('(?#')) {
      const end = this.pattern.indexOf(')', this.position);
      if (end < 0) throw new PatternFault('missing ) after (?# comment', this.pattern.length);
      this.position = end + 1;
      return true;
    }
    const match = /^\(\?(\^?[a-zA-Z]*(?:-[a-zA-Z]*)?)\)/.exec(this.pattern.slice(this.position));
    if (match === null || match[1] === 'R') return false;
    this.applyOptions(match[1] as string, options);
    this.position += match[0].length;
    return true;
  }

  private applyOptions(letters: string, options: Options): void {
    let value = true;
    for (const letter of letters) {
      if (letter === '-') value = false;
      else if (letter === '^') Object.assign(options, { i: false, s: false, m: false, x: false });
      else if (letter === 'i' || letter === 's' || letter === 'm' || letter === 'x') options[letter] = value;
      else if (letter === 'J' || letter === 'n' || letter === 'U') throw unsupported(`(?${letter})`, this.position);
      else throw new PatternFault('unrecognized character after (? or (?-', this.position + 2);
    }
  }

  /** An item and its quantifiers. */
  private quantified(options: Options): string {
    const start = this.position;
    const groupsBefore = this.captures;
    let item = this.item(options);
    for (;;) {
      if (options.x) while (this.skipExtended());
      const quantifier = this.quantifier();
      if (quantifier === '') return item.source;
      if (!item.repeatable) throw new PatternFault('quantifier does not follow a repeatable item', start);
      if (this.peek() === '+') {
        this.position++;
        item = { source: this.atomic(item.source + quantifier, groupsBefore), repeatable: true };
      } else if (this.peek() === '?') {
        this.position++;
        return `${item.source}${quantifier}?`;
      } else {
        item = { source: `(?:${item.source}${quantifier})`, repeatable: true };
        // The usual case: nothing more follows, no group needed.
        const next = this.position;
        if (this.quantifier() === '') return item.source.slice(3, -1);
        this.position = next;
      }
    }
  }

  /**
   * Possessive and atomic parts: look ahead once, then take what was seen; JavaScript does not go back into it. The
   * helper group must not disturb the numbers that `$1` counts by.
   */
  private atomic(source: string, groupsBefore: number): string {
    if (groupsBefore !== this.captures || this.captures !== this.totalGroups) {
      throw unsupported('an atomic group or possessive quantifier with or before a capturing group', this.position);
    }
    const name = `__atomic${this.helpers++}`;
    return `(?:(?=(?<${name}>${source}))\\k<${name}>)`;
  }

  private item(options: Options): Item {
    const start = this.position;
    const ch = this.pattern[this.position++] as string;
    const yes = (source: string) => ({ source, repeatable: true });
    const no = (source: string) => ({ source, repeatable: false });
    switch (ch) {
      case '(':
        return this.group(options, start);
      case '[':
        return yes(this.characterClass());
      case '\\':
        return this.escape(start);
      case '.':
        return yes(options.s ? '[\\s\\S]' : '[^\\n]');
      case '^':
        return no(options.m ? '(?:^|(?<=\\n)(?!$))' : '^');
      case '$':
        // PCRE's end may be followed by one line feed.
        return no(options.m ? '(?=\\n|$)' : '(?=\\n?$)');
      case '*':
      case '+':
      case '?':
        throw new PatternFault('quantifier does not follow a repeatable item', start);
      default:
        if (ch === '{') {
          this.position = start;
          if (this.quantifier() !== '') throw new PatternFault('quantifier does not follow a repeatable item', start);
          this.position = start + 1;
        }
        return yes(literal(ch.charCodeAt(0)));
    }
  }

  private group(options: Options, start: number): Item {
    const rest = this.pattern.slice(start);
    const inside = (open: string, inner: Options = options): string => {
      const body = this.alternatives(inner, options.i);
      if (this.peek() !== ')') throw new PatternFault('missing closing parenthesis', this.pattern.length);
      this.position++;
      return `${open}${body})`;
    };
    const skip = (length: number): void => {
      this.position = start + length;
    };

    if (rest.startsWith('(*')) throw unsupported('a (*VERB)', start);
    if (!rest.startsWith('(?')) {
      this.captures++;
      return { source: inside('('), repeatable: true };
    }

    const named = /^\(\?(?:P?<([A-Za-z_]\w*)>|'([A-Za-z_]\w*)')/.exec(rest);
    if (named !== null) {
      const name = (named[1] ?? named[2]) as string;
      if (this.names.includes(name)) {
        throw new PatternFault(
          'two named subpatterns have the same name (PCRE2_DUPNAMES not set)',
          start + named[0].length - 1,
        );
      }
      this.names.push(name);
      this.captures++;
      skip(named[0].length);
      return { source: inside(`(?<${name}>`), repeatable: true };
    }

    const reference = /^\(\?P=([A-Za-z_]\w*)\)/.exec(rest);
    if (reference !== null) {
      skip(reference[0].length);
      return { source: `\\k<${this.knownName(reference[1] as string, start)}>`, repeatable: true };
    }

    for (const open of ['(?=', '(?!', '(?<=', '(?<!']) {
      if (!rest.startsWith(open)) continue;
      skip(open.length);
      return { source: `(?:${inside(open)})`, repeatable: true };
    }
    if (rest.startsWith('(?>')) {
      const before = this.captures;
      skip(3);
      const body = inside('(?:');
      return { source: this.atomic(body, before), repeatable: true };
    }
    if (rest.startsWith('(?|')) throw unsupported('branch reset "(?|"', start);
    if (rest.startsWith('(?(')) throw unsupported('a conditional group', start);
    if (/^\(\?(?:R|[+-]?[0-9]|&|P>)/.test(rest)) throw unsupported('recursion', start);
    if (rest.startsWith('(?C')) throw unsupported('a callout', start);

    const modified = /^\(\?(\^?[a-zA-Z]*(?:-[a-zA-Z]*)?):/.exec(rest);
    if (modified !== null) {
      const inner = { ...options };
      this.applyOptions(modified[1] as string, inner);
      skip(modified[0].length);
      return { source: inside('(?:', inner), repeatable: true };
    }
    if (rest.length <= 2) throw new PatternFault('unrecognized character after (? or (?-', this.pattern.length);
    throw new PatternFault('unrecognized character after (? or (?-', start + 2);
  }
}
