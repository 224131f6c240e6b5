/** Lists of content types (`ssi_types`, `sub_filter_types`, …): ngx_http_types_slot. */
import { Args } from './context.ts';
import type { Conf } from './parser.ts';

/** nginx's default of most filters. */
export const HTML_TYPES: readonly string[] = ['text/html'];

/** Adds the types of a statement to a list, which begins with `text/html`; `*` stands for all of them. */
export function readTypes(cf: Conf, list: string[] | undefined): string[] {
  const types = list ?? [...HTML_TYPES];
  for (const type of cf.args.slice(1)) {
    const lower = type.toLowerCase();
    if (lower === '*') return ['*'];
    if (types[0] === '*') return types;
    if (types.includes(lower)) cf.warn(`duplicate MIME type "${type}"`);
    else types.push(lower);
  }
  return types;
}

export const TYPES_ARGS: number = Args.oneOrMore;
