/** Byte values and character classes of HTTP/1 (RFC 9110 section 5.6, RFC 9112). */

export const HTAB = 9;
export const LF = 10;
export const CR = 13;
export const SP = 32;
export const COLON = 58;

const TOKEN_CHARS = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** Token characters (RFC 9110 section 5.6.2): the lower-case byte, or 0 for a byte that is none. */
export const TOKEN: Uint8Array = new Uint8Array(256);
for (const ch of TOKEN_CHARS) TOKEN[ch.charCodeAt(0)] = ch.toLowerCase().charCodeAt(0);

/** What nginx takes for a method: upper-case letters, `_` and `-`. A subset of RFC 9110's tokens, and all that is in use. */
export const METHOD: Uint8Array = new Uint8Array(256);
for (const ch of 'ABCDEFGHIJKLMNOPQRSTUVWXYZ_-') METHOD[ch.charCodeAt(0)] = 1;

/** As `TOKEN` without the underscore: `underscores_in_headers off` makes such field names invalid. */
export const TOKEN_WITHOUT_UNDERSCORE: Uint8Array = TOKEN.slice();
TOKEN_WITHOUT_UNDERSCORE[0x5f] = 0;

/** Bytes of a field value: HTAB, SP, VCHAR and obs-text (RFC 9110 section 5.5). CR, LF, NUL and other controls are not. */
export const FIELD: Uint8Array = new Uint8Array(256);
FIELD[HTAB] = 1;
for (let b = 0x20; b < 0x100; b++) FIELD[b] = b === 0x7f ? 0 : 1;

/** Classes of request-target bytes, as nginx looks at them: what makes the plain path differ from the bytes sent. */
export const TARGET_PLAIN = 1;
export const TARGET_SLASH = 2;
export const TARGET_DOT = 3;
export const TARGET_PERCENT = 4;
export const TARGET_QUERY = 5;
export const TARGET_FRAGMENT = 6;

/** 0: a byte that no request-target may hold (controls, space, DEL). */
export const TARGET: Uint8Array = new Uint8Array(256);
for (let b = 0x21; b < 0x100; b++) TARGET[b] = b === 0x7f ? 0 : TARGET_PLAIN;
TARGET[0x2f] = TARGET_SLASH;
TARGET[0x2e] = TARGET_DOT;
TARGET[0x25] = TARGET_PERCENT;
TARGET[0x3f] = TARGET_QUERY;
TARGET[0x23] = TARGET_FRAGMENT;

/** Value of a hexadecimal digit, or 255. */
export const HEX: Uint8Array = new Uint8Array(256).fill(255);
for (let i = 0; i < 10; i++) HEX[0x30 + i] = i;
for (let i = 0; i < 6; i++) HEX[0x41 + i] = HEX[0x61 + i] = 10 + i;
