/** `proxy_bind address [transparent] | off`, in http and stream. */
import { parseCidr, parseUrl } from '../../address.ts';
import { hasVariables } from '../../value.ts';
import type { Conf } from '../parser.ts';
import { checkValue } from '../variables.ts';

export interface BindRaw {
  /** `address: null`: `off`. */
  bind?: { address: string | null; transparent: boolean };
}

/** Reads the statement at hand. @throws {ConfigError} */
export function checkBind(cf: Conf, raw: BindRaw): string | void {
  if (raw.bind !== undefined) return 'is duplicate';
  const [, text = '', option] = cf.args;
  if (text === 'off' && option === undefined) {
    raw.bind = { address: null, transparent: false };
    return;
  }
  checkValue(cf, text);
  if (!hasVariables(text)) {
    const parsed = parseUrl(text);
    const literal = parsed.ok && parsed.url.address !== null && parsed.url.uri === '';
    if (!literal && (text.includes('/') || parseCidr(text) === null)) throw cf.error(`invalid address "${text}"`);
  }
  if (option !== undefined && option !== 'transparent') throw cf.error(`invalid parameter "${option}"`);
  raw.bind = { address: text, transparent: option !== undefined };
}
