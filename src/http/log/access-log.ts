/** Access logs of http: the format that is always there, and the location's directory as the guard of file names. */
import { statSync } from 'node:fs';
import { fsPath } from '../../config/bytes.ts';
import type { LocationConfig, LogFormatConfig } from '../../config/model.ts';
import { failedText } from '../../observe/errno.ts';
import type { LogFiles } from '../../variables/access-log.ts';
import * as variables from '../../variables/access-log.ts';
import type { HttpRequest } from '../request.ts';
import { logRequest } from '../request-log.ts';
import type { VariableTable } from '../variables/table.ts';

export type AccessLog = variables.AccessLog<HttpRequest>;

export const COMBINED: LogFormatConfig = {
  name: 'combined',
  parts:
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"',
  escape: 'default',
};

/** All access logs of a generation: equal ones are made once. */
export class AccessLogCompiler {
  readonly #table: VariableTable;
  readonly #logs: variables.AccessLogCompiler<HttpRequest>;

  constructor(formats: readonly LogFormatConfig[], table: VariableTable, files: LogFiles) {
    this.#table = table;
    this.#logs = new variables.AccessLogCompiler([COMBINED, ...formats], table, files);
  }

  /**
   * The access logs of a location; null for `access_log off`. As in nginx the location's root must exist for files whose
   * names hold variables: with names such as `/spool/$host.log` that is what keeps clients from making files at will.
   */
  compile(location: Pick<LocationConfig, 'log' | 'core'>): AccessLog | null {
    const path = this.#table.paths.of(location.core);
    return this.#logs.compile(location.log.access, (r) => directoryExists(r, path.root(r)));
  }

  /** Lets go of everything: the generation is over. */
  close(): void {
    this.#logs.close();
  }
}

function directoryExists(r: HttpRequest, path: string): boolean {
  try {
    if (statSync(fsPath(path)).isDirectory()) return true;
    logRequest(r, 'error', `testing "${path}" existence failed (20: Not a directory)`);
  } catch (error) {
    logRequest(r, 'error', failedText(`testing "${path}" existence`, error));
  }
  return false;
}
