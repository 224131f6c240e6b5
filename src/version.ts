/** Who we are: `Server` header, built-in pages, `-v`. */
export const PRODUCT = 'headrace';
export const VERSION = '0.1.0';
/** nginx's version whose behaviour this one follows: `$nginx_version`, `-V`. */
export const NGINX_VERSION = '1.31.5';
/** `server_tokens build` adds a build name in parentheses when there is one. */
export const BUILD_TEXT = '';
