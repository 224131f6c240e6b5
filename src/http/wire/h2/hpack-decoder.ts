/** Header blocks in (RFC 7541 section 6). Pure: bytes in, field lines out. */
import type { Buffer } from 'node:buffer';
import { Buffer as Bytes } from 'node:buffer';
import {
  COMPRESSION_ERROR,
  DEFAULT_TABLE_SIZE,
  ENHANCE_YOUR_CALM,
  FRAME_SIZE_ERROR,
  PROTOCOL_ERROR,
} from './constants.ts';
import { DynamicTable, inspected, inspectName, inspectValue, TableEntry } from './hpack-table.ts';
import { decode, decodedMax } from './huffman.ts';

/**
 * Takes field lines as they are decoded. Lines are put one behind the other into `out`, as HTTP/1 would write them
 * (`name: value` CRLF), so that whoever passes fields on copies them in runs.
 */
export abstract class FieldSink {
  out: Buffer;
  /** Where the next line goes. */
  end = 0;

  constructor(out: Buffer) {
    this.out = out;
  }

  /** Makes room for `n` more bytes; offsets stay. */
  reserve(n: number): void {
    if (this.end + n <= this.out.length) return;
    const grown = Bytes.allocUnsafeSlow(Math.max(this.out.length * 2, this.end + n));
    this.out.copy(grown, 0, 0, this.end);
    this.out = grown;
  }

  /**
   * A line stands at `out[start, end)`; setting `end` back to `start` drops it. It may be malformed: `flags` are the
   * bits of hpack-table.ts, and a line that is not well-formed must not be used.
   * @param hash of the name, as header blocks compute it
   * @param id the name's known identifier, or 0
   * @param pseudo `PSEUDO_…`
   */
  abstract onField(
    start: number,
    nameEnd: number,
    valueEnd: number,
    hash: number,
    id: number,
    flags: number,
    pseudo: number,
  ): void;
}

/** More octets of an integer than this is nobody's index or length (nginx takes four, too). */
const INT_OCTETS = 4;
const INT_MORE = -1;
const INT_TOO_LONG = -2;
/** A block may begin with that many changes of the table's size (RFC 7541 section 4.2). */
const MAX_RESIZES = 2;

export class HpackDecoder {
  readonly table: DynamicTable;
  readonly #capacity: number;
  /** Why `decode` gave -1: an error code of RFC 9113. */
  error = 0;
  message = '';

  #limit = 0;
  #maxString = 0;
  #resizes = 0;
  #fields = 0;
  /** Where `#int` stopped. */
  #next = 0;

  /** @param capacity of the table, as the other side was told */
  constructor(capacity: number = DEFAULT_TABLE_SIZE) {
    this.#capacity = capacity;
    this.table = new DynamicTable(capacity);
  }

  /**
   * Begins a header block.
   * @param limit most bytes of all names and values
   * @param maxString most bytes of one name or value as sent
   */
  begin(limit: number, maxString: number): void {
    this.#limit = limit;
    this.#maxString = maxString;
    this.#resizes = 0;
    this.#fields = 0;
  }

  /**
   * Decodes the lines that are complete in `buf[pos, end)`.
   * @param last the block ends at `end`
   * @returns where the first line that is not complete begins (`end`: there is none), or -1: `error` says why; the
   *   connection cannot go on
   */
  decode(buf: Buffer, pos: number, end: number, last: boolean, sink: FieldSink): number {
    while (pos < end) {
      const b = buf[pos]!;
      const bits = b >= 0x80 ? 7 : b >= 0x40 ? 6 : b >= 0x20 ? 5 : 4;
      const index = this.#int(buf, pos, end, bits);
      if (index < 0) return index === INT_MORE ? this.#incomplete(pos, last) : this.#tooLong('header index');
      let next: number;
      if (bits === 7) next = this.#indexed(index, sink) ? this.#next : -1;
      else if (bits === 5) next = this.#resize(index) ? this.#next : -1;
      else next = this.#literal(buf, end, index, bits === 6, last, sink);
      if (next < 0) return next === -1 ? -1 : this.#incomplete(pos, last);
      pos = next;
    }
    return pos;
  }

