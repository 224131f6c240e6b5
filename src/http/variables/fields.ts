/** Finding header fields by the names that variables give them: in lower case, with `_` where the field has `-`. */
import type { HeaderBlock } from '../wire/header-block.ts';
import type { FieldList } from '../fields.ts';
import type { HideTable } from '../request.ts';
import { H } from '../wire/known.ts';

/** Identifier of the known name that a variable's part names, or 0: `x_real_ip` is `x-real-ip`. */
export function knownByVariable(name: string): number {
  return (H as Readonly<Record<string, number | undefined>>)[name.replaceAll('_', '-')] ?? 0;
}

/** Whether the bytes from `start` spell the variable's name. */
function spells(name: string, buf: Uint8Array, start: number): boolean {
  for (let i = 0; i < name.length; i++) {
    let b = buf[start + i]!;
    if (b >= 0x41 && b <= 0x5a) b |= 0x20;
    else if (b === 0x2d) b = 0x5f;
    if (b !== name.charCodeAt(i)) return false;
  }
  return true;
}

/** All values of the fields that a variable's part names, joined; null when there is none. */
export function joinedFields(
  block: HeaderBlock,
  name: string,
  separator: string,
  hide: HideTable | null = null,
): string | null {
  let text: string | null = null;
  for (let i = 0; i < block.count; i++) {
    const start = block.nameStart(i);
    if (block.nameEnd(i) - start !== name.length || !spells(name, block.buf, start)) continue;
    if (hide !== null && isHidden(block, i, hide)) continue;
    text = text === null ? block.value(i) : text + separator + block.value(i);
  }
  return text;
}

function isHidden(block: HeaderBlock, i: number, hide: HideTable): boolean {
  const id = block.id(i);
  if (id !== 0) return hide.ids[id] !== 0;
  return hide.others !== null && block.namedAny(i, hide.others.get(block.hash(i)));
}

/** As `joinedFields`, for fields made here. */
export function joinedMade(fields: FieldList, name: string, separator: string): string | null {
  let text: string | null = null;
  for (let i = 0; i < fields.count; i++) {
    const made = fields.names[i]!;
    if (made.length !== name.length || made.toLowerCase().replaceAll('-', '_') !== name) continue;
    text = text === null ? fields.values[i]! : text + separator + fields.values[i]!;
  }
  return text;
}

/**
 * A cookie of the request: the first of that name (any case) over all `Cookie` fields, as
 * ngx_http_parse_multi_header_lines reads them.
 */
export function requestCookie(block: HeaderBlock, lower: string): string | null {
  for (let i = block.first(H.cookie); i >= 0; i = block.next(i)) {
    const found = cookieIn(block.value(i), lower);
    if (found !== null) return found;
  }
  return null;
}

function cookieIn(text: string, lower: string): string | null {
  let at = 0;
  while (at < text.length) {
    let end = text.indexOf(';', at);
    if (end < 0) end = text.length;
    if (text.slice(at, at + lower.length).toLowerCase() === lower) {
      let i = at + lower.length;
      while (i < end && text[i] === ' ') i++;
      if (i < end && text[i] === '=') {
        i++;
        while (i < end && text[i] === ' ') i++;
        return text.slice(i, end);
      }
    }
    at = end + 1;
    while (at < text.length && text[at] === ' ') at++;
  }
  return null;
}

/** The cookie that an answer sets under that name: each `Set-Cookie` holds one. */
export function setCookie(block: HeaderBlock, lower: string): string | null {
  for (let i = block.first(H['set-cookie']); i >= 0; i = block.next(i)) {
    const text = block.value(i);
    if (text.slice(0, lower.length).toLowerCase() !== lower) continue;
    const match = /^ *= *([^;]*)/.exec(text.slice(lower.length));
    if (match !== null) return match[1]!;
  }
  return null;
}

/** A query argument: the first of that name (any case) that has a `=`; null when there is none. */
export function argument(args: string, lower: string): string | null {
  let at = 0;
  while (at < args.length) {
    let end = args.indexOf('&', at);
    if (end < 0) end = args.length;
    const value = at + lower.length + 1;
    if (value <= end && args[value - 1] === '=' && args.slice(at, value - 1).toLowerCase() === lower) {
      return args.slice(value, end);
    }
    at = end + 1;
  }
  return null;
}
