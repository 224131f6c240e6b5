/**
 * nginx's configuration grammar: words, `;`, `{`, `}` (ngx_conf_read_token).
 *
 * Works on byte strings and knows neither files nor directives, so it can be run in a test on anything.
 */

/** A word may not be longer: nginx reads files through a buffer of this size, and so do its users' expectations. */
const BUFFER_SIZE = 4096;

export type Token =
  /** `name arg … ;` */
  | { kind: 'statement'; args: string[] }
  /** `name arg … {` */
  | { kind: 'block'; args: string[] }
  | { kind: 'close' }
  | { kind: 'end' };

/** What a text did wrong; `Tokenizer.line` is then the line to cite. */
export class SyntaxFault extends Error {
  override name = 'SyntaxFault';
}

export interface TokenizerOptions {
  /** The text is the parameter of `-g`: no limit on words, another message at the end. */
  parameter?: boolean;
}

const SPACE = /[ \t\r\n]/;
const isSpace = (ch: string): boolean => ch === ' ' || ch === '\t' || ch === '\r' || ch === '\n';

/** Resolves the escapes that nginx knows; a backslash before anything else stays. */
function unescapeWord(raw: string): string {
  if (!raw.includes('\\')) return raw;
  let out = '';
  for (let i = 0; i < raw.length; i++) {
    const ch = raw[i] as string;
    if (ch !== '\\') {
      out += ch;
      continue;
    }
    const next = raw[i + 1];
    if (next === '"' || next === "'" || next === '\\') {
      out += next;
      i++;
    } else if (next === 't' || next === 'r' || next === 'n') {
      out += next === 't' ? '\t' : next === 'r' ? '\r' : '\n';
      i++;
    } else {
      out += ch;
    }
  }
  return out;
}

export class Tokenizer {
  /** Line of the character read last; nginx cites it as the place of a statement. */
  line: number;
  private readonly text: string;
  private readonly parameter: boolean;
  private position = 0;

  constructor(text: string, options: TokenizerOptions = {}) {
    this.text = text;
    this.parameter = options.parameter === true;
    this.line = this.parameter ? 0 : 1;
  }

  /**
   * Reads up to the next `;`, `{`, `}` or the end.
   *
   * @throws {SyntaxFault} with nginx's text
   */
  next(): Token {
    const { text } = this;
    const args: string[] = [];
    let start = this.position;
    let startLine = this.line;
    let needSpace = false;
    let lastSpace = true;
    let comment = false;
    let variable = false;
    let escaped = false;
    let quote = '';

    for (;;) {
      if (this.position >= text.length) {
        if (args.length > 0 || !lastSpace) {
          throw new SyntaxFault(
            this.parameter
              ? 'unexpected end of parameter, expecting ";"'
              : 'unexpected end of file, expecting ";" or "}"',
          );
        }
        return { kind: 'end' };
      }

      if (this.position - start >= BUFFER_SIZE && !this.parameter) {
        this.line = startLine;
        throw new SyntaxFault(
          quote === ''
            ? `too long parameter "${text.slice(start, start + 10)}..." started`
            : `too long parameter, probably missing terminating "${quote}" character`,
        );
      }

      const ch = text[this.position++] as string;
      if (ch === '\n') {
        this.line++;
        comment = false;
      }
      if (comment) continue;
      if (escaped) {
        escaped = false;
        continue;
      }

      if (needSpace) {
        if (isSpace(ch)) {
          lastSpace = true;
          needSpace = false;
          continue;
        }
        if (ch === ';') return { kind: 'statement', args };
        if (ch === '{') return { kind: 'block', args };
        if (ch !== ')') throw new SyntaxFault(`unexpected "${ch}"`);
        // `if ($a = "b")`: the bracket after a quoted word begins a word of its own.
        lastSpace = true;
        needSpace = false;
      }

      if (lastSpace) {
        start = this.position - 1;
        startLine = this.line;
        if (isSpace(ch)) continue;

        switch (ch) {
          case ';':
          case '{':
            if (args.length === 0) throw new SyntaxFault(`unexpected "${ch}"`);
            return { kind: ch === '{' ? 'block' : 'statement', args };
          case '}':
            if (args.length !== 0) throw new SyntaxFault('unexpected "}"');
            return { kind: 'close' };
          case '#':
            comment = true;
            continue;
          case '\\':
            escaped = true;
            break;
          case '"':
          case "'":
            start++;
            quote = ch;
            break;
          case '$':
            variable = true;
            break;
          default:
        }
        lastSpace = false;
        continue;
      }

      if (ch === '{' && variable) continue;
      variable = false;
      if (ch === '\\') {
        escaped = true;
        continue;
      }
      if (ch === '$') {
        variable = true;
        continue;
      }

      let found = false;
      if (quote !== '') {
        if (ch === quote) {
          quote = '';
          needSpace = true;
          found = true;
        }
      } else if (isSpace(ch) || ch === ';' || ch === '{') {
        lastSpace = true;
        found = true;
      }
      if (!found) continue;

      args.push(unescapeWord(text.slice(start, this.position - 1)));
      if (needSpace) continue;
      if (ch === ';') return { kind: 'statement', args };
      if (ch === '{') return { kind: 'block', args };
    }
  }
}

/** Writes a word so that the tokenizer reads it back as it is: bare if that is possible, else quoted. */
export function quoteWord(word: string): string {
  if (word !== '' && !SPACE.test(word) && !/["'\\;{}#$]/.test(word)) return word;
  const escapes: Record<string, string> = { '"': '\\"', '\\': '\\\\', '\t': '\\t', '\r': '\\r', '\n': '\\n' };
  return `"${word.replace(/["\\\t\r\n]/g, (ch) => escapes[ch] as string)}"`;
}
