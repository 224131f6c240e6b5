/** Bodies of requests: JSON, forms, and multipart forms, as input for an entity or as entries. */
import { type FormEntry, readForm } from '../../config/kong/form.ts';
import { isObject } from '../../config/kong/schema.ts';
import type { Json, JsonObject, Schema } from '../../config/kong/schema.ts';
import { type AdminRequest, Halt, empty, message } from './http.ts';

export const MAX_ARGUMENTS = 1000;

const BODIES = new Set(['POST', 'PUT', 'PATCH']);

export type ContentKind = 'json' | 'form' | 'multipart' | 'yaml' | 'none';

/**
 * @param yaml whether YAML is taken too
 * @throws {Halt} 415 for what nobody can read
 */
export function contentKind(request: AdminRequest, yaml = false): ContentKind {
  if (!BODIES.has(request.method)) return 'none';
  const types = request.headers['content-type'] ?? [];
  if (types.length > 1) throw new Halt(message(400, 'Multiple Content-Type headers not allowed'));
  const type = types[0]?.trim().toLowerCase();
  if (type === undefined) {
    if (request.body.length === 0) return 'none';
  } else if (type.startsWith('application/json')) return 'json';
  else if (type.startsWith('application/x-www-form-urlencoded')) return 'form';
  else if (type.startsWith('multipart/form-data')) return 'multipart';
  else if (yaml && /^(?:application|text)\/(?:x-)?yaml/.test(type)) return 'yaml';
  throw new Halt(empty(415));
}

const unreadable = (): Halt => new Halt(message(400, 'Cannot parse JSON body'));

/** What a body says of an entity. */
export function readBody(request: AdminRequest, schema: Schema): JsonObject {
  const kind = contentKind(request);
  if (kind === 'none' || kind === 'yaml') return {};
  return kind === 'json' ? readJson(request.body) : readForm(schema, readEntries(request, kind));
}

/** @throws {Halt} no object in JSON */
export function readJson(body: Buffer): JsonObject {
  let value: Json;
  try {
    value = JSON.parse(body.toString('utf8')) as Json;
  } catch {
    throw unreadable();
  }
  if (!isObject(value)) throw unreadable();
  return value;
}

/** @throws {Halt} too many of them, or no multipart body at all */
export function readEntries(request: AdminRequest, kind: 'form' | 'multipart'): FormEntry[] {
  const entries =
    kind === 'form'
      ? [...new URLSearchParams(request.body.toString('utf8'))]
      : readMultipart(request.body, request.headers['content-type']?.[0] ?? '');
  if (entries.length > MAX_ARGUMENTS) throw new Halt(message(400, 'Too many arguments'));
  return entries;
}

/** RFC 7578. Parts of type JSON are values as they are; files are their contents. */
function readMultipart(body: Buffer, type: string): FormEntry[] {
  const bad = new Halt(message(400, 'Cannot parse multipart body'));
  const boundary = /boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(type);
  const mark = boundary?.[1] ?? boundary?.[2];
  if (mark === undefined) throw bad;
  const delimiter = Buffer.from(`--${mark}`);
  const entries: FormEntry[] = [];
  let at = body.indexOf(delimiter);
  for (;;) {
    if (at < 0) throw bad;
    at += delimiter.length;
    if (body.toString('latin1', at, at + 2) === '--') return entries;
    const end = body.indexOf(Buffer.concat([Buffer.from('\r\n'), delimiter]), at);
    const blank = body.indexOf('\r\n\r\n', at);
    if (end < 0 || blank < 0 || blank > end) throw bad;
    const entry = readPart(body.toString('utf8', at, blank), body.toString('utf8', Math.min(blank + 4, end), end));
    if (entry !== null) entries.push(entry);
    if (entries.length > MAX_ARGUMENTS) return entries;
    at = end + 2;
  }
}

/** Null: a part without a name. */
function readPart(head: string, text: string): FormEntry | null {
  const disposition = /^content-disposition:(.*)$/im.exec(head)?.[1] ?? '';
  const name = /;\s*name="((?:[^"\\]|\\.)*)"|;\s*name=([^;\s]+)/i.exec(disposition);
  if (name === null) return null;
  const key = (name[1] ?? name[2] ?? '').replace(/\\(.)/g, '$1').replaceAll('%22', '"');
  if (/^content-type:\s*application\/json/im.test(head)) {
    try {
      return [key, { json: JSON.parse(text) as Json }];
    } catch {
      // Text like any other: its field will say what is wrong with it.
    }
  }
  return [key, text];
}
