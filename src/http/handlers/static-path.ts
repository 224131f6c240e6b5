/** From a request's URI to a file: `root`, `alias` and what variables make of them (ngx_http_map_uri_to_path). */
import { realpathSync, statSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { fsPath } from '../../config/bytes.ts';
import type { CoreConfig, ValueText } from '../../config/model.ts';
import { failedText } from '../../observe/errno.ts';
import type { HttpRequest } from '../request.ts';
import { logRequest } from '../request-log.ts';
import type { Value } from '../variables/value.ts';

/** What the mapping needs of the table of variables. */
export interface PathCompiler {
  compile(text: ValueText): Value;
  indexOf(name: string): number;
}

export class LocationPath {
  /** The location has `alias`. */
  readonly aliased: boolean;
  /** `alias` in a location with a regular expression: it is the whole path. */
  readonly whole: boolean;
  /** Length of the URI's beginning that `alias` replaces. */
  readonly aliasLength: number;
  readonly #root: Value;
  readonly #prefix: string;
  /** Where `try_files` notes that the URI it found is to be appended to a whole alias. */
  readonly #appendedIndex: number;

  constructor(core: CoreConfig, compiler: PathCompiler, prefix: string) {
    this.aliased = core.alias !== null;
    this.whole = this.aliased && core.aliasLength === undefined;
    this.aliasLength = core.aliasLength ?? 0;
    this.#root = compiler.compile(core.alias ?? core.root);
    this.#prefix = prefix;
    // No configuration can name this variable.
    this.#appendedIndex = compiler.indexOf(' uri appended to alias');
  }

  /** `$document_root`: relative paths, which only variables can make, are relative to the prefix. */
  root(r: HttpRequest): string {
    const root = this.#root.constant ?? this.#root.get(r);
    return root.startsWith('/') ? root : this.#prefix + root;
  }

  /** `$realpath_root`; null, with a message, when the directory is not there. */
  realRoot(r: HttpRequest): string | null {
    const root = this.root(r);
    try {
      return realpathSync(fsPath(root), 'buffer').latin1Slice();
    } catch (error) {
      logRequest(r, 'crit', failedText(`realpath() "${root}"`, error));
      return null;
    }
  }

  /** What of the URI is appended to the root; null when the URI has left the location that `alias` belongs to. */
  relative(r: HttpRequest): string | null {
    const { uri } = r;
    if (!this.aliased) return uri;
    if (this.whole) return r.vars !== null && r.vars[this.#appendedIndex] === uri ? uri : '';
    return uri.length < this.aliasLength ? null : uri.slice(this.aliasLength);
  }

  /** From now on this URI is appended to a whole alias. */
  appendUri(r: HttpRequest): void {
    (r.vars ??= [])[this.#appendedIndex] = r.uri;
  }

  /** The file of `r.uri`; null, with a message, when there can be none. */
  map(r: HttpRequest): string | null {
    const relative = this.relative(r);
    if (relative === null || (this.aliased && !r.validLocation)) {
      logRequest(r, 'alert', `"alias" cannot be used in location "${r.loc.config.name}" where URI was rewritten`);
      return null;
    }
    return this.root(r) + relative;
  }
}

/** The mappings of a generation's locations. */
export class PathTable {
  readonly #compiler: PathCompiler;
  readonly #prefix: string;
  readonly #paths = new WeakMap<CoreConfig, LocationPath>();

  constructor(compiler: PathCompiler, prefix: string) {
    this.#compiler = compiler;
    this.#prefix = prefix;
  }

  /** Handlers ask once, when they are compiled; variables ask per request. */
  of(core: CoreConfig): LocationPath {
    let path = this.#paths.get(core);
    if (path === undefined) this.#paths.set(core, (path = new LocationPath(core, this.#compiler, this.#prefix)));
    return path;
  }
}

/**
 * Whether a path leads out of its root. The client's own URIs never do; one that was put together by a rewrite, or
 * whose location and alias do not end alike (`location /a { alias /b/; }` and `/a../x`), may. nginx follows those.
 *
 * @param start where the part begins that a request had a say in
 */
export function climbs(path: string, start: number): boolean {
  let at = path.indexOf('..', start > 0 ? start - 1 : 0);
  while (at >= 0) {
    const before = at === 0 ? '/' : path[at - 1];
    const after = path[at + 2] ?? '/';
    if (before === '/' && after === '/') return true;
    at = path.indexOf('..', at + 1);
  }
  return false;
}

/** Errors that mean no more than that there is no such file. */
export function isMissing(error: unknown): boolean {
  const code = errorCode(error);
  return code === 'ENOENT' || code === 'ENOTDIR' || code === 'ENAMETOOLONG';
}

export function errorCode(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? '';
}

/** Attributes of a file, null when there is none. Errors other than that are logged. */
export function statFile(r: HttpRequest, path: string): Stats | null {
  const problem = r.loc.symlinks === null ? null : r.loc.symlinks.problem(r, path);
  if (problem !== null) {
    logRequest(r, 'error', failedText(`open() "${path}"`, problem));
    return null;
  }
  try {
    return statSync(fsPath(path), { throwIfNoEntry: false }) ?? null;
  } catch (error) {
    if (!isMissing(error)) logRequest(r, 'crit', failedText(`stat() "${path}"`, error));
    return null;
  }
}
