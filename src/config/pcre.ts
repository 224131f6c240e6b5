/**
 * Regular expressions of nginx (PCRE2, bytes) as JavaScript's.
 *
 * What both spell alike but mean differently is rewritten (`$`, `.`, `\s`, `\A`, POSIX classes, …); what JavaScript
 * cannot do is refused when the configuration is read, never silently taken for something else. Subjects are byte
 * strings: one character a byte.
 *
 * Documented differences: without case, JavaScript also folds the accented letters of Latin-1 (PCRE: ASCII only).
 */
import type { RegexText } from './model.ts';
import { PatternFault } from './pcre-atoms.ts';
import { Translator } from './pcre-translator.ts';

export type PatternResult =
  | { ok: true; source: string; flags: string; names: string[]; captures: number }
  /** nginx's text, without a place. */
  | { ok: false; error: string };

const cache = new Map<string, PatternResult>();

/** Translates a pattern without making a RegExp of it. Results are kept: configurations repeat patterns. */
export function compilePattern(regex: RegexText): PatternResult {
  const key = `${regex.caseless ? 'i' : '-'}${regex.pattern}`;
  let result = cache.get(key);
  if (result === undefined) {
    result = translate(regex);
    if (cache.size > 10_000) cache.clear();
    cache.set(key, result);
  }
  return result;
}

function translate({ pattern, caseless }: RegexText): PatternResult {
  const fault = (message: string, offset: number): PatternResult => ({
    ok: false,
    error:
      offset >= pattern.length
        ? `pcre2_compile() failed: ${message} in "${pattern}"`
        : `pcre2_compile() failed: ${message} in "${pattern}" at "${pattern.slice(offset)}"`,
  });
  try {
    const { source, names, captures } = new Translator(pattern).translate(caseless);
    const flags = caseless ? 'i' : '';
    // What is left wrong is found now and not at the first request.
    new RegExp(source, flags);
    return { ok: true, source: source === '' ? '(?:)' : source, flags, names, captures };
  } catch (error) {
    if (error instanceof PatternFault) return fault(error.message, error.offset);
    if (error instanceof SyntaxError) return fault(error.message, pattern.length);
    throw error;
  }
}

/**
 * The JavaScript regular expression of a checked pattern.
 *
 * @throws {TypeError} if the pattern is wrong, which `checkRegex` would have told
 */
export function compileRegex(regex: RegexText): RegExp {
  const result = compilePattern(regex);
  if (!result.ok) throw new TypeError(result.error);
  return new RegExp(result.source, result.flags);
}

/**
 * Names of the groups of a checked pattern, in order: they become variables. Other groups that JavaScript reports
 * (`__atomic0`) are helpers.
 */
export function regexNames(regex: RegexText): string[] {
  const result = compilePattern(regex);
  return result.ok ? result.names : [];
}
