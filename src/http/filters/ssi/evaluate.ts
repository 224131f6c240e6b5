/** Texts and expressions in SSI commands (ngx_http_ssi_evaluate_string, ngx_http_ssi_if). */
import { compilePattern } from '../../../config/pcre.ts';

/** What a page's commands share, over all subrequests of a main request. */
export class SsiShared {
  /** Of `set` and of named groups, by lower-case name. */
  readonly variables: Map<string, string> = new Map();
  readonly blocks: Map<string, string> = new Map();
  captures: readonly (string | undefined)[] = [];

  /** Null: nothing here has this name. */
  get(name: string): string | null {
    const lower = name.toLowerCase();
    if (lower.length === 1 && lower >= '0' && lower <= '9' && Number(lower) < this.captures.length) {
      return this.captures[Number(lower)] ?? '';
    }
    return this.variables.get(lower) ?? null;
  }
}

/** A command is wrong; the message is for the log. */
export class SsiError extends Error {}

/** Value of a variable, null: there is none. */
export type SsiLookup = (name: string) => string | null;

const QUOTABLE = /\\([^]?)/g;

/** A backslash makes the next character plain: it goes if it stands before one of `\ ' " $`. */
function unquote(text: string): string {
  return text.replace(QUOTABLE, (whole, c: string) => (c === '\\' || c === "'" || c === '"' || c === '$' ? c : whole));
}

const PIECE = /\$(?:\{([A-Za-z0-9_]*)(\})?|([A-Za-z0-9_]*))|(?:\\[^]|[^$\\]|\\$)+/g;

/**
 * Puts variables into a text and takes its escapes away.
 * @throws {SsiError}
 */
export function evaluateText(text: string, lookup: SsiLookup): string {
  if (!text.includes('$')) return unquote(text);
  let out = '';
  for (const [piece, braced, closed, name] of text.matchAll(PIECE)) {
    if (piece.charCodeAt(0) !== 0x24) {
      out += unquote(piece);
      continue;
    }
    if (braced !== undefined && closed === undefined && braced !== '') {
      throw new SsiError(`the closing bracket in "${braced}" variable is missing`);
    }
    const variable = braced ?? name ?? '';
    if (variable === '') throw new SsiError(`invalid variable name in "${text}"`);
    out += lookup(variable) ?? '';
  }
  return out;
}

/** What stands left of an operator. */
const LEFT = /^[A-Za-z0-9${}_"']*/;

/**
 * Evaluates the expression of `if` and `elif`.
 * @throws {SsiError}
 */
export function evaluateCondition(expression: string, lookup: SsiLookup, shared: SsiShared): boolean {
  const left = LEFT.exec(expression)![0];
  const value = evaluateText(left.toLowerCase(), lookup);
  let rest = expression.slice(left.length).replace(/^ +/, '');
  if (rest === '') return value !== '';
  const negative = rest.startsWith('!=');
  if (!negative && !rest.startsWith('=')) throw new SsiError(`invalid expression in "${expression}"`);
  rest = rest.slice(negative ? 2 : 1).replace(/^ +/, '');

  if (rest.length > 1 && rest.startsWith('/')) {
    if (!rest.endsWith('/')) throw new SsiError(`invalid expression in "${expression}"`);
    return matches(evaluateText(rest.slice(1, -1), lookup), value, shared) !== negative;
  }
  if (rest.length > 2 && rest.startsWith('\\/')) rest = rest.slice(1);
  return (evaluateText(rest, lookup) === value) !== negative;
}

/** On success its captures are `$0` to `$9`, and its named groups variables. */
function matches(pattern: string, subject: string, shared: SsiShared): boolean {
  const compiled = compilePattern({ pattern, caseless: false });
  if (!compiled.ok) throw new SsiError(compiled.error);
  const match = new RegExp(compiled.source, compiled.flags).exec(subject);
  if (match === null) return false;
  shared.captures = match.slice(0, compiled.captures + 1);
  for (const name of compiled.names) shared.variables.set(name.toLowerCase(), match.groups?.[name] ?? '');
  return true;
}
