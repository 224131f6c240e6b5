/** `gzip` and `gunzip`: which answers are compressed for whom (ngx_http_gzip_ok), and that they are. */
import type * as Zlib from 'node:zlib';
import type { ZlibOptions } from 'node:zlib';
import type { GzipConfig, GzipProxied } from '../../config/model-answers.ts';
import { compilePattern } from '../../config/pcre.ts';
import { clock } from '../../net/clock.ts';
import type { HttpRequest } from '../request.ts';
import { H } from '../wire/known.ts';
import { changesBody, contentTypes } from './body-change.ts';
import { appendFilter, ChainedFilter } from './chain.ts';
import { Hider } from './headers.ts';
import type { HeadHook } from './headers.ts';
import { parseHttpDate } from './http-date.ts';
import { ZlibFilter } from './zlib-filter.ts';

/** Loaded with the first answer that is compressed: it is not free at a worker's start. */
const zlib = (): typeof Zlib => process.getBuiltinModule('node:zlib');

/** An answer that is at hand as a whole and has no more bytes than this is compressed at once. */
const AT_ONCE = 32 * 1024;

const ENCODING = new Hider(H['content-encoding']);

/** What may become of an answer, as far as it is up to the answer. */
const AS_IS = 0;
const PACKED = 1;
const UNPACKED = 2;

export interface Gzip {
  hook: HeadHook;
  /** Whether the hook will change the body of the answer whose head stands in `r`. */
  changes: (r: HttpRequest) => boolean;
}

/** @returns null when the location neither compresses nor unpacks */
export function compileGzip(config: GzipConfig): Gzip | null {
  if (!config.on && !config.gunzip) return null;
  const client = new GzipClient(config);
  const fits = contentTypes(['text/html', ...config.types]);
  const packs = (r: HttpRequest): boolean =>
    config.on &&
    (r.status === 200 || r.status === 403 || r.status === 404) &&
    (r.contentLength < 0 || r.contentLength >= config.minLength) &&
    fits(r);
  const outcome = (r: HttpRequest): typeof AS_IS | typeof PACKED | typeof UNPACKED => {
    // The main request's answer is compressed as one.
    if (r.parent !== null) return AS_IS;
    const coding = answerField(r, 'content-encoding', H['content-encoding']);
    if (coding === null || coding === '') return packs(r) ? PACKED : AS_IS;
    return config.gunzip && coding.toLowerCase() === 'gzip' ? UNPACKED : AS_IS;
  };
  return {
    changes: (r) => {
      const what = outcome(r);
      return what !== AS_IS && client.takes(r) === (what === PACKED);
    },
    hook: (r) => {
      const what = outcome(r);
      if (what === AS_IS) return;
      if (config.vary) varyByEncoding(r);
      if (client.takes(r) !== (what === PACKED)) return;
      if (what === PACKED) pack(r, config);
      else unpack(r);
    },
  };
}

/** Says once that what is answered depends on what codings the client takes. */
export function varyByEncoding(r: HttpRequest): void {
  for (let i = r.fields.find('vary'); i >= 0; i = r.fields.find('vary', i)) {
    if (r.fields.values[i] === 'Accept-Encoding') return;
  }
  r.fields.add('Vary', 'Accept-Encoding');
}

function pack(r: HttpRequest, config: GzipConfig): void {
  const length = r.contentLength;
  r.fields.add('Content-Encoding', 'gzip');
  changesBody(r, true);
  if (!r.headerOnly) appendFilter(r, new GzipFilter(r, options(r, config.level, length), length));
}

function unpack(r: HttpRequest): void {
  ENCODING.hide(r);
  r.fields.remove('content-encoding');
  changesBody(r, true);
  const { constants, createGunzip } = zlib();
  const stream = createGunzip({ flush: constants.Z_SYNC_FLUSH, finishFlush: constants.Z_SYNC_FLUSH });
  if (!r.headerOnly) appendFilter(r, new ZlibFilter(r, stream));
}

/** Smaller windows for short answers, as nginx chooses them; with `proxy_buffering off` each piece goes out at once. */
function options(r: HttpRequest, level: number, length: number): ZlibOptions {
  let windowBits = 15;
  let memLevel = 8;
  while (length > 0 && windowBits > 9 && length < (1 << (windowBits - 1)) - 262) {
    windowBits--;
    memLevel--;
  }
  const streams = r.block !== null && (!r.loc.config.proxy.buffering || isUnbuffered(r));
  return {
    level,
    windowBits,
    memLevel: Math.max(1, memLevel),
    flush: streams ? zlib().constants.Z_SYNC_FLUSH : zlib().constants.Z_NO_FLUSH,
  };
}

