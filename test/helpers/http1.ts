/**
 * A reader of HTTP/1 messages for assertions: shares nothing with the product, works on text, and is as strict as
 * RFC 9110 and RFC 9112 are. What it takes is a well-formed message; everything else is an error that says why.
 */
import { Buffer } from 'node:buffer';

export class NotWellFormed extends Error {}

export interface Message {
  /** Start line without its line end. */
  line: string;
  /** Fields in order, names as sent, values trimmed. One character a byte. */
  fields: [name: string, value: string][];
  /** Content: chunks joined. */
  body: Buffer;
  trailers: [name: string, value: string][];
  /** Data of each chunk, when chunked. */
  chunks: Buffer[] | null;
  /** Length of the whole message in bytes. */
  length: number;
}

export interface Request extends Message {
  method: string;
  target: string;
  version: string;
}

export interface Response extends Message {
  status: number;
  reason: string;
  version: string;
  /** The body ended with the connection. */
  untilClose: boolean;
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Values of a field, by its name in any case. */
export function all(message: Message, name: string): string[] {
  const lower = name.toLowerCase();
  return message.fields.filter(([n]) => n.toLowerCase() === lower).map(([, v]) => v);
}

/** The value of a field that may stand once at most; null: absent. */
export function field(message: Message, name: string): string | null {
  const values = all(message, name);
  if (values.length > 1) throw new NotWellFormed(`"${name}" stands ${values.length} times: ${values.join(' | ')}`);
  return values[0] ?? null;
}

export function text(message: Message): string {
  return message.body.toString('latin1');
}

function parseFields(lines: string[]): [string, string][] {
  return lines.map((line) => {
    const colon = line.indexOf(':');
    if (colon < 0) throw new NotWellFormed(`no colon in field line ${JSON.stringify(line)}`);
    const name = line.slice(0, colon);
    const value = line.slice(colon + 1);
    if (!TOKEN.test(name)) throw new NotWellFormed(`field name ${JSON.stringify(name)}`);
    if (!VALUE.test(value)) throw new NotWellFormed(`field value ${JSON.stringify(value)}`);
    return [name, value.replace(/^[\t ]+|[\t ]+$/g, '')];
  });
}

/** Lines up to the empty one; null: it has not come yet. Only CRLF ends a line, and neither byte stands alone. */
function section(bytes: string, from: number): { lines: string[]; end: number } | null {
  const lines: string[] = [];
  for (let at = from; ;) {
    const crlf = bytes.indexOf('\r\n', at);
    const line = crlf < 0 ? bytes.slice(at) : bytes.slice(at, crlf);
    if (/[\n]|\r(?!$)/.test(line) || (crlf >= 0 && line.includes('\r'))) {
      throw new NotWellFormed(`bare CR or LF in ${JSON.stringify(line)}`);
    }
    if (crlf < 0) return null;
    if (line === '') return { lines, end: crlf + 2 };
    lines.push(line);
    at = crlf + 2;
  }
}

function contentLength(message: { fields: [string, string][] }): number | null {
  const value = field(message as Message, 'content-length');
  if (value === null) return null;
  if (!/^(0|[1-9][0-9]{0,15})$/.test(value)) throw new NotWellFormed(`Content-Length ${JSON.stringify(value)}`);
  return Number(value);
}

interface Chunked {
  chunks: Buffer[];
  trailers: [string, string][];
  end: number;
}

/** A chunked body from `from` on; null: its end has not come. */
function readChunked(bytes: string, from: number): Chunked | null {
  const chunks: Buffer[] = [];
  for (let at = from; ;) {
    const crlf = bytes.indexOf('\r\n', at);
    const line = crlf < 0 ? bytes.slice(at) : bytes.slice(at, crlf);
    if (!/^[0-9a-fA-F]{0,13}\r?$/.test(line) || (crlf >= 0 && !/^[0-9a-fA-F]{1,13}$/.test(line))) {
      throw new NotWellFormed(`chunk size line ${JSON.stringify(line)}`);
    }
    if (crlf < 0) return null;
    const size = Number.parseInt(line, 16);
    at = crlf + 2;
    if (size === 0) {
      const trailer = section(bytes, at);
      if (trailer === null) return null;
      return { chunks, trailers: parseFields(trailer.lines), end: trailer.end };
    }
    if (bytes.length < at + size + 2) return null;
    if (bytes.slice(at + size, at + size + 2) !== '\r\n') throw new NotWellFormed('no CRLF behind chunk data');
    chunks.push(Buffer.from(bytes.slice(at, at + size), 'latin1'));
    at += size + 2;
  }
}

interface Head {
  line: string;
  fields: [string, string][];
  chunked: boolean;
  length: number | null;
  end: number;
}

function readHead(bytes: string): Head | null {
  const found = section(bytes, 0);
  if (found === null) return null;
  const [line, ...rest] = found.lines;
  if (line === undefined) throw new NotWellFormed('empty line where a message should begin');
  const head = { line, fields: parseFields(rest) };
  const length = contentLength(head);
  const te = field(head as Message, 'transfer-encoding');
  if (te !== null && te.toLowerCase() !== 'chunked') throw new NotWellFormed(`Transfer-Encoding ${JSON.stringify(te)}`);
  if (te !== null && length !== null) throw new NotWellFormed('both Content-Length and Transfer-Encoding');
  return { ...head, chunked: te !== null, length, end: found.end };
}

/**
 * The request at the beginning of `bytes`.
 * @returns null when more bytes must come
 * @throws NotWellFormed
 */
export function readRequest(bytes: Buffer): Request | null {
  const s = bytes.toString('latin1');
  const head = readHead(s);
  if (head === null) return null;
  const parts = head.line.split(' ');
  const [method, target, version] = parts;
  if (parts.length !== 3 || !TOKEN.test(method!) || !/^HTTP\/1\.[01]$/.test(version!)) {
    throw new NotWellFormed(`request line ${JSON.stringify(head.line)}`);
  }
  // Origin form only: that is what goes to a server. Bytes above 0x7f are passed on as nginx does.
  if (!/^\/[\x21-\x7e\x80-\xff]*$/.test(target!)) throw new NotWellFormed(`target ${JSON.stringify(target)}`);
  if (field(head as unknown as Message, 'host') === null && version === 'HTTP/1.1') throw new NotWellFormed('no Host');
  if (head.chunked && version === 'HTTP/1.0') throw new NotWellFormed('Transfer-Encoding in HTTP/1.0');
  const base = { line: head.line, fields: head.fields, method: method!, target: target!, version: version! };
  if (head.chunked) {
    const body = readChunked(s, head.end);
    if (body === null) return null;
    const { chunks, trailers, end } = body;
    return { ...base, body: Buffer.concat(chunks), trailers, chunks, length: end };
  }
  const end = head.end + (head.length ?? 0);
  if (bytes.length < end) return null;
  return { ...base, body: Buffer.from(bytes.subarray(head.end, end)), trailers: [], chunks: null, length: end };
}

/**
 * The answer at the beginning of `bytes` to a request with `method`.
 * @param ended the connection has ended: nothing more comes
 * @returns null when more bytes must come
 * @throws NotWellFormed
 */
export function readResponse(bytes: Buffer, method: string, ended: boolean): Response | null {
  const s = bytes.toString('latin1');
  const head = readHead(s);
  if (head === null) return null;
  const match = /^(HTTP\/1\.[01]) ([1-9][0-9][0-9])(?: ([\t\x20-\x7e\x80-\xff]*))?$/.exec(head.line);
  if (match === null) throw new NotWellFormed(`status line ${JSON.stringify(head.line)}`);
  const status = Number(match[2]);
  const base = {
    line: head.line,
    fields: head.fields,
    version: match[1]!,
    status,
    reason: match[3] ?? '',
    trailers: [],
    chunks: null,
  };
  if (status < 200 && (head.length !== null || head.chunked))
    throw new NotWellFormed('body announced in an interim answer');
  if (status === 204 && (head.length !== null || head.chunked)) throw new NotWellFormed('body announced in a 204');
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) {
    return { ...base, body: Buffer.alloc(0), length: head.end, untilClose: false };
  }
  if (head.chunked) {
    const body = readChunked(s, head.end);
    if (body === null) return null;
    const { chunks, trailers, end } = body;
    return { ...base, body: Buffer.concat(chunks), trailers, chunks, length: end, untilClose: false };
  }
  if (head.length === null) {
    if (!ended) return null;
    return { ...base, body: Buffer.from(bytes.subarray(head.end)), length: bytes.length, untilClose: true };
  }
  const end = head.end + head.length;
  if (bytes.length < end) return null;
  return { ...base, body: Buffer.from(bytes.subarray(head.end, end)), length: end, untilClose: false };
}
