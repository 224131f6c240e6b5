/** `add_header`, `add_trailer`, `expires`: fields that a location adds to answers. */
import { parseTime } from '../../config/units.ts';
import type { HeadersConfig } from '../../config/model.ts';
import { clock } from '../../net/clock.ts';
import { FieldList } from '../fields.ts';
import type { HideTable, HttpRequest, Trailing } from '../request.ts';
import type { VariableTable } from '../variables/table.ts';
import type { Value } from '../variables/value.ts';
import { H, KNOWN_COUNT } from '../wire/known.ts';
import { formatHttpDate, parseHttpDate } from './http-date.ts';

/** Runs when an answer's head is about to be sent. */
export type HeadHook = (r: HttpRequest) => void;

/** Statuses for which fields without `always` are added. */
const SAFE = new Uint8Array(600);
for (const status of [200, 201, 204, 206, 301, 302, 303, 304, 307, 308]) SAFE[status] = 1;

function isSafe(status: number): boolean {
  return status < 600 && SAFE[status] === 1;
}

/** Hides one field of servers: tables of hidden fields, each with one more, made once for each combination. */
export class Hider {
  readonly #id: number;
  readonly #tables = new Map<HideTable | null, HideTable>();

  constructor(id: number) {
    this.#id = id;
  }