  #fail(error: number, message: string): -1 {
    this.error = error;
    this.message = message;
    return -1;
  }

  #incomplete(pos: number, last: boolean): number {
    return last ? this.#fail(FRAME_SIZE_ERROR, 'header block with incorrect length') : pos;
  }

  #tooLong(what: string): -1 {
    return this.#fail(COMPRESSION_ERROR, `header block with too long ${what} value`);
  }

  /** An integer (RFC 7541 section 5.1) with a prefix of `bits`; sets `#next`. */
  #int(buf: Buffer, pos: number, end: number, bits: number): number {
    const prefix = (1 << bits) - 1;
    let value = buf[pos]! & prefix;
    if (value !== prefix) {
      this.#next = pos + 1;
      return value;
    }
    for (let i = 1, shift = 0; i < INT_OCTETS; i++, shift += 7) {
      if (pos + i >= end) return INT_MORE;
      const octet = buf[pos + i]!;
      value += (octet & 0x7f) << shift;
      if (octet < 0x80) {
        this.#next = pos + i + 1;
        return value;
      }
    }
    return INT_TOO_LONG;
  }

  #indexed(index: number, sink: FieldSink): boolean {
    const entry = this.table.at(index);
    if (entry === null) return this.#noEntry(index);
    const { line, nameLength } = entry;
    if (!this.#count(line.length - 4)) return false;
    sink.reserve(line.length);
    const start = sink.end;
    line.copy(sink.out, start);
    sink.end = start + line.length;
    const flags = entry.nameFlags | entry.valueFlags;
    sink.onField(start, start + nameLength, sink.end - 2, entry.hash, entry.id, flags, entry.pseudo);
    return true;
  }

  #noEntry(index: number): false {
    this.#fail(COMPRESSION_ERROR, `header block with invalid index ${index}`);
    return false;
  }

  /** Takes a line's bytes off the limit of the block. */
  #count(n: number): boolean {
    this.#fields++;
    this.#limit -= n;
    if (this.#limit >= 0) return true;
    this.#fail(ENHANCE_YOUR_CALM, 'too large header');
    return false;
  }

  #resize(size: number): boolean {
    if (size > this.#capacity) {
      this.#fail(COMPRESSION_ERROR, `invalid table size update: ${size}`);
      return false;
    }
    if (this.#fields > 0 || ++this.#resizes > MAX_RESIZES) {
      this.#fail(COMPRESSION_ERROR, 'table size update that does not stand at the beginning of a header block');
      return false;
    }
    this.table.resize(size);
    return true;
  }

  /** @returns where the line ends, -1: failed, -2: the bytes ran out */
  #literal(buf: Buffer, end: number, index: number, remember: boolean, last: boolean, sink: FieldSink): number {
    let at = this.#next;
    let named: TableEntry | null = null;
    let nameStart = 0;
    let nameLength = 0;
    let nameCoded = false;
    if (index > 0) {
      named = this.table.at(index);
      if (named === null) {
        this.#noEntry(index);
        return -1;
      }
    } else {
      nameLength = this.#length(buf, at, end);
      if (nameLength < 0) return nameLength;
      nameCoded = buf[at]! >= 0x80;
      nameStart = this.#next;
      at = nameStart + nameLength;
      if (nameLength === 0) return this.#fail(PROTOCOL_ERROR, 'zero header name length');
    }
    const valueLength = this.#length(buf, at, end);
    if (valueLength < 0) return valueLength;
    const valueCoded = buf[at]! >= 0x80;
    const valueStart = this.#next;
    const next = valueStart + valueLength;
    if (next > end) return last ? this.#fail(FRAME_SIZE_ERROR, 'header field with incorrect length') : -2;

    sink.reserve((named === null ? decodedMax(nameLength) : named.nameLength) + decodedMax(valueLength) + 4);
    const { out } = sink;
    const start = sink.end;
    let to = start;
    if (named !== null) to += named.line.copy(out, to, 0, named.nameLength);
    else if (!nameCoded) to += buf.copy(out, to, nameStart, nameStart + nameLength);
    else to = decode(buf, nameStart, nameStart + nameLength, out, to);
    if (to < 0) return this.#fail(COMPRESSION_ERROR, 'invalid encoded header field');
    if (to === start) return this.#fail(PROTOCOL_ERROR, 'zero header name length');
    const nameEnd = to;
    out[to++] = 0x3a;
    out[to++] = 0x20;
    const value = to;
    if (!valueCoded) to += buf.copy(out, to, valueStart, next);
    else to = decode(buf, valueStart, next, out, to);
    if (to < 0) return this.#fail(COMPRESSION_ERROR, 'invalid encoded header field');
    const valueEnd = to;
    out[to++] = 13;
    out[to++] = 10;
    if (!this.#count(nameEnd - start + valueEnd - value)) return -1;
    sink.end = to;

    if (remember) {
      const entry = new TableEntry(Bytes.from(out.subarray(start, to)), nameEnd - start);
      this.table.add(entry);
      const flags = entry.nameFlags | entry.valueFlags;
      sink.onField(start, nameEnd, valueEnd, entry.hash, entry.id, flags, entry.pseudo);
      return next;
    }
    const bad = inspectValue(out, value, valueEnd);
    if (named !== null) {
      sink.onField(start, nameEnd, valueEnd, named.hash, named.id, named.nameFlags | bad, named.pseudo);
    } else {
      inspectName(out, start, nameEnd);
      sink.onField(start, nameEnd, valueEnd, inspected.hash, inspected.id, inspected.flags | bad, inspected.pseudo);
    }
    return next;
  }

  /** Length of a string literal, whose bytes begin at `#next`; -1: failed, -2: its length is not complete. */
  #length(buf: Buffer, at: number, end: number): number {
    if (at >= end) return -2;
    const n = this.#int(buf, at, end, 7);
    if (n === INT_MORE) return -2;
    if (n < 0) {
      this.#fail(COMPRESSION_ERROR, 'header field with too long length value');
      return -1;
    }
    if (n > this.#maxString) {
      this.#fail(ENHANCE_YOUR_CALM, 'too large header field');
      return -1;
    }
    return n;
  }
}
