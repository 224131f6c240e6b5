/** Escaping and unescaping as nginx does it in rewrites and redirects (ngx_escape_uri, ngx_unescape_uri). */

const HEX_DIGITS = '0123456789ABCDEF';

/** Bytes that stay: printable ASCII less what the kind of text escapes. */
function plain(escaped: string): Uint8Array {
  const table = new Uint8Array(256);
  for (let b = 0x21; b < 0x7f; b++) table[b] = 1;
  for (const ch of escaped) table[ch.charCodeAt(0)] = 0;
  return table;
}

/** RFC 3986 allows these nowhere in a URI. */
const NEVER = '"<>\\^`{|}';
const URI = plain(`#%?${NEVER}`);
const ARGS = plain(`#%?&+;${NEVER}`);
const HTML_URI = plain(`#%'${NEVER}`);
const COMPONENT = new Uint8Array(256);
for (const ch of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~') COMPONENT[ch.charCodeAt(0)] = 1;

function escapeBy(text: string, table: Uint8Array): string {
  let i = 0;
  while (i < text.length && table[text.charCodeAt(i)] === 1) i++;
  if (i === text.length) return text;
  let out = text.slice(0, i);
  for (; i < text.length; i++) {
    const b = text.charCodeAt(i);
    out += table[b] === 1 ? text[i] : `%${HEX_DIGITS[(b >> 4) & 15]}${HEX_DIGITS[b & 15]}`;
  }
  return out;
}

/** A path (NGX_ESCAPE_URI). */
export function escapeUri(text: string): string {
  return escapeBy(text, URI);
}

/** Text that becomes part of a query (NGX_ESCAPE_ARGS). */
export function escapeArgs(text: string): string {
  return escapeBy(text, ARGS);
}

/** Text that becomes part of a URI in a page (NGX_ESCAPE_HTML). */
export function escapeHtmlUri(text: string): string {
  return escapeBy(text, HTML_URI);
}

const ENTITIES: Record<string, string> = { '<': '&lt;', '>': '&gt;', '&': '&amp;', '"': '&quot;' };

/** Text that becomes part of a page (ngx_escape_html). */
export function escapeHtml(text: string): string {
  return text.replace(/[<>&"]/g, (c) => ENTITIES[c]!);
}

/** All but letters, digits and `-._~` (NGX_ESCAPE_URI_COMPONENT). */
export function escapeComponent(text: string): string {
  return escapeBy(text, COMPONENT);
}

function hexValue(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

/**
 * Unescapes a redirect's target up to its query (NGX_UNESCAPE_REDIRECT): printable ASCII above `%` is decoded, other
 * escapes stay, so that no byte can come out that would end the field.
 */
export function unescapeRedirect(text: string): string {
  const end = text.length;
  let i = 0;
  while (i < end && text.charCodeAt(i) !== 0x25 && text.charCodeAt(i) !== 0x3f) i++;
  if (i === end || text.charCodeAt(i) === 0x3f) return text;

  let out = text.slice(0, i);
  while (i < end) {
    const ch = text[i]!;
    if (ch === '?') return out + text.slice(i);
    if (ch !== '%') {
      out += ch;
      i++;
      continue;
    }
    if (i + 1 >= end) break;
    const high = hexValue(text.charCodeAt(i + 1));
    if (high < 0) {
      // The percent sign goes, as in nginx.
      out += text[i + 1];
      i += 2;
      continue;
    }
    if (i + 2 >= end) break;
    const lowCode = text.charCodeAt(i + 2);
    const low = hexValue(lowCode);
    if (low < 0) {
      i += 3;
      continue;
    }
    const byte = high * 16 + low;
    i += 3;
    // `%3F` ends the path; nginx sees that only where the second digit is a letter, which it is.
    if (byte === 0x3f && lowCode > 0x39) return `${out}?${text.slice(i)}`;
    out += byte > 0x25 && byte < 0x7f ? String.fromCharCode(byte) : text.slice(i - 3, i);
  }
  return out;
}
