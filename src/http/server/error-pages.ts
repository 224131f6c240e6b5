/** Pages for statuses that no configuration answers, the wording of statuses, absolute redirects, `error_page`. */
import { Buffer } from 'node:buffer';
import type { CoreConfig, LocationConfig } from '../../config/model.ts';
import { BUILD_TEXT, PRODUCT, VERSION } from '../../version.ts';
import type { HttpRequest } from '../request.ts';
import type { CompiledErrorPage } from '../runtime.ts';
import type { VariableTable } from '../variables/table.ts';
import { H } from '../wire/known.ts';
import { NGINX_REASONS } from '../wire/reasons.ts';

/** The reason phrase of a status; empty: nginx has none for it. */
export function reasonPhrase(status: number): string {
  return NGINX_REASONS[status] ?? '';
}

/** Titles of pages that are not the reason phrase. */
const TITLES: Record<number, string> = { 302: 'Found', 401: 'Authorization Required' };

/** nginx's own causes of a 400, with a line that tells which. 498 never shows. */
const CAUSES: Record<number, string> = {
  494: 'Request Header Or Cookie Too Large',
  495: 'The SSL certificate error',
  496: 'No required SSL certificate was sent',
  497: 'The plain HTTP request was sent to HTTPS port',
};

/** The status that is sent for one of nginx's own: 494 to 497 are 400. */
export function sentStatus(status: number): number {
  return status >= 494 && status <= 497 ? 400 : status;
}

type Tokens = CoreConfig['serverTokens'];

/** The name at the foot of pages. */
export function signature(tokens: Tokens): string {
  if (tokens === 'off') return PRODUCT;
  return `${PRODUCT}/${VERSION}${tokens === 'build' ? BUILD_TEXT : ''}`;
}

const EMPTY = Buffer.alloc(0);
/** Old browsers replace short error pages by their own; these bytes keep them from it. */
const PADDING = '<!-- a padding to disable MSIE and Chrome friendly error page -->\r\n'.repeat(6);

function hasPage(status: number): boolean {
  return status in CAUSES || (status >= 301 && status !== 304 && reasonPhrase(status) !== '');
}

function pageText(status: number, tokens: Tokens): string {
  const sent = sentStatus(status);
  const cause = CAUSES[status];
  const heading = `${sent} ${TITLES[sent] ?? reasonPhrase(sent)}`;
  const title = cause === undefined ? heading : `${sent} ${cause}`;
  return (
    `<html>\r\n<head><title>${title}</title></head>\r\n<body>\r\n<center><h1>${heading}</h1></center>\r\n` +
    (cause === undefined ? '' : `<center>${cause}</center>\r\n`) +
    `<hr><center>${signature(tokens)}</center>\r\n</body>\r\n</html>\r\n`
  );
}

export interface BuiltinPage {
  status: number;
  /** Null: there is no body. */
  contentType: string | null;
  body: Buffer;
}

const pages = new Map<string, BuiltinPage>();

/** The page for a status, made once for each form. Its body must not be written to. */
export function pageFor(status: number, tokens: Tokens, padded: boolean): BuiltinPage {
  const key = `${status} ${tokens} ${padded ? 1 : 0}`;
  let page = pages.get(key);
  if (page === undefined) {
    const text = hasPage(status) ? pageText(status, tokens) + (padded && status >= 400 ? PADDING : '') : null;
    page =
      text === null
        ? { status: sentStatus(status), contentType: null, body: EMPTY }
        : { status: sentStatus(status), contentType: 'text/html', body: Buffer.from(text, 'latin1') };
    // Statuses of a configuration are few; an endless supply of them is somebody's game.
    if (pages.size < 4096) pages.set(key, page);
  }
  return page;
}

/** The built-in page of a request's location for a status. */
export function builtinPage(r: HttpRequest, status: number): BuiltinPage {
  const { serverTokens, msiePadding } = r.loc.core;
  return pageFor(status, serverTokens, msiePadding && status >= 400 && wantsPadding(r));
}

function wantsPadding(r: HttpRequest): boolean {
  const agent = r.header(H['user-agent']);
  return agent !== null && (agent.includes('MSIE ') || agent.includes('Chrome/'));
}

// ------------------------------------------------------------------------------------------------ redirects

export interface RedirectSettings {
  absolute: boolean;
  port: boolean;
  /** `server_name_in_redirect`: the name that takes the place of the request's host; null: the request's. */
  serverName: string | null;
}

export interface RedirectOrigin {
  secure: boolean;
  /** Host of the request; empty: none was sent. */
  host: string;
  localAddress: string;
  localPort: number;
}

/** A redirect's target as the client gets it: paths are made absolute, all else stays. */
export function absolute(location: string, settings: RedirectSettings, origin: RedirectOrigin): string {
  if (!settings.absolute || !location.startsWith('/')) return location;
  let host = settings.serverName ?? origin.host;
  if (host === '') {
    const { localAddress } = origin;
    host = localAddress.includes(':') && !localAddress.startsWith('unix:') ? `[${localAddress}]` : localAddress;
  }
  const usual = origin.secure ? 443 : 80;
  const port = settings.port && origin.localPort > 0 && origin.localPort !== usual ? `:${origin.localPort}` : '';
  return `${origin.secure ? 'https' : 'http'}://${host}${port}${location}`;
}

/** As `absolute`, for a request and its location. */
export function absoluteLocation(r: HttpRequest, location: string): string {
  const { core } = r.loc;
  if (!core.absoluteRedirect || !location.startsWith('/')) return location;
  const { channel } = r;
  return absolute(
    location,
    {
      absolute: true,
      port: core.portInRedirect,
      serverName: core.serverNameInRedirect ? r.server.config.serverName : null,
    },
    {
      secure: channel.tls !== null,
      host: r.host,
      localAddress: r.host === '' ? channel.localAddress() : '',
      localPort: channel.localPort(),
    },
  );
}

// ------------------------------------------------------------------------------------------------ error_page

/** Compiles the `error_page` directives of a location; null when there are none. */
export function compileErrorPages(
  config: Pick<LocationConfig, 'core'>,
  table: VariableTable,
): CompiledErrorPage[] | null {
  const { errorPages } = config.core;
  if (errorPages.length === 0) return null;
  return errorPages.map((page) => {
    const uri = table.compile(page.uri);
    const named = uri.constant !== null && uri.constant.startsWith('@') ? uri.constant : null;
    return { statuses: page.statuses, overwrite: page.overwrite, uri, named };
  });
}

/**
 * The location's page for a status, or null. With `recursive_error_pages off` the first error of a request is the only
 * one that gets one, whether it has a page or not (as in nginx).
 */
export function findErrorPage(r: HttpRequest, status: number): CompiledErrorPage | null {
  const { errorPages } = r.loc;
  if (errorPages === null || r.inErrorPage || r.uriChanges <= 0) return null;
  if (!r.loc.core.recursiveErrorPages) r.inErrorPage = true;
  for (let i = 0; i < errorPages.length; i++) {
    if (errorPages[i]!.statuses.includes(status)) return errorPages[i]!;
  }
  return null;
}
