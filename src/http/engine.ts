/**
 * Drives a request through its phases: server rewrite, location, rewrite, checks, content; internal redirects and error
 * pages. Protocol-free: connections call `start`, handlers call `finalize` and friends.
 */
import type { HttpRequest } from './request.ts';
import type { CompiledErrorPage, Location } from './runtime.ts';
import { AGAIN, NEXT, TAKEN } from './runtime.ts';
import { METHOD_GET, METHOD_HEAD } from './wire/request-head.ts';
import { absoluteLocation, builtinPage, findErrorPage } from './server/error-pages.ts';
import { debugRequest, logRequest } from './request-log.ts';

/** Begins the phases of a request whose head was parsed and whose server is known. */
export function start(r: HttpRequest): void {
  const server = r.server;
  if (server.zone !== null) {
    r.inZone = true;
    server.zone.begin();
  }
  if (r.loc.realip !== null) r.loc.realip(r);
  if (r.gen.debugs) debugRequest(r, `http request begins, uri "${r.uri}", args "${r.args}"`);
  if (server.rewrite !== null && server.rewrite.run(r) === TAKEN) return;
  findLocation(r);
}

/** Begins the phases of a subrequest: what is looked at when a client's request comes in was looked at then. */
export function startSubrequest(r: HttpRequest): void {
  const { rewrite } = r.server;
  if (rewrite !== null && rewrite.run(r) === TAKEN) return;
  findLocation(r);
}

/** Looks for the location of `r.uri` and runs its phases. */
function findLocation(r: HttpRequest): void {
  const found = r.server.locations.find(r.uri, r);
  if (typeof found === 'string') {
    // The location is `/x/` and the client asked for `/x`.
    redirect(r, 301, r.args === '' ? found : `${found}?${r.args}`);
    return;
  }
  enter(r, found ?? r.server.root);
}

function enter(r: HttpRequest, found: Location): void {
  const loc = found.limitExcept === null ? found : (found.limitExcept.of(r) ?? found);
  r.loc = loc;
  if (r.gen.debugs) debugRequest(r, `using location "${loc.config.name}"`);
  if (loc.core.internal && !r.internal) {
    finalize(r, 404);
    return;
  }
  const limit = loc.core.clientMaxBodySize;
  if (limit > 0 && r.bodyLength > limit && !r.body.discarding && r.parent === null) {
    logRequest(r, 'error', `client intended to send too large body: ${r.bodyLength} bytes`);
    finalize(r, 413);
    return;
  }
  if (loc.rewrite !== null) {
    const result = loc.rewrite.run(r);
    if (result === TAKEN) return;
    if (result === AGAIN) {
      findLocation(r);
      return;
    }
  }
  r.phase = 0;
  resume(r);
}

/** Goes on after a phase that answered `TAKEN` to wait for something. */
export function resume(r: HttpRequest): void {
  // `if` may have led to other settings; its location stands in r.loc.
  const phases = r.loc.phases;
  while (r.phase < phases.length) {
    const result = phases[r.phase++]!(r);
    if (result === NEXT) continue;
    if (result === AGAIN) findLocation(r);
    return;
  }
  r.loc.handler(r);
}

/** Ends a request with a status: an error page of the location, or the built-in one. 444 closes without an answer. */
export function finalize(r: HttpRequest, status: number): void {
  if (r.aborted) return;
  if (r.gen.debugs) debugRequest(r, `http finalize request: ${status}`);
  if (status === 444) {
    r.status = 444;
    r.channel.closeSilently(r);
    return;
  }
  if (r.headSent) {
    r.channel.abort(r);
    return;
  }
  if (r.parent !== null && r.channel.replaceError?.(r, status) === true) return;
  dropUnwantedBody(r, status);
  r.producer = null;
  r.errorStatus = status;
  const page = status >= 300 ? findErrorPage(r, status) : null;
  if (page !== null) followErrorPage(r, page);
  else answerBuiltin(r, status);
}

/** Errors after which the rest of the request cannot be told from the next one, or is not worth reading. */
function dropUnwantedBody(r: HttpRequest, status: number): void {
  switch (status) {
    case 400:
    case 413:
    case 414:
    case 494:
    case 495:
    case 496:
    case 497:
    case 500:
    case 501:
      r.keepAlive = false;
  }
}

/**
 * Forgets the answer but for the fields that were made for it: `Location`, `WWW-Authenticate`, the `Content-Range` of a
 * 416 and what an earlier handler added hold for the page too. What describes the body that is not sent does not.
 */
