/**
 * The path of a request-target in its normal form, as nginx computes `$uri`: percent-decoded, `.` and `..` resolved,
 * adjacent slashes merged (`merge_slashes`), a fragment cut off.
 */
import { HEX } from './bytes.ts';

const scratch: { buf: Buffer } = { buf: Buffer.allocUnsafe(4096) };

/**
 * @param buf bytes of the target; the path stands at `[start, end)` and begins with `/`
 * @returns the path, one character a byte; null when it is not valid (bad `%XX`, `%00`, `..` above the root)
 */
export function normalPath(buf: Uint8Array, start: number, end: number, mergeSlashes: boolean): string | null {
  if (scratch.buf.length < end - start) scratch.buf = Buffer.allocUnsafe((end - start) * 2);
  const out = scratch.buf;
  let n = 0;
  for (let i = start; i < end; i++) {
    let b = buf[i]!;
    if (b === 0x23) break;
    if (b === 0x25) {
      if (i + 2 >= end) return null;
      const hi = HEX[buf[i + 1]!]!;
      const lo = HEX[buf[i + 2]!]!;
      if (hi === 255 || lo === 255) return null;
      b = hi * 16 + lo;
      if (b === 0) return null;
      i += 2;
    }
    if (b === 0x2f) {
      const resolved = dotSegment(out, n);
      if (resolved < 0) return null;
      // A resolved segment leaves its slash behind.
      if (resolved !== n || (mergeSlashes && n > 0 && out[n - 1] === 0x2f)) {
        n = resolved;
        continue;
      }
    }
    out[n++] = b;
  }
  n = dotSegment(out, n);
  if (n < 0) return null;
  return out.latin1Slice(0, n);
}

/**
 * Resolves a last segment `.` or `..` of `out[0, n)`: what remains ends in `/`.
 * @returns the new length, or -1 when `..` leaves the root
 */
function dotSegment(out: Uint8Array, n: number): number {
  if (n >= 2 && out[n - 1] === 0x2e && out[n - 2] === 0x2f) return n - 1;
  if (n >= 3 && out[n - 1] === 0x2e && out[n - 2] === 0x2e && out[n - 3] === 0x2f) {
    let k = n - 4;
    if (k < 0) return -1;
    while (k >= 0 && out[k] !== 0x2f) k--;
    return k + 1;
  }
  return n;
}

/**
 * Splits and decodes a URI that a server or a page gives (ngx_http_parse_unsafe_uri).
 * @returns null when it is empty or climbs
 */
export function splitUnsafeUri(text: string): { uri: string; args: string } | null {
  const question = text.indexOf('?');
  const path = question < 0 ? text : text.slice(0, question);
  const uri = unescapeText(path);
  if (uri === '' || uri.includes('\0')) return null;
  if (path.split('/').includes('..') || uri.split('/').includes('..')) return null;
  return { uri, args: question < 0 ? '' : text.slice(question + 1) };
}

/** Decodes `%XX`; what is not valid stays as it is. */
export function unescapeText(text: string): string {
  if (!text.includes('%')) return text;
  return text.replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}
