/** `sticky cookie`: the text of Set-Cookie, byte for byte as nginx writes it (spec 2.8). */
import type { StickyConfig } from '../../config/model.ts';

type CookieConfig = Extract<StickyConfig, { mode: 'cookie' }>;

const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const FAR_FUTURE = '; expires=Thu, 31-Dec-37 23:55:55 GMT; max-age=315360000';

/** Netscape's date: a year of two digits up to 2037, as old clients want it. */
export function cookieTime(ms: number): string {
  const d = new Date(ms);
  const two = (n: number): string => String(n).padStart(2, '0');
  const year = d.getUTCFullYear();
  const shown = year > 2037 ? String(year) : two(year % 100);
  const time = `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}:${two(d.getUTCSeconds())}`;
  return `${DAYS[d.getUTCDay()]}, ${two(d.getUTCDate())}-${MONTHS[d.getUTCMonth()]}-${shown} ${time} GMT`;
}

/**
 * The value of Set-Cookie that binds a client to a peer.
 * @param nowMs epoch time.
 * @param domain value of `domain`, evaluated; empty: left out.
 * @param sameSite value of `samesite`, evaluated; empty: left out; unknown: `strict`.
 */
export function stickyCookie(config: CookieConfig, sid: string, nowMs: number, domain = '', sameSite = ''): string {
  let text = `${config.name}=${sid}`;
  if (config.expires === 'max') text += FAR_FUTURE;
  else if (config.expires !== null) {
    const now = Math.floor(nowMs / 1000) * 1000;
    text += `; expires=${cookieTime(now + config.expires * 1000)}; max-age=${config.expires}`;
  }
  if (domain !== '') text += `; domain=${domain}`;
  if (config.httpOnly) text += '; httponly';
  if (config.secure) text += '; secure';
  if (sameSite !== '') text += `; samesite=${/^(strict|lax|none)$/i.test(sameSite) ? sameSite : 'strict'}`;
  if (config.path !== null) text += `; path=${config.path}`;
  return text;
}
