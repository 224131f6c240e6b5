/** Character sets that PCRE names and JavaScript does not, over bytes. */

/** POSIX classes in the C locale, as members of a JavaScript class. */
const POSIX: Record<string, [set: string, complement: string]> = {
  alnum: ['0-9A-Za-z', '\\x00-/:-@[-`{-\\uffff'],
  alpha: ['A-Za-z', '\\x00-@[-`{-\\uffff'],
  ascii: ['\\x00-\\x7f', '\\x80-\\uffff'],
  blank: ['\\t ', '\\x00-\\x08\\x0a-\\x1f!-\\uffff'],
  cntrl: ['\\x00-\\x1f\\x7f', ' -~\\x80-\\uffff'],
  digit: ['0-9', '\\x00-/:-\\uffff'],
  graph: ['!-~', '\\x00- \\x7f-\\uffff'],
  lower: ['a-z', '\\x00-`{-\\uffff'],
  print: [' -~', '\\x00-\\x1f\\x7f-\\uffff'],
  punct: ['!-/:-@\\[-`{-~', '\\x00- 0-9A-Za-z\\x7f-\\uffff'],
  space: ['\\t\\n\\v\\f\\r ', '\\x00-\\x08\\x0e-\\x1f!-\\uffff'],
  upper: ['A-Z', '\\x00-@\\[-\\uffff'],
  word: ['0-9A-Z_a-z', '\\x00-/:-@\\[-\\^`{-\\uffff'],
  xdigit: ['0-9A-Fa-f', '\\x00-/:-@G-`g-\\uffff'],
};

/** @returns members of a class, or null for a name that PCRE does not know */
export function posixClass(name: string, negate: boolean): string | null {
  if (!Object.hasOwn(POSIX, name)) return null;
  const [set, complement] = POSIX[name] as [string, string];
  return negate ? complement : set;
}

/**
 * A Unicode property over the bytes as Latin-1: what PCRE does without UTF mode.
 *
 * @returns members of a class, or null for an unknown property
 */
export function propertyClass(name: string, negate: boolean): string | null {
  let matcher: RegExp | null = null;
  for (const spelling of [name, `Script=${name}`]) {
    try {
      matcher = new RegExp(`^\\p{${spelling}}$`, 'u');
      break;
    } catch {
      // Not a property of that kind: try the next.
    }
  }
  if (matcher === null) return null;
  let set = '';
  for (let code = 0; code <= 0xff; code++) {
    if (matcher.test(String.fromCharCode(code)) !== negate) set += `\\x${code.toString(16).padStart(2, '0')}`;
  }
  // A class that holds nothing, written so that it can stand among other members: a character no byte string has.
  return set === '' ? '\\uffff' : set;
}
