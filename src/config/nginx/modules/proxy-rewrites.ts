/** `proxy_redirect`, `proxy_cookie_domain`, `proxy_cookie_path`, `proxy_cookie_flags`. */
import type { ProxyCookieRewrite } from '../../model.ts';
import { Args, HTTP_ALL } from '../context.ts';
import { table } from '../directive.ts';
import type { Directive } from '../directive.ts';
import { nodeSlot } from '../nodes.ts';
import type { Conf } from '../parser.ts';
import { checkRegex, checkValue } from '../variables.ts';
import { proxySlot } from './proxy-raw.ts';
import type { ProxyRaw } from './proxy-raw.ts';

const loc = table<ProxyRaw>((cf) => cf.scope.loc.get(proxySlot));

/** `off` is kept as an empty list: nothing may follow it, and it may follow nothing. */
function turnOff(raw: ProxyRaw, key: 'redirects' | 'cookieDomains' | 'cookiePaths' | 'cookieFlags'): string | void {
  if (raw[key] !== undefined) return 'is duplicate';
  raw[key] = [];
}

function redirect(cf: Conf, raw: ProxyRaw): string | void {
  if (raw.redirects?.length === 0) return 'is duplicate';
  const [, from = '', to] = cf.args;
  if (to === undefined) {
    if (from === 'off') return turnOff(raw, 'redirects');
    if (from !== 'default') throw cf.error(`invalid parameter "${from}"`);
    const { handler } = cf.scope.loc.get(nodeSlot);
    if (handler?.kind !== 'proxy') {
      throw cf.error('"proxy_redirect default" should be placed after the "proxy_pass" directive');
    }
    if (handler.pass.variableTarget !== null) {
      throw cf.error('"proxy_redirect default" cannot be used with "proxy_pass" directive with variables');
    }
    raw.redirects = [...(raw.redirects ?? []), { kind: 'default' }];
    return;
  }
  const rule = pattern(cf, from, to, 'both');
  raw.redirects = [...(raw.redirects ?? []), rule.kind === 'regex' ? rule : { kind: 'prefix', from, to }];
}

/** @param regexes `both`: `~` and `~*`; `caseless`: `~` alone, which disregards case */
function pattern(cf: Conf, from: string, to: string, regexes: 'both' | 'caseless'): ProxyCookieRewrite {
  checkValue(cf, to);
  if (from.startsWith('~')) {
    const star = regexes === 'both' && from.startsWith('~*');
    const regex = checkRegex(cf, from.slice(star ? 2 : 1), star || regexes === 'caseless');
    return { kind: 'regex', regex, to };
  }
  return { kind: 'text', from: checkValue(cf, from), to };
}

function cookieRewrite(key: 'cookieDomains' | 'cookiePaths') {
  return (cf: Conf, raw: ProxyRaw): string | void => {
    if (raw[key]?.length === 0) return 'is duplicate';
    let [, from = '', to] = cf.args;
    if (to === undefined) {
      if (from !== 'off') throw cf.error(`invalid parameter "${from}"`);
      return turnOff(raw, key);
    }
    const domain = key === 'cookieDomains';
    // A leading dot of a domain means nothing in a cookie, RFC 6265 section 5.2.3.
    if (domain && !from.startsWith('~')) {
      from = from.replace(/^\./, '');
      to = to.replace(/^\./, '');
    }
    raw[key] = [...(raw[key] ?? []), pattern(cf, from, to, domain ? 'caseless' : 'both')];
  };
}

function cookieFlags(cf: Conf, raw: ProxyRaw): string | void {
  if (raw.cookieFlags?.length === 0) return 'is duplicate';
  const [, cookie = '', ...flags] = cf.args;
  if (flags.length === 0) {
    if (cookie !== 'off') throw cf.error(`invalid parameter "${cookie}"`);
    return turnOff(raw, 'cookieFlags');
  }
  const name = cookie.startsWith('~') ? checkRegex(cf, cookie.slice(1), true) : checkValue(cf, cookie);
  for (const flag of flags) checkValue(cf, flag);
  raw.cookieFlags = [...(raw.cookieFlags ?? []), { cookie: name, flags }];
}

export const rewriteDirectives: readonly Directive[] = [
  loc.custom('proxy_redirect', HTTP_ALL, Args.oneOrTwo, redirect),
  loc.custom('proxy_cookie_domain', HTTP_ALL, Args.oneOrTwo, cookieRewrite('cookieDomains')),
  loc.custom('proxy_cookie_path', HTTP_ALL, Args.oneOrTwo, cookieRewrite('cookiePaths')),
  loc.custom('proxy_cookie_flags', HTTP_ALL, Args.oneToFour, cookieFlags),
];
