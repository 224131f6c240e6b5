/** `disable_symlinks`: which symbolic links files are not reached by (ngx_open_file_wrapper). */
import { lstatSync, statSync } from 'node:fs';
import { fsPath } from '../../config/bytes.ts';
import type { CoreConfig } from '../../config/model.ts';
import type { HttpRequest } from '../request.ts';
import type { Value } from '../variables/value.ts';
import type { PathCompiler } from './static-path.ts';

/**
 * Looks at the names of a path before it is opened. Node has no openat(2): who can put a link into a directory between the
 * look and the opening is not held off.
 */
export class SymlinkGuard {
  readonly #owned: boolean;
  /** Names up to here may be links; null: none may. */
  readonly #from: Value | null;

  constructor({ owned, from }: NonNullable<CoreConfig['disableSymlinks']>, compiler: PathCompiler) {
    this.#owned = owned;
    this.#from = from === null ? null : compiler.compile(from);
  }

  /** @returns what an open of this path (bytes) fails with; null: no link is in its way */
  problem(r: HttpRequest, path: string): NodeJS.ErrnoException | null {
    let at = this.#start(r, path);
    while (at < path.length) {
      while (path[at] === '/') at++;
      const slash = path.indexOf('/', at);
      const end = slash < 0 ? path.length : slash;
      if (end > at && this.#isForbidden(path.slice(0, end))) return tooManyLinks();
      at = end;
    }
    return null;
  }

  /** Where the names begin that count. */
  #start(r: HttpRequest, path: string): number {
    if (this.#from === null) return 0;
    const from = this.#from.get(r);
    if (from === '' || !path.startsWith(from)) return 0;
    // A directory as a whole, not the beginning of another one's name.
    return from.length === path.length || path[from.length] === '/' || from.endsWith('/') ? from.length : 0;
  }

  #isForbidden(path: string): boolean {
    try {
      const link = lstatSync(fsPath(path));
      if (!link.isSymbolicLink()) return false;
      return !this.#owned || statSync(fsPath(path)).uid !== link.uid;
    } catch {
      // Whoever opens it will be told.
      return false;
    }
  }
}

function tooManyLinks(): NodeJS.ErrnoException {
  const error: NodeJS.ErrnoException = new Error('too many levels of symbolic links');
  error.code = 'ELOOP';
  error.errno = -40;
  error.syscall = 'openat';
  return error;
}

/** @returns null: links are followed */
export function compileSymlinks(core: CoreConfig, compiler: PathCompiler): SymlinkGuard | null {
  return core.disableSymlinks === undefined ? null : new SymlinkGuard(core.disableSymlinks, compiler);
}