  /** The server's own field of this name is not passed on. */
  hide(r: HttpRequest): void {
    if (r.block === null || !r.block.has(this.#id)) return;
    const before = r.hide;
    if (before !== null && before.ids[this.#id] !== 0) return;
    let table = this.#tables.get(before);
    if (table === undefined) {
      const ids = before === null ? new Uint8Array(KNOWN_COUNT) : before.ids.slice();
      ids[this.#id] = 1;
      table = before === null ? { ids, others: null, ownDate: false, ownServer: false } : { ...before, ids };
      if (this.#tables.size < 64) this.#tables.set(before, table);
    }
    r.hide = table;
  }
}

/** These stand in answers once: what is added takes the place of what is there, an empty value removes it. */
const SINGLE: Record<string, number> = { 'last-modified': H['last-modified'], etag: H.etag };

interface AddedField {
  name: string;
  lower: string;
  value: Value;
  always: boolean;
  /** Set for fields of which there is one. */
  hider: Hider | null;
}

/**
 * Compiles `add_header` and `expires`.
 *
 * @returns null when the location adds nothing
 */
export function compileHeaders(config: HeadersConfig, table: VariableTable): HeadHook | null {
  const expires = config.expires === null ? null : compileExpires(config.expires, table);
  const fields = config.addHeaders.map(({ name, value, always }): AddedField => {
    const lower = name.toLowerCase();
    const single = SINGLE[lower];
    return { name, lower, value: table.compile(value), always, hider: single === undefined ? null : new Hider(single) };
  });
  if (expires === null && fields.length === 0) return null;

  return (r) => {
    // Subrequests have no head of their own.
    if (r.parent !== null) return;
    const safe = isSafe(r.status);
    if (expires !== null && safe) expires(r);
    for (let i = 0; i < fields.length; i++) {
      const field = fields[i]!;
      if (safe || field.always) addField(r, field);
    }
  };
}

function addField(r: HttpRequest, field: AddedField): void {
  const value = field.value.get(r);
  if (field.hider !== null) {
    field.hider.hide(r);
    if (value === '') r.fields.remove(field.lower);
    else r.fields.set(field.name, value);
  } else if (value !== '') {
    r.fields.add(field.name, value);
  }
}

/** What an answer's validators will be once `add_header` has run: `If-Range` is compared with those. */
export interface SentValidators {
  etag(r: HttpRequest, own: string | null): string | null;
  /** Seconds since the epoch, -1 for none. */
  lastModified(r: HttpRequest, own: number): number;
}

/** Compiles the fields of `add_header` that replace validators; for answers with status 200. */
export function compileValidators(config: HeadersConfig, table: VariableTable): SentValidators {
  // The last one counts: each replaces what is there.
  const added = (name: string): Value | null => {
    const field = config.addHeaders.findLast((h) => h.name.toLowerCase() === name);
    return field === undefined ? null : table.compile(field.value);
  };
  const etag = added('etag');
  const modified = added('last-modified');
  return {
    etag: (r, own) => (etag === null ? own : etag.get(r) || null),
    lastModified: (r, own) => (modified === null ? own : parseHttpDate(modified.get(r))),
  };
}

// ------------------------------------------------------------------------------------------------ expires

type Expires =
  | { kind: 'off' | 'epoch' | 'max' }
  /** `access`: from now; `modified`: from the last change; `daily`: the next time of day. Seconds. */
  | { kind: 'access' | 'modified' | 'daily'; seconds: number };

/** Reads one argument of `expires`; null if nginx refuses it. */
function parseExpires(text: string, modified: boolean): Expires | null {
  if (!modified && (text === 'off' || text === 'epoch' || text === 'max')) return { kind: text };
  const sign = text[0];
  const daily = sign === '@';
  if (daily && modified) return null;
  const time = parseTime(daily || sign === '+' || sign === '-' ? text.slice(1) : text, 's');
  if (time === null || (daily && time > 86_400)) return null;
  return { kind: daily ? 'daily' : modified ? 'modified' : 'access', seconds: sign === '-' ? -time : time };
}

/** `modified 24h`: the configuration joins both words. */
const MODIFIED = /^modified\s+/;

const FAR_FUTURE = 'Thu, 31 Dec 2037 23:55:55 GMT';
const LONG_AGO = 'Thu, 01 Jan 1970 00:00:01 GMT';

function compileExpires(text: string, table: VariableTable): HeadHook | null {
  const modified = MODIFIED.test(text);
  const value = table.compile(modified ? text.replace(MODIFIED, '') : text);
  const constant = value.constant === null ? null : parseExpires(value.constant, modified);
  if (value.constant !== null && (constant === null || constant.kind === 'off')) return null;
  const hideExpires = new Hider(H.expires);
  const hideCacheControl = new Hider(H['cache-control']);

  return (r) => {
    const expires = constant ?? parseExpires(value.get(r), modified);
    if (expires === null || expires.kind === 'off') return;
    const now = Math.floor(clock.wall / 1000);
    hideExpires.hide(r);
    hideCacheControl.hide(r);
    r.fields.remove('cache-control');
    const [date, cacheControl] = expiry(r, expires, now, constant);
    r.fields.set('Expires', date);
    r.fields.add('Cache-Control', cacheControl);
  };
}

/** @returns values of `Expires` and `Cache-Control` */
function expiry(r: HttpRequest, expires: Expires, now: number, constant: Expires | null): [string, string] {
  if (!('seconds' in expires)) {
    return expires.kind === 'max' ? [FAR_FUTURE, 'max-age=315360000'] : [LONG_AGO, 'no-cache'];
  }
  if (expires.seconds === 0 && expires.kind !== 'daily') return [formatHttpDate(now), 'max-age=0'];
  let time: number;
  const changed = expires.kind === 'modified' ? lastModified(r) : -1;
  if (expires.kind === 'daily') time = nextTimeOfDay(expires.seconds, now);
  else time = expires.seconds + (changed === -1 ? now : changed);
  const maxAge = time - now;
  // nginx looks at the sign of a time only when it is written in the configuration.
  const past = maxAge < 0 || (constant !== null && 'seconds' in constant && constant.seconds < 0);
  return [formatHttpDate(time), past ? 'no-cache' : `max-age=${maxAge}`];
}

/** Seconds since the epoch of the answer's `Last-Modified`, -1 if it has none. */
function lastModified(r: HttpRequest): number {
  const text = r.fields.get('last-modified') ?? (r.block === null ? null : r.block.get(H['last-modified']));
  return text === null ? -1 : parseHttpDate(text);
}

/** The next moment, in local time, that is so many seconds after midnight. */
function nextTimeOfDay(seconds: number, now: number): number {
  const day = new Date(now * 1000);
  const at = (date: number): number =>
    new Date(day.getFullYear(), day.getMonth(), date, 0, 0, seconds).getTime() / 1000;
  const today = at(day.getDate());
  return today > now ? today : at(day.getDate() + 1);
}

// ------------------------------------------------------------------------------------------------ trailers

/** `add_trailer`: evaluated when the body has ended. */
export class TrailerProgram {
  readonly #fields: AddedField[];

  constructor(fields: AddedField[]) {
    this.#fields = fields;
  }

  /** Whether this answer may get trailers: it must be sent chunked then, whatever its length. */
  expected(r: HttpRequest): boolean {
    if (r.parent !== null) return false;
    const safe = isSafe(r.status);
    return this.#fields.some((field) => safe || field.always);
  }

  /** Adds the trailers of an answer whose body has ended. */
  fill(r: HttpRequest, into: FieldList): void {
    const safe = isSafe(r.status);
    for (const field of this.#fields) {
      if (!safe && !field.always) continue;
      const value = field.value.get(r);
      if (value !== '') into.add(field.name, value);
    }
  }
}

class AddedTrailers implements Trailing {
  readonly fields: FieldList = new FieldList();
  readonly #program: TrailerProgram;

  constructor(program: TrailerProgram) {
    this.#program = program;
  }

  fill(r: HttpRequest): void {
    this.#program.fill(r, this.fields);
  }
}

/** Lets an answer end with trailers: they need chunks, so its length is not told. Null when there are none. */
export function trailerHook(program: TrailerProgram | null): HeadHook | null {
  if (program === null) return null;
  return (r) => {
    if (r.version < 11 || !r.loc.core.chunkedTransferEncoding || r.headerOnly || !program.expected(r)) return;
    r.contentLength = -1;
    r.trailing = new AddedTrailers(program);
  };
}

/** Compiles `add_trailer`; null when there is none. */
export function compileTrailers(config: HeadersConfig, table: VariableTable): TrailerProgram | null {
  if (config.addTrailers.length === 0) return null;
  return new TrailerProgram(
    config.addTrailers.map(({ name, value, always }) => ({
      name,
      lower: name.toLowerCase(),
      value: table.compile(value),
      always,
      hider: null,
    })),
  );
}

/** One hook that runs several in order; null for none. */
export function joinHooks(hooks: readonly (HeadHook | null)[]): HeadHook | null {
  const present = hooks.filter((hook) => hook !== null);
  if (present.length <= 1) return present[0] ?? null;
  return (r) => {
    for (let i = 0; i < present.length; i++) present[i]!(r);
  };
}