function isUnbuffered(r: HttpRequest): boolean {
  return r.block !== null && r.block.get(H['x-accel-buffering']) === 'no';
}

/** Compresses; an answer that is whole and short without a detour. */
class GzipFilter extends ChainedFilter {
  readonly #r: HttpRequest;
  readonly #options: ZlibOptions;
  readonly #length: number;
  #stream: ZlibFilter | null = null;

  constructor(r: HttpRequest, options: ZlibOptions, length: number) {
    super();
    this.#r = r;
    this.#options = options;
    this.#length = length;
  }

  override sendHead(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): number {
    if (last && end - start <= AT_ONCE) {
      const packed = zlib().gzipSync(buf === null ? '' : buf.subarray(start, end), this.#options);
      return this.nextHead(r, packed, 0, packed.length, true);
    }
    return this.#begin().sendHead(r, buf, start, end, last);
  }

  #begin(): ZlibFilter {
    const chunkSize = this.#length > 0 && this.#length < 16_384 ? 4096 : 16_384;
    const stream = new ZlibFilter(this.#r, zlib().createGzip({ ...this.#options, chunkSize }));
    stream.next = this.next;
    this.#stream = stream;
    return stream;
  }

  override sendBody(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): number {
    return (this.#stream ?? this.#begin()).sendBody(r, buf, start, end, last);
  }

  override close(): void {
    // It closes those behind both.
    if (this.#stream === null) super.close();
    else this.#stream.close();
    this.next = null;
  }
}

// ------------------------------------------------------------------------------------------------ clients

/** What the answer has in a field, made here or by the server. */
function answerField(r: HttpRequest, lower: string, id: number): string | null {
  const made = r.fields.get(lower);
  if (made !== null || r.block === null) return made;
  return r.hide !== null && r.hide.ids[id] !== 0 ? null : r.block.get(id);
}

const MSIE6 = /MSIE [4-6]\.(?!.*SV1)/;

/** Who takes compressed answers. */
export class GzipClient {
  readonly #config: GzipConfig;
  readonly #disabled: RegExp[];
  readonly #proxied: ReadonlySet<GzipProxied>;

  constructor(config: GzipConfig) {
    this.#config = config;
    this.#proxied = new Set(config.proxied);
    this.#disabled = config.disable.map((regex) => {
      const compiled = compilePattern(regex);
      if (!compiled.ok) throw new TypeError(compiled.error);
      return new RegExp(compiled.source, compiled.flags);
    });
  }

  takes(r: HttpRequest): boolean {
    const accepted = r.header(H['accept-encoding']);
    if (accepted === null || !acceptsGzip(accepted) || r.version < this.#config.httpVersion) return false;
    if (r.head.has(H.via) && !this.#throughProxy(r)) return false;
    const agent = r.header(H['user-agent']);
    if (agent === null) return true;
    if (this.#config.disableMsie6 && MSIE6.test(agent)) return false;
    return !this.#disabled.some((regex) => regex.test(agent));
  }

  /** `gzip_proxied`: the answer may be kept by a proxy for clients that do not take it compressed. */
  #throughProxy(r: HttpRequest): boolean {
    const proxied = this.#proxied;
    if (proxied.has('off')) return false;
    if (proxied.has('any') || (proxied.has('auth') && r.head.has(H.authorization))) return true;
    const expires = answerField(r, 'expires', H.expires);
    if (expires !== null) {
      if (!proxied.has('expired')) return false;
      const date = answerField(r, 'date', H.date);
      const now = date === null ? Math.floor(clock.wall / 1000) : parseHttpDate(date);
      const until = parseHttpDate(expires);
      return until !== -1 && now !== -1 && until < now;
    }
    const control = answerField(r, 'cache-control', H['cache-control']);
    if (control !== null) {
      const words = control.toLowerCase().split(/[\s,]+/);
      return (['no-cache', 'no-store', 'private'] as const).some((word) => proxied.has(word) && words.includes(word));
    }
    if (proxied.has('no_last_modified') && answerField(r, 'last-modified', H['last-modified']) !== null) return false;
    return !(proxied.has('no_etag') && answerField(r, 'etag', H.etag) !== null);
  }
}

/** Whether an `Accept-Encoding` names gzip with a quality above zero (RFC 9110 section 12.5.3), read as nginx does. */
export function acceptsGzip(value: string): boolean {
  const match = /(?:^|[, ])gzip *(?:$|,|;(.*))/is.exec(value);
  if (match === null) return false;
  if (match[1] === undefined) return true;
  const quality = /^ *q=([01](?:\.[0-9]{0,3})?)(?:[, ]|$)/i.exec(match[1]);
  if (quality === null) return /^ *$/.test(match[1]);
  const q = Number(quality[1]);
  return q > 0 && q <= 1;
}
