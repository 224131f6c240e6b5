/** Who we are: `Server` header, built-in pages, `-v`; and whose behaviour is followed. */
import { readFileSync } from 'node:fs';
import { packageFile } from './place.ts';

export const PRODUCT = 'headrace';

/** `package.json` is the version's one place. Read once a thread, when it starts. */
const manifest = JSON.parse(readFileSync(packageFile('package.json'), 'utf8')) as { version: string };
export const VERSION: string = manifest.version;

/** nginx's version whose behaviour this one follows: `$nginx_version`, `-v`. */
export const NGINX_VERSION = '1.31.5';

/** `server_tokens build` adds a build name in parentheses when there is one. */
export const BUILD_TEXT: string = '';
