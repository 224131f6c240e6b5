/** An answer on its way into a cache: what stands in its file, and the file itself. */
import { Buffer } from 'node:buffer';
import { encodeHeader, headerLength } from '../../cache/file-format.ts';
import type { FileHeader } from '../../cache/file-format.ts';
import type { CacheStore } from '../../cache/store.ts';
import { removeFile, writeAll } from '../../cache/write-file.ts';
import type { TempPath } from '../../config/cache-model.ts';
import type { ResponseHead } from '../wire/response-head.ts';

/** A head as it is stored: as it was sent, or as HTTP has it if the server speaks another protocol. */
export function storedHead(head: ResponseHead): Buffer {
  if (head.buf.latin1Slice(head.headStart, head.headStart + 7) === 'HTTP/1.') {
    return Buffer.from(head.buf.subarray(head.headStart, head.pos));
  }
  let text = `HTTP/1.1 ${head.status} ${head.reason().replace(/^\d{3} ?/, '')}\r\n`;
  for (let i = 0; i < head.count; i++) text += `${head.name(i)}: ${head.value(i)}\r\n`;
  return Buffer.from(`${text}\r\n`, 'latin1');
}

export class Fill {
  readonly header: FileHeader;
  readonly #store: CacheStore;
  readonly #temporary: TempPath;
  /** Name of the file while it is incomplete; null: there is none (yet, or any more). */
  #path: string | null = null;
  #fd = -1;

  constructor(header: FileHeader, store: CacheStore, temporary: TempPath) {
    this.header = header;
    this.#store = store;
    this.#temporary = temporary;
  }

  /** Where the body begins in the file: the header part is written when the length of the body is known. */
  get base(): number {
    return headerLength(this.header);
  }

  /** @returns a descriptor, which whoever writes with it closes. @throws the system's error */
  open(key: Buffer): number {
    const { path, fd } = this.#store.create(key, this.#temporary);
    this.#path = path;
    return (this.#fd = fd);
  }

  /**
   * The body is complete: the file takes its place.
   *
   * @param whole the body, when it is not in the file
   * @throws the system's error; no file is left then
   */
  complete(key: Buffer, ticket: number, whole: Buffer | null, length: number, nowSec: number): void {
    const { header } = this;
    header.bodyLength = length;
    if (whole !== null) {
      const body = { buf: whole, start: 0, end: length };
      this.#store.writeWhole(key, ticket, header, body, this.#temporary, nowSec);
      return;
    }
    try {
      const bytes = encodeHeader(header);
      writeAll(this.#fd, bytes, 0, bytes.length, 0);
      this.#store.commitOpen(key, ticket, this.#path!, bytes.length + length, nowSec);
      this.#path = null;
    } finally {
      this.remove();
    }
  }

  /** It will not be complete. */
  remove(): void {
    if (this.#path !== null) removeFile(this.#path);
    this.#path = null;
  }
}
