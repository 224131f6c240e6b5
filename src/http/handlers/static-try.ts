/** `try_files`: the first of some files that is there (ngx_http_try_files_module). */
import type { CoreConfig } from '../../config/model.ts';
import { finalize, internalRedirect, namedLocation } from '../engine.ts';
import type { HttpRequest } from '../request.ts';
import { logRequest } from '../request-log.ts';
import { NEXT, TAKEN } from '../runtime.ts';
import type { Phase } from '../runtime.ts';
import type { VariableTable } from '../variables/table.ts';
import type { Value } from '../variables/value.ts';
import { climbs, statFile } from './static-path.ts';
import type { LocationPath } from './static-path.ts';

interface Candidate {
  /** Without the slash that asks for a directory. */
  name: Value;
  directory: boolean;
}

/** The last phase before a location's content; null without `try_files`. */
export function compileTryFiles(config: { core: CoreConfig; name: string }, table: VariableTable): Phase | null {
  const { tryFiles } = config.core;
  if (tryFiles === null) return null;
  const location = table.paths.of(config.core);
  const candidates = tryFiles.paths.map((text): Candidate => {
    const directory = text.endsWith('/');
    return { name: table.compile(directory ? text.slice(0, -1) : text), directory };
  });
  const fallback = table.compile(tryFiles.fallback);
  // `=200` is a code, too; what makes it one is how it is written.
  const isCode = fallback.constant !== null && fallback.constant.startsWith('=');

  return (r) => {
    for (let i = 0; i < candidates.length; i++) {
      const candidate = candidates[i]!;
      if (isThere(r, location, candidate, config.name)) return NEXT;
    }
    if (isCode) {
      finalize(r, tryFiles.status);
      return TAKEN;
    }
    const target = fallback.get(r);
    if (target.startsWith('@')) {
      namedLocation(r, target);
      return TAKEN;
    }
    const question = target.indexOf('?');
    if (question < 0) internalRedirect(r, target, '');
    else internalRedirect(r, target.slice(0, question), target.slice(question + 1));
    return TAKEN;
  };
}

/** Tests one file, and makes it the request's URI when it is there. */
function isThere(r: HttpRequest, location: LocationPath, candidate: Candidate, locationName: string): boolean {
  const { name: value, directory } = candidate;
  let name = value.get(r);
  const root = location.root(r);
  // A URI of the location: the part that `alias` replaces does not count.
  if (location.aliased && !location.whole && value.constant === null) {
    const replaced = r.uri.slice(0, location.aliasLength);
    if (name.startsWith(replaced)) name = name.slice(location.aliasLength);
  }
  const path = root + name;
  if (climbs(path, root.length)) {
    logRequest(r, 'error', `"${path}" of "try_files" in location "${locationName}" leads out of its directory`);
    return false;
  }
  const stats = statFile(r, path);
  if (stats === null || stats.isDirectory() !== directory) return false;

  if (!location.aliased) {
    r.uri = name;
  } else if (location.whole) {
    if (!directory) {
      r.uri = name;
      location.appendUri(r);
    }
  } else {
    r.uri = r.uri.slice(0, location.aliasLength) + name;
  }
  return true;
}
