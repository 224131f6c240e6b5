/** `gzip_static`: files that are compressed already, `X.gz` beside `X` (ngx_http_gzip_static_module). */
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { fsPath } from '../../config/bytes.ts';
import type { GzipConfig } from '../../config/model-answers.ts';
import { failedText } from '../../observe/errno.ts';
import { GzipClient, varyByEncoding } from '../filters/gzip.ts';
import type { HttpRequest } from '../request.ts';
import { logRequest } from '../request-log.ts';
import { METHOD_GET, METHOD_HEAD } from '../wire/request-head.ts';
import { errorCode, isMissing } from './static-path.ts';

const OPEN_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK;

export interface PackedFile {
  fd: number;
  stats: Stats;
  path: string;
}

export class PackedFiles {
  /** Null: all clients get them, whatever they say they take. */
  readonly #client: GzipClient | null;
  readonly #vary: boolean;

  constructor(config: GzipConfig) {
    this.#client = config.static === 'always' ? null : new GzipClient(config);
    this.#vary = config.vary;
  }

  /** @param plain path of the file that is asked for. @returns null: that one is to be sent */
  open(r: HttpRequest, plain: string): PackedFile | null {
    if (r.method !== METHOD_GET && r.method !== METHOD_HEAD) return null;
    const takes = this.#client === null || (r.parent === null && this.#client.takes(r));
    // Whether there is one counts for those who do not get it, too: what they get depends on what they take.
    if (!takes && !this.#vary) return null;
    const path = `${plain}.gz`;
    let fd = -1;
    try {
      const problem = r.loc.symlinks === null ? null : r.loc.symlinks.problem(r, path);
      if (problem !== null) throw problem;
      fd = openSync(fsPath(path), OPEN_FLAGS);
      const stats = fstatSync(fd);
      if (stats.isFile()) {
        if (this.#client !== null && this.#vary) varyByEncoding(r);
        if (takes) return { fd, stats, path };
      } else if (takes && !stats.isDirectory()) logRequest(r, 'crit', `"${path}" is not a regular file`);
    } catch (error) {
      const code = errorCode(error);
      if (!isMissing(error) && code !== 'ERR_INVALID_ARG_VALUE')
        logRequest(r, code === 'EACCES' || code === 'ELOOP' ? 'error' : 'crit', failedText(`open() "${path}"`, error));
    }
    if (fd >= 0) closeSync(fd);
    return null;
  }
}