function clearForError(r: HttpRequest): void {
  r.clearBody();
  if (r.fields.count !== 0) for (const name of BODY_FIELDS) r.fields.remove(name);
}

const BODY_FIELDS = ['etag', 'last-modified', 'accept-ranges', 'content-length', 'content-encoding'];

/** Goes on with the page that the location has for an error. */
function followErrorPage(r: HttpRequest, page: CompiledErrorPage): void {
  clearForError(r);
  if (page.overwrite >= 0) r.errorStatus = page.overwrite;
  if (page.named !== null) {
    namedLocation(r, page.named);
    return;
  }
  if (r.method !== METHOD_HEAD) {
    r.method = METHOD_GET;
    r.internalMethod = 'GET';
  }
  const uri = page.uri.get(r);
  if (uri.startsWith('/')) {
    const question = uri.indexOf('?');
    internalRedirect(r, question < 0 ? uri : uri.slice(0, question), question < 0 ? '' : uri.slice(question + 1));
    return;
  }
  // Another host: the client is sent there.
  const to = REDIRECTS.includes(page.overwrite) ? page.overwrite : 302;
  r.fields.set('Location', uri);
  answerBuiltin(r, to);
}

const REDIRECTS = [301, 302, 303, 307, 308];

function answerBuiltin(r: HttpRequest, status: number): void {
  const page = r.loc.errorBody === null ? builtinPage(r, status) : r.loc.errorBody(r, status);
  clearForError(r);
  r.errorStatus = 0;
  r.status = page.status;
  r.contentType = page.contentType;
  r.contentLength = page.body.length;
  r.sendHead(page.body, 0, page.body.length, true);
}

/** Answers 301, 302, 303, 307 or 308 with `location` (made absolute as absolute_redirect asks). */
export function redirect(r: HttpRequest, status: number, location: string): void {
  r.fields.set('Location', absoluteLocation(r, location));
  finalize(r, status);
}

/** Goes on with another URI as if the client had asked for it; bounded (500 after ten). */
export function internalRedirect(r: HttpRequest, uri: string, args: string): void {
  if (--r.uriChanges <= 0) {
    logRequest(r, 'error', `rewrite or internal redirection cycle while internally redirecting to "${uri}"`);
    r.internal = true;
    r.loc = r.server.root;
    answerBuiltin(r, 500);
    return;
  }
  r.uri = uri;
  r.args = args;
  r.internal = true;
  r.validUnparsed = false;
  r.validLocation = true;
  r.loc = r.server.root;
  if (r.server.rewrite !== null && r.server.rewrite.run(r) === TAKEN) return;
  findLocation(r);
}

/** Goes on in a named location (`@name`). */
export function namedLocation(r: HttpRequest, name: string): void {
  const loc = r.server.named.get(name.startsWith('@') ? name.slice(1) : name);
  if (loc === undefined || --r.uriChanges <= 0) {
    logRequest(
      r,
      'error',
      loc === undefined
        ? `could not find named location "${name}"`
        : `rewrite or internal redirection cycle while redirect to named location "${name}"`,
    );
    answerBuiltin(r, 500);
    return;
  }
  r.internal = true;
  r.uriChanged = false;
  enter(r, loc);
}

/** Counts an ended request where `status_zone` asks for it. */
function countInZones(r: HttpRequest): void {
  const status = r.headSent ? r.status : 0;
  const { zone } = r.server;
  if (zone !== null) {
    // A request that was refused for its head never began.
    if (!r.inZone) zone.begin();
    r.inZone = false;
    zone.end(status, r.bytesReceived, r.bytesSent, r.elapsedMs());
  }
  const own = r.loc.zone;
  if (own === null) return;
  own.begin();
  own.end(status, r.bytesReceived, r.bytesSent, r.elapsedMs());
}

/** The answer is out or the client is gone: what is left to do is to log it. */
export function finished(r: HttpRequest): void {
  if (r.gen.debugs) debugRequest(r, `http request is over, status ${r.status}, sent ${r.bytesSent}`);
  if ((r.server.zone !== null || r.loc.zone !== null) && r.parent === null) countInZones(r);
  if (r.family !== null) r.family.endOf(r);
  if (r.loc.postAction !== null) r.loc.postAction(r);
  if (r.loc.accessLog !== null && (r.parent === null || r.loc.core.logSubrequest)) r.loc.accessLog.write(r);
  if (r.upstream !== null) {
    r.upstream.release();
    r.upstream = null;
  }
  if (r.limits !== null) {
    r.limits.release();
    r.limits = null;
  }
  r.internalMethod = null;
}
