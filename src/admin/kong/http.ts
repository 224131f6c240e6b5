/** What goes into the Admin API and what comes out: no sockets, so that every answer can be tested as a value. */
import type { KongError } from '../../config/kong/errors.ts';
import type { Json, JsonObject } from '../../config/kong/schema.ts';

export interface AdminRequest {
  method: string;
  /** As sent, with the query. */
  url: string;
  /** By lower-case name; several fields of one name are several values. */
  headers: Readonly<Record<string, readonly string[] | undefined>>;
  body: Buffer;
}

export interface AdminAnswer {
  status: number;
  headers: Record<string, string>;
  /** Null: no body. */
  body: string | null;
}

/** An answer that is thrown: it ends what is under way. */
export class Halt extends Error {
  readonly answer: AdminAnswer;

  constructor(answer: AdminAnswer) {
    super(`${answer.status}`);
    this.answer = answer;
  }
}

export function json(status: number, body: Json, headers: Record<string, string> = {}): AdminAnswer {
  return {
    status,
    headers: { 'Content-Type': 'application/json; charset=utf-8', ...headers },
    body: JSON.stringify(body),
  };
}

export function empty(status: number, headers: Record<string, string> = {}): AdminAnswer {
  return { status, headers, body: null };
}

export const message = (status: number, text: string): AdminAnswer => json(status, { message: text });
export const notFound = (): AdminAnswer => message(404, 'Not found');
export const methodNotAllowed = (): AdminAnswer => message(405, 'Method not allowed');

/** Ends the request with `Not found`. */
export function missing(): never {
  throw new Halt(notFound());
}

export function errorAnswer(error: KongError): AdminAnswer {
  return json(error.status, error.toJSON());
}

export function header(request: AdminRequest, name: string): string | null {
  return request.headers[name]?.[0] ?? null;
}

/** Query arguments; of several with one name the first counts. */
export type Query = ReadonlyMap<string, string>;

/** @throws {Halt} more arguments than anybody means */
export function readQuery(text: string, most: number): Query {
  const query = new Map<string, string>();
  let count = 0;
  for (const [name, value] of new URLSearchParams(text)) {
    if (++count > most) throw new Halt(message(400, 'Too many arguments'));
    if (!query.has(name)) query.set(name, value);
  }
  return query;
}

/** `{data, offset, next}` as Kong orders it. */
export function pageAnswer(data: Json[], offset: string | null, next: string | null): JsonObject {
  return offset === null ? { data, next: null } : { data, offset, next };
}
