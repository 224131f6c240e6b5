/** What proxy_cookie_domain, proxy_cookie_path and proxy_cookie_flags change in the `Set-Cookie` fields of an answer. */
import type { ProxyConfig, ProxyCookieRewrite } from '../../config/model.ts';
import type { HttpRequest } from '../request.ts';
import type { VariableTable } from '../variables/table.ts';
import type { Value } from '../variables/value.ts';
import { CaptureRegex } from '../../variables/regex.ts';

/** One part of a cookie between semicolons; `value` null: there is no `=`. The first one is the cookie itself. */
interface Part {
  name: string;
  value: string | null;
}

/** Gives the new value of an attribute, or null: this rule does not match. */
type Rule = (r: HttpRequest, value: string) => string | null;

interface FlagRule {
  matches(r: HttpRequest, cookie: string): boolean;
  flags: Value[];
}

export class CookieRewriter {
  readonly #domains: Rule[];
  readonly #paths: Rule[];
  readonly #flags: FlagRule[];

  constructor(config: ProxyConfig, variables: VariableTable) {
    this.#domains = config.cookieDomains.map((rule) => compileRule(rule, variables, domainRule));
    this.#paths = config.cookiePaths.map((rule) => compileRule(rule, variables, pathRule));
    this.#flags = config.cookieFlags.map(({ cookie, flags }) => ({
      matches: cookieMatcher(cookie, variables),
      flags: flags.map((flag) => variables.compile(flag)),
    }));
  }

  /** The cookie as the client gets it; null: as it is. */
  rewrite(r: HttpRequest, cookie: string): string | null {
    const parts = parse(cookie);
    if (parts[0]!.value === null) return null;
    let changed = false;
    for (const part of parts.slice(1)) {
      if (part.value === null) continue;
      const name = part.name.toLowerCase();
      const rules = name === 'domain' ? this.#domains : name === 'path' ? this.#paths : NONE;
      const value = firstMatch(r, rules, part.value);
      if (value === null) continue;
      part.value = value;
      changed = true;
    }
    const rule = this.#flags.find((flag) => flag.matches(r, parts[0]!.name));
    if (rule !== undefined && setFlags(parts, flagNames(r, rule))) changed = true;
    return changed ? parts.map(({ name, value }) => (value === null ? name : `${name}=${value}`)).join('; ') : null;
  }
}

/** Null: nothing is configured. */
export function compileCookies(config: ProxyConfig, variables: VariableTable): CookieRewriter | null {
  const rules = config.cookieDomains.length + config.cookiePaths.length + config.cookieFlags.length;
  return rules === 0 ? null : new CookieRewriter(config, variables);
}

const NONE: Rule[] = [];

/** Splits as ngx_http_proxy_parse_cookie does: blanks around names and values mean nothing. */
function parse(cookie: string): Part[] {
  return cookie.split(';').map((text) => {
    const at = text.indexOf('=');
    if (at < 0) return { name: trim(text), value: null };
    return { name: trim(text.slice(0, at)), value: trim(text.slice(at + 1)) };
  });
}

function trim(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && text[start] === ' ') start++;
  while (end > start && text[end - 1] === ' ') end--;
  return text.slice(start, end);
}

function firstMatch(r: HttpRequest, rules: readonly Rule[], value: string): string | null {
  for (const rule of rules) {
    const found = rule(r, value);
    if (found !== null) return found;
  }
  return null;
}

type TextRule = (from: string, value: string, to: () => string) => string | null;

function compileRule(rule: ProxyCookieRewrite, variables: VariableTable, matchText: TextRule): Rule {
  const to = variables.compile(rule.to);
  if (rule.kind === 'regex') {
    const regex = new CaptureRegex(rule.regex, variables);
    return (r, value) => (regex.exec(r, value) ? to.get(r) : null);
  }
  const from = variables.compile(rule.from);
  return (r, value) => matchText(from.get(r), value, () => to.get(r));
}

/** The whole domain in any case; a dot in front means nothing (RFC 6265 section 5.2.3) and stays. */
const domainRule: TextRule = (from, value, to) => {
  const dot = value.startsWith('.') ? '.' : '';
  return value.slice(dot.length).toLowerCase() === from.toLowerCase() ? dot + to() : null;
};

/** A prefix of the path. */
const pathRule: TextRule = (from, value, to) => (value.startsWith(from) ? to() + value.slice(from.length) : null);

function cookieMatcher(
  cookie: ProxyConfig['cookieFlags'][number]['cookie'],
  variables: VariableTable,
): FlagRule['matches'] {
  if (typeof cookie !== 'string') {
    const regex = new CaptureRegex(cookie, variables);
    return (r, name) => regex.exec(r, name);
  }
  const value = variables.compile(cookie);
  return (r, name) => value.get(r).toLowerCase() === name.toLowerCase();
}

/** The known flags that a rule asks for, in lower case. */
function flagNames(r: HttpRequest, rule: FlagRule): Set<string> {
  return new Set(rule.flags.map((flag) => flag.get(r).toLowerCase()).filter((flag) => KNOWN.has(flag)));
}

const SAME_SITE: readonly (readonly [flag: string, value: string])[] = [
  ['samesite=strict', 'Strict'],
  ['samesite=lax', 'Lax'],
  ['samesite=none', 'None'],
];
const KNOWN = new Set([
  'secure',
  'nosecure',
  'httponly',
  'nohttponly',
  'nosamesite',
  ...SAME_SITE.map(([flag]) => flag),
]);

/** Sets and removes flags; what is there as it shall be stays as it was written. @returns false: there was nothing to do */
function setFlags(parts: Part[], flags: Set<string>): boolean {
  if (flags.size === 0) return false;
  const sameSite = SAME_SITE.find(([flag]) => flags.has(flag))?.[1] ?? null;
  const has = new Set<string>();
  for (let i = 1; i < parts.length; i++) {
    const part = parts[i]!;
    const name = part.name.toLowerCase();
    if (name !== 'secure' && name !== 'httponly' && name !== 'samesite') continue;
    const wanted = name === 'samesite' ? sameSite !== null : flags.has(name);
    if (!wanted && flags.has(`no${name}`)) {
      parts.splice(i--, 1);
      continue;
    }
    has.add(name);
    if (name === 'samesite' && sameSite !== null && part.value?.toLowerCase() !== sameSite.toLowerCase()) {
      part.name = 'SameSite';
      part.value = sameSite;
    }
  }
  if (flags.has('secure') && !has.has('secure')) parts.push({ name: 'Secure', value: null });
  if (flags.has('httponly') && !has.has('httponly')) parts.push({ name: 'HttpOnly', value: null });
  if (sameSite !== null && !has.has('samesite')) parts.push({ name: 'SameSite', value: sameSite });
  return true;
}
