/** `index`: the file that stands for a directory (ngx_http_index_module). */
import { statSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { fsPath } from '../../config/bytes.ts';
import { errnoText, failedText } from '../../observe/errno.ts';
import { finalize, internalRedirect } from '../engine.ts';
import type { HttpRequest } from '../request.ts';
import { logRequest } from '../request-log.ts';
import type { Value } from '../variables/value.ts';
import { climbs, errorCode } from './static-path.ts';
import type { LocationPath } from './static-path.ts';

/** No index file is there; the directory is. */
export const NO_INDEX = 0;
/** The request goes on at the index. */
export const FOUND = 1;
/** The request was answered with an error. */
export const REFUSED = 2;

/** Looks for the index of the directory that `r.uri`, which ends in a slash, names. */
export function findIndex(r: HttpRequest, location: LocationPath, index: readonly Value[]): number {
  let directory: string | null = null;
  let tested = false;
  for (let i = 0; i < index.length; i++) {
    const name = index[i]!.get(r);
    if (name.startsWith('/')) {
      internalRedirect(r, name, r.args);
      return FOUND;
    }
    if (directory === null) {
      directory = location.map(r);
      if (directory === null) {
        finalize(r, 500);
        return REFUSED;
      }
      if (climbs(directory, directory.length - (location.relative(r) ?? '').length)) {
        logRequest(r, 'error', `"${directory}" leads out of its directory`);
        finalize(r, 403);
        return REFUSED;
      }
    }
    const path = directory + name;
    let failure: unknown = r.loc.symlinks === null ? null : r.loc.symlinks.problem(r, path);
    if (failure !== null) return indexError(r, path, failure);
    try {
      const stats: Stats | undefined = statSync(fsPath(path), { throwIfNoEntry: false });
      if (stats !== undefined) {
        internalRedirect(r, r.uri + name, r.args);
        return FOUND;
      }
    } catch (error) {
      failure = error;
    }
    const code = failure === null ? 'ENOENT' : errorCode(failure);
    if (code === 'ENOTDIR' || code === 'ENAMETOOLONG' || code === 'EACCES') return indexError(r, path, failure);
    if (!tested) {
      tested = true;
      if (!testDirectory(r, directory, path)) return REFUSED;
    }
    if (code !== 'ENOENT') {
      logRequest(r, 'crit', failedText(`stat() "${path}"`, failure));
      finalize(r, 500);
      return REFUSED;
    }
  }
  return NO_INDEX;
}

const NO_ENTRY = { code: 'ENOENT', errno: -2, syscall: 'stat' };

function indexError(r: HttpRequest, path: string, error: unknown): number {
  const forbidden = error !== null && /^(?:EACCES|ELOOP)$/.test(errorCode(error));
  if (forbidden || r.loc.core.logNotFound) {
    const reason = errnoText(error ?? Object.assign(new Error('no such file'), NO_ENTRY));
    logRequest(r, 'error', `"${path}" is ${forbidden ? 'forbidden' : 'not found'} (${reason})`);
  }
  finalize(r, forbidden ? 403 : 404);
  return REFUSED;
}

/** Whether the directory is there at all, once an index file was not. Answers the request if it is not. */
function testDirectory(r: HttpRequest, directory: string, path: string): boolean {
  try {
    const stats = statSync(fsPath(directory), { throwIfNoEntry: false });
    if (stats === undefined) {
      indexError(r, path, null);
      return false;
    }
    if (stats.isDirectory()) return true;
    logRequest(r, 'alert', `"${directory}" is not a directory`);
  } catch (error) {
    // The first index file could be looked for, so the directory may be searched, if not read.
    if (errorCode(error) === 'EACCES') return true;
    logRequest(r, 'crit', failedText(`stat() "${directory}"`, error));
  }
  finalize(r, 500);
  return false;
}
