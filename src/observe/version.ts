/**
 * Whose version is it: Headrace's own, and that of the nginx whose behaviour is followed.
 */
import { readFileSync } from 'node:fs';

/** `$nginx_version`, the `Server` header, `-v`. */
export const NGINX_VERSION = '1.31.5';

/** Headrace's version. `package.json` is its one place. */
export function headraceVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
