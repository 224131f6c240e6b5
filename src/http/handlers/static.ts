/** Files: index, directory redirects, preconditions, ranges (ngx_http_static_module, ngx_http_index_module). */
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { fsPath } from '../../config/bytes.ts';
import type { CoreConfig, LocationConfig } from '../../config/model.ts';
import { failedText } from '../../observe/errno.ts';
import { finalize, redirect } from '../engine.ts';
import { compileValidators } from '../filters/headers.ts';
import type { SentValidators } from '../filters/headers.ts';
import { formatHttpDate } from '../filters/http-date.ts';
import { checkPreconditions } from '../filters/not-modified.ts';
import { contentRange, multipart, requestedRanges } from '../filters/ranges.ts';
import type { MultipartSegment } from '../filters/ranges.ts';
import type { HttpRequest } from '../request.ts';
import { logRequest } from '../request-log.ts';
import type { Handler } from '../runtime.ts';
import { escapeUri } from '../wire/escape.ts';
import type { VariableTable } from '../variables/table.ts';
import type { Value } from '../variables/value.ts';
import { METHOD_GET, METHOD_HEAD, METHOD_POST } from '../wire/request-head.ts';
import { compileTypes } from './mime.ts';
import { climbs, errorCode, isMissing } from './static-path.ts';
import type { LocationPath } from './static-path.ts';
import { PackedFiles } from './static-packed.ts';
import { sendFile } from './static-send.ts';
import { findIndex, FOUND, REFUSED } from './static-index.ts';

const OPEN_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK;

export type StaticConfig = Pick<LocationConfig, 'core' | 'headers' | 'gzip'>;

/** The handler of a location that serves files. `try_files` is a phase of its own: `static-try.ts`. */
export function staticHandler(location: { readonly config: StaticConfig }, table: VariableTable): Handler {
  const handler = new StaticHandler(location.config, table);
  return (r) => handler.run(r);
}

class StaticHandler {
  readonly #core: CoreConfig;
  readonly #path: LocationPath;
  readonly #index: Value[];
  readonly #type: (uri: string) => string | null;
  readonly #sent: SentValidators;
  /** Null: files are sent as they are. */
  readonly #packed: PackedFiles | null;

  constructor({ core, headers, gzip }: StaticConfig, table: VariableTable) {
    this.#packed = gzip.static === 'off' ? null : new PackedFiles(gzip);
    this.#core = core;
    this.#sent = compileValidators(headers, table);
    this.#path = table.paths.of(core);
    this.#index = core.index.map((text) => table.compile(text));
    this.#type = compileTypes(core);
  }

  run(r: HttpRequest): void {
    const { method } = r;
    if (method !== METHOD_GET && method !== METHOD_HEAD && method !== METHOD_POST) {
      finalize(r, 405);
      return;
    }
    if (r.uri.charCodeAt(r.uri.length - 1) === 0x2f) this.#directory(r);
    else this.#file(r);
  }

  /** The index of a directory, by an internal redirect to it: its location may be another. */
  #directory(r: HttpRequest): void {
    const result = findIndex(r, this.#path, this.#index);
    if (result === FOUND || result === REFUSED) return;
    const path = this.#path.map(r);
    if (path !== null) logRequest(r, 'error', `directory index of "${path}" is forbidden`);
    finalize(r, 403);
  }

