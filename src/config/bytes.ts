/**
 * Byte strings: strings in which every character stands for one byte (latin1).
 *
 * Configuration files and requests are bytes to nginx, and regular expressions, prefixes and header values compare
 * as bytes. So files are read as latin1 and every `ValueText`, name and pattern of `Config` is a byte string. Paths
 * that hold no variables (pid, logs, certificates) are decoded to ordinary text when parsed.
 */

const NON_ASCII = /[\x80-\xff]/;

/** Byte string -> ordinary text, if its bytes are valid UTF-8; else unchanged. ASCII is returned as it is. */
export function decodeText(bytes: string): string {
  // A character above 0xff shows that this is ordinary text already (a path from the command line).
  if (!NON_ASCII.test(bytes) || /[^\x00-\xff]/.test(bytes)) return bytes;
  const text = Buffer.from(bytes, 'latin1').toString('utf8');
  return text.includes('\ufffd') ? bytes : text;
}

/** Ordinary text -> byte string of its UTF-8 encoding. */
export function encodeText(text: string): string {
  return /[^\x00-\x7f]/.test(text) ? Buffer.from(text, 'utf8').toString('latin1') : text;
}

/** What to hand to `node:fs` for a path that is a byte string (`root`, `access_log` with variables, …). */
export function fsPath(bytes: string): string | Buffer {
  return NON_ASCII.test(bytes) ? Buffer.from(bytes, 'latin1') : bytes;
}
