/** `$fastcgi_script_name` and `$fastcgi_path_info`: what `fastcgi_split_path_info` and `fastcgi_index` make of the URI. */
import type { RegexText } from '../../../config/model.ts';
import { compileRegex } from '../../../config/pcre.ts';
import type { HttpRequest } from '../../request.ts';
import type { Getter } from '../../variables/value.ts';

const compiled = new WeakMap<RegexText, RegExp>();

/** The two parts of the URI; without a pattern, or when it does not match, all is the script's name. */
function split(r: HttpRequest): { script: string; info: string } {
  const regex = r.loc.config.fastcgi?.splitPathInfo ?? null;
  if (regex === null) return { script: r.uri, info: '' };
  let made = compiled.get(regex);
  if (made === undefined) compiled.set(regex, (made = compileRegex(regex)));
  const match = made.exec(r.uri);
  return match === null ? { script: r.uri, info: '' } : { script: match[1] ?? '', info: match[2] ?? '' };
}

export const FASTCGI_VARIABLES: Record<string, Getter> = {
  fastcgi_script_name(r) {
    const { script } = split(r);
    return script.endsWith('/') ? script + (r.loc.config.fastcgi?.index ?? '') : script;
  },
  fastcgi_path_info: (r) => split(r).info,
};
