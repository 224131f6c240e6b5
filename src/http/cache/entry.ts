/** A cached answer as a thread remembers it: its head parsed, and its body if that is small, else an open file. */
import { closeSync } from 'node:fs';
import type { Buffer } from 'node:buffer';
import type { FileHeader } from '../../cache/file-format.ts';
import type { Entry } from '../../cache/store.ts';
import type { UpstreamTrace } from '../request.ts';
import { H } from '../wire/known.ts';
import { DONE } from '../wire/outcomes.ts';
import { ResponseHead } from '../wire/response-head.ts';
import { parseHttpDate } from '../filters/http-date.ts';

/** What requests that it answers show for their upstream: nobody was asked. */
export class CachedAnswer implements UpstreamTrace {
  readonly key: Buffer;
  readonly header: FileHeader;
  readonly head: ResponseHead;
  readonly body: Buffer | null;
  readonly bodyStart: number;
  readonly path: string;
  readonly inode: number;
  /** Of the keys zone: says whether this is still the key's answer. */
  node = -1;
  version = 0;
  /** Second in which that was asked last. */
  checkedSec = 0;

  /** As of the head. Seconds since the epoch, -1: none. */
  readonly etag: string | null;
  readonly lastModified: number;
  readonly acceptRanges: boolean;
  /** It has fields that the proxy acts upon (`X-Accel-Redirect`, `X-Accel-Limit-Rate`) or drops (`Connection`). */
  readonly special: boolean;
  /** Bytes of memory. */
  readonly weight: number;

  #fd: number;
  /** Answers that are read from the file at present. */
  #readers = 0;
  #dropped = false;

  // UpstreamTrace
  readonly attempts = [];
  readonly trailers = null;
  readonly queueMs = -1;
  readonly lastServerName = '';
  readonly leavesWithClient = false;

  private constructor(key: Buffer, entry: Entry, head: ResponseHead) {
    this.key = key;
    this.header = entry.header;
    this.head = head;
    this.body = entry.body;
    this.bodyStart = entry.bodyStart;
    this.path = entry.path;
    this.inode = entry.inode;
    this.#fd = entry.fd;
    this.etag = head.get(H.etag);
    const modified = head.get(H['last-modified']);
    this.lastModified = modified === null ? -1 : parseHttpDate(modified);
    this.acceptRanges = head.has(H['accept-ranges']);
    this.special =
      head.has(H['x-accel-redirect']) ||
      head.has(H['x-accel-limit-rate']) ||
      head.has(H['x-accel-charset']) ||
      head.has(H.connection) ||
      head.has(H.upgrade);
    this.weight = 512 + entry.header.head.length + entry.header.key.length + (entry.body?.length ?? 0);
  }

  /** @returns null: the head that was stored cannot be read */
  static of(key: Buffer, entry: Entry): CachedAnswer | null {
    const head = new ResponseHead();
    head.reset(entry.header.head, 0);
    if (head.parse(entry.header.head.length) !== DONE) {
      if (entry.fd >= 0) closeSync(entry.fd);
      return null;
    }
    return new CachedAnswer(key, entry, head);
  }

  /** It has a file open. */
  get open(): boolean {
    return this.#fd >= 0;
  }

  /** The file to read the body from; `doneReading` follows. */
  read(): number {
    this.#readers++;
    return this.#fd;
  }

  readonly doneReading = (): void => {
    this.#readers--;
    this.#close();
  };

  /** Nobody looks it up any more. */
  drop(): void {
    this.#dropped = true;
    this.#close();
  }

  #close(): void {
    if (!this.#dropped || this.#readers > 0 || this.#fd < 0) return;
    closeSync(this.#fd);
    this.#fd = -1;
  }

  release(): void {}
}
