/**
 * Values with variables: `text $name text ${name} $1`.
 *
 * Pure: the checker (`nginx/variables.ts`) and the runtime's compiler both start from these parts.
 */

export type ValuePart =
  | { kind: 'text'; text: string }
  /** Name without `$`, in lower case: names do not differ by case. */
  | { kind: 'variable'; name: string }
  /** `$1` to `$9`: a group of the last regular expression that matched. */
  | { kind: 'capture'; index: number };

export type ValueResult = { ok: true; parts: ValuePart[] } | { ok: false; error: string };

/** True if the text holds a `$` at all, which is what nginx asks before it compiles a value. */
export function hasVariables(text: string): boolean {
  return text.includes('$');
}

function isNameChar(ch: string): boolean {
  return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') || ch === '_';
}

/**
 * Splits a value into its parts.
 *
 * @returns the parts, adjacent texts joined; or nginx's text of what is wrong (no place)
 */
export function splitValue(text: string): ValueResult {
  const parts: ValuePart[] = [];
  let i = 0;

  while (i < text.length) {
    if (text[i] !== '$') {
      let end = text.indexOf('$', i);
      if (end < 0) end = text.length;
      parts.push({ kind: 'text', text: text.slice(i, end) });
      i = end;
      continue;
    }

    if (++i === text.length) return { ok: false, error: 'invalid variable name' };
    const first = text[i] as string;
    if (first >= '1' && first <= '9') {
      parts.push({ kind: 'capture', index: Number(first) });
      i++;
      continue;
    }

    let bracket = first === '{';
    if (bracket && ++i === text.length) return { ok: false, error: 'invalid variable name' };
    const start = i;
    while (i < text.length && isNameChar(text[i] as string)) i++;
    const name = text.slice(start, i);
    if (bracket && text[i] === '}') {
      bracket = false;
      i++;
    }
    if (bracket) return { ok: false, error: `the closing bracket in "${name}" variable is missing` };
    if (name === '') return { ok: false, error: 'invalid variable name' };
    parts.push({ kind: 'variable', name: name.toLowerCase() });
  }

  return { ok: true, parts };
}

/**
 * Parts of a value that was checked before.
 *
 * @throws {TypeError} if it was not: a programming error, not one of the user
 */
export function parseValue(text: string): ValuePart[] {
  const result = splitValue(text);
  if (!result.ok) throw new TypeError(`${result.error}: ${JSON.stringify(text)}`);
  return result.parts;
}