  #file(r: HttpRequest): void {
    const path = this.#path.map(r);
    if (path === null) {
      finalize(r, 500);
      return;
    }
    if (climbs(path, path.length - (this.#path.relative(r) ?? '').length)) {
      logRequest(r, 'error', `"${path}" leads out of its directory`);
      finalize(r, 403);
      return;
    }
    const { symlinks } = r.loc;
    const problem = symlinks === null ? null : symlinks.problem(r, path);
    if (problem !== null) {
      this.#failed(r, path, problem);
      return;
    }
    const packed = this.#packed === null ? null : this.#packed.open(r, path);
    if (packed !== null) {
      this.#send(r, packed.fd, packed.stats, packed.path, true);
      return;
    }
    let fd = -1;
    let stats: Stats;
    try {
      fd = openSync(fsPath(path), OPEN_FLAGS);
      stats = fstatSync(fd);
    } catch (error) {
      if (fd >= 0) closeSync(fd);
      this.#failed(r, path, error);
      return;
    }
    if (!stats.isFile()) {
      closeSync(fd);
      this.#notAFile(r, path, stats);
      return;
    }
    if (r.method === METHOD_POST) {
      closeSync(fd);
      finalize(r, 405);
      return;
    }
    this.#send(r, fd, stats, path, false);
  }

  #failed(r: HttpRequest, path: string, error: unknown): void {
    const code = errorCode(error);
    let status = 500;
    // The last one is Node's answer to a NUL in a name.
    if (isMissing(error) || code === 'ERR_INVALID_ARG_VALUE') status = 404;
    else if (code === 'EACCES' || code === 'ELOOP') status = 403;
    if (status !== 404 || this.#core.logNotFound) {
      logRequest(r, status === 500 ? 'crit' : 'error', failedText(`open() "${path}"`, error));
    }
    finalize(r, status);
  }

  #notAFile(r: HttpRequest, path: string, stats: Stats): void {
    if (stats.isDirectory()) {
      redirect(r, 301, `${escapeUri(r.uri)}/${r.args === '' ? '' : `?${r.args}`}`);
      return;
    }
    logRequest(r, 'crit', `"${path}" is not a regular file`);
    finalize(r, 404);
  }

  #send(r: HttpRequest, fd: number, stats: Stats, path: string, packed: boolean): void {
    const { size } = stats;
    const modified = Math.floor(stats.mtimeMs / 1000);
    const etag = this.#core.etag ? `"${modified.toString(16)}-${size.toString(16)}"` : null;
    // The page of an error has the error's status: it is neither compared nor cut.
    const plain = r.errorStatus === 0 || r.errorStatus === 200;
    if (plain) {
      const condition = checkPreconditions(r, etag, modified);
      if (condition === 412) {
        closeSync(fd);
        finalize(r, 412);
        return;
      }
      this.#validators(r, etag, modified);
      if (condition === 304) {
        closeSync(fd);
        r.status = 304;
        r.contentType = null;
        r.contentLength = -1;
        r.sendHead(null, 0, 0, true);
        return;
      }
    } else if (etag !== null) {
      // `Last-Modified` goes with 200, 206 and 304 alone.
      r.fields.add('ETag', etag);
    }
    r.status = plain ? 200 : r.errorStatus;
    r.contentType ??= this.#type(r.uri);
    r.contentLength = size;
    if (packed) r.fields.set('Content-Encoding', 'gzip');
    let segments: MultipartSegment[] = [{ start: 0, end: size }];
    if (plain) {
      const ranges = requestedRanges(r, size, this.#sent.etag(r, etag), this.#sent.lastModified(r, modified), false);
      if (ranges === 'unsatisfiable') {
        closeSync(fd);
        r.fields.remove('last-modified');
        r.fields.remove('etag');
        r.fields.set('Content-Range', `bytes */${size}`);
        finalize(r, 416);
        return;
      }
      if (ranges === 'none') r.fields.add('Accept-Ranges', 'bytes');
      else if (ranges !== 'off') {
        r.status = 206;
        segments = ranges;
        if (ranges.length === 1) {
          r.fields.add('Content-Range', contentRange(ranges[0]!, size));
          r.contentLength = ranges[0]!.end - ranges[0]!.start;
        } else {
          const body = multipart(r, ranges, r.contentType, size);
          r.contentType = body.contentType;
          r.contentLength = body.length;
          segments = body.segments;
        }
      }
    }
    sendFile(r, fd, segments, path);
  }

  #validators(r: HttpRequest, etag: string | null, modified: number): void {
    r.fields.add('Last-Modified', formatHttpDate(modified));
    if (etag !== null) r.fields.add('ETag', etag);
  }
}
