/**
 * `include` patterns: glob(3) with `*`, `?`, `[…]`, sorted as it sorts.
 */
import { readdirSync, existsSync } from 'node:fs';
import { fsPath, encodeText } from '../bytes.ts';

export function isGlob(pattern: string): boolean {
  return /[*?[]/.test(pattern);
}

/** One path component as a regular expression; a leading dot must be written. */
function componentRegExp(component: string): RegExp {
  let source = component.startsWith('.') ? '' : '(?!\\.)';
  for (let i = 0; i < component.length; i++) {
    const ch = component[i] as string;
    if (ch === '*') source += '[^/]*';
    else if (ch === '?') source += '[^/]';
    else if (ch === '[') {
      const close = component.indexOf(']', component[i + 1] === '!' || component[i + 1] === '^' ? i + 3 : i + 2);
      if (close < 0) {
        source += '\\[';
        continue;
      }
      let body = component.slice(i + 1, close);
      const negate = body.startsWith('!') || body.startsWith('^');
      if (negate) body = body.slice(1);
      source += `[${negate ? '^' : ''}${body.replace(/[\\\]^[]/g, '\\$&')}]`;
      i = close;
    } else if (ch === '\\' && i + 1 < component.length) source += (component[++i] as string).replace(/[^\w]/g, '\\$&');
    else source += ch.replace(/[^\w]/g, '\\$&');
  }
  return new RegExp(`^${source}$`);
}

/**
 * Paths that match an absolute pattern, sorted by their bytes.
 *
 * @param pattern byte string
 * @returns byte strings; empty when nothing matches or a directory cannot be read
 */
export function expandGlob(pattern: string): string[] {
  let bases = [''];
  for (const component of pattern.split('/').slice(1)) {
    const next: string[] = [];
    for (const base of bases) {
      if (!isGlob(component)) {
        const path = `${base}/${component}`;
        if (existsSync(fsPath(path))) next.push(path);
        continue;
      }
      const matcher = componentRegExp(component);
      for (const name of readDirectory(base === '' ? '/' : base)) {
        if (matcher.test(name)) next.push(`${base}/${name}`);
      }
    }
    bases = next;
  }
  return bases.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
}

function readDirectory(path: string): string[] {
  try {
    return readdirSync(fsPath(path)).map((name) => encodeText(name));
  } catch {
    return [];
  }
}
