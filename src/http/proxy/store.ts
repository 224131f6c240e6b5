/** `proxy_store`: answers become files, complete and with the server's time of change, for whoever serves files next. */
import { chmodSync, futimesSync } from 'node:fs';
import type { Buffer } from 'node:buffer';
import { fsPath } from '../../config/bytes.ts';
import type { TempPath } from '../../config/cache-model.ts';
import type { CoreConfig, UpstreamSettings } from '../../config/model.ts';
import { closeQuietly, createTemporary, moveInto, removeFile, writeAll } from '../../cache/write-file.ts';
import type { OpenFile } from '../../cache/write-file.ts';
import { failedText } from '../../observe/errno.ts';
import { parseHttpDate } from '../filters/http-date.ts';
import type { HttpRequest } from '../request.ts';
import { logRequest } from '../request-log.ts';
import type { VariableTable } from '../variables/table.ts';
import { H } from '../wire/known.ts';
import type { ResponseHead } from '../wire/response-head.ts';
import type { AnswerKeeper } from './answer-buffering.ts';

export interface StorePlan {
  /** Where an answer goes (bytes); '': nowhere. */
  pathOf(r: HttpRequest): string;
  /** Permissions of files; directories can be searched by who may read. */
  access: number;
  tempPath: TempPath;
}

/** @returns null: the location stores nothing */
export function compileStore(config: UpstreamSettings, core: CoreConfig, table: VariableTable): StorePlan | null {
  const { store, storeAccess: access, tempPath } = config;
  if (store === null) return null;
  const paths = table.paths.of(core);
  const value = store.path === null ? null : table.compile(store.path);
  return { pathOf: (r) => (value === null ? (paths.map(r) ?? '') : value.get(r)), access, tempPath };
}

export class StoreKeeper implements AnswerKeeper {
  readonly base = 0;
  readonly #r: HttpRequest;
  readonly #plan: StorePlan;
  readonly #to: string;
  /** Seconds since the epoch; -1: the server did not say. */
  readonly #modified: number;
  #file: OpenFile | null = null;

  constructor(r: HttpRequest, plan: StorePlan, head: ResponseHead) {
    this.#r = r;
    this.#plan = plan;
    this.#to = plan.pathOf(r);
    const modified = head.get(H['last-modified']);
    this.#modified = modified === null ? -1 : parseHttpDate(modified);
  }

  openFile(): number | null {
    try {
      this.#file = createTemporary(this.#plan.tempPath, null);
      return this.#file.fd;
    } catch (error) {
      logRequest(this.#r, 'crit', failedText(`open() in "${this.#plan.tempPath.dir}"`, error));
      return null;
    }
  }

  complete(whole: Buffer | null): void {
    if (this.#to === '') {
      this.fail();
      return;
    }
    try {
      if (this.#file === null) {
        this.#file = createTemporary(this.#plan.tempPath, null);
        try {
          if (whole !== null) writeAll(this.#file.fd, whole, 0, whole.length, 0);
          this.#setTime();
        } finally {
          closeQuietly(this.#file.fd);
        }
      } else this.#setTime();
      chmodSync(this.#file.path, this.#plan.access);
      moveInto(this.#file.path, fsPath(this.#to), directoryMode(this.#plan.access));
      this.#file = null;
    } catch (error) {
      logRequest(this.#r, 'crit', failedText(`proxy_store: "${this.#to}"`, error));
      this.fail();
    }
  }

  #setTime(): void {
    if (this.#modified !== -1) futimesSync(this.#file!.fd, Date.now() / 1000, this.#modified);
  }

  fail(): void {
    if (this.#file !== null) removeFile(this.#file.path);
    this.#file = null;
  }
}

/** Who may read a file may go where it is. */
function directoryMode(access: number): number {
  return access | ((access & 0o444) >> 2);
}
