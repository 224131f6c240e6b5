/**
 * `charset` and its family, and `X-Accel-Charset` (ngx_http_charset_filter_module): which charset an answer is said to be
 * in, and whether it has to be recoded for that.
 */
import type { CharsetConfig } from '../../../config/model-answers.ts';
import type { HttpRequest } from '../../request.ts';
import { logRequest } from '../../request-log.ts';
import type { VariableTable } from '../../variables/table.ts';
import type { Value } from '../../variables/value.ts';
import { H } from '../../wire/known.ts';
import { contentTypes } from '../body-change.ts';
import { prependFilter } from '../chain.ts';
import { Hider } from '../headers.ts';
import { Recoder } from './recoder.ts';
import type { Charsets, Recoding } from './tables.ts';

/** A content type in two: what stands before its charset, and that; '': none. */
interface TypeParts {
  bare: string;
  charset: string;
}

const CHARSET = /; *charset="?(.*?)"?$/is;

function partsOf(type: string): TypeParts {
  const match = CHARSET.exec(type);
  return match === null ? { bare: type, charset: '' } : { bare: type.slice(0, match.index), charset: match[1]! };
}

/** What becomes of an answer. */
interface Decision {
  /** Its content type. */
  type: string;
  recoding: Recoding | null;
  /** For the log; null: all is well. */
  problem: string | null;
}

const hideType = new Hider(H['content-type']);

export class LocationCharset {
  /** Answers of the location have to be looked at, whatever servers say. */
  readonly active: boolean;
  readonly #charsets: Charsets;
  readonly #charset: Value | null;
  readonly #source: Value | null;
  readonly #override: boolean;
  readonly #types: (r: HttpRequest) => boolean;

  constructor(config: CharsetConfig | undefined, charsets: Charsets, variables: VariableTable) {
    this.active = config !== undefined || charsets.recodes;
    this.#charsets = charsets;
    this.#charset = variables.compileOptional(config?.charset ?? null);
    this.#source = variables.compileOptional(config?.source ?? null);
    this.#override = config?.override ?? false;
    this.#types = contentTypes(config?.types ?? []);
  }

  /** Runs when the head is about to be sent: sets the type, and puts a filter where the body has to be recoded. */
  readonly hook = (r: HttpRequest): void => {
    const type = ownType(r);
    const decision = this.#decide(r, type);
    if (decision === null) return;
    if (decision.problem !== null) {
      logRequest(r, 'error', decision.problem);
      return;
    }
    if (r.parent === null && r.multipart === null && decision.type !== type) {
      hideType.hide(r);
      r.contentType = decision.type;
    }
    const { recoding } = decision;
    if (recoding === null) return;
    if (recoding.kind !== 'bytes' && r.parent === null) r.contentLength = -1;
    prependFilter(r, new Recoder(recoding));
  };

  /** The server says which charset its answer is to be had in. */
  accelerate(r: HttpRequest, charset: string): void {
    r.accelCharset = charset;
    // The head hook comes to it where there is one.
    if (!this.active) this.hook(r);
  }

  /** The content type that clients will see; null: none. */
  typeOf(r: HttpRequest): string | null {
    const type = ownType(r);
    const decision = this.#decide(r, type);
    return decision === null || decision.problem !== null ? type : decision.type;
  }

  /** Whether the answer whose head stands in `r` will be of another length: no ranges can be had of it. */
  readonly changesLength = (r: HttpRequest): boolean => {
    const recoding = this.#decide(r, ownType(r))?.recoding ?? null;
    return recoding !== null && recoding.kind !== 'bytes';
  };

  /** @returns null: the answer stays as it is */
  #decide(r: HttpRequest, type: string | null): Decision | null {
    if (type === null || type === '') return null;
    const { bare, charset: own } = partsOf(type);
    const target = r.parent === null ? this.#target(r, own) : mainCharset(r);
    if (target === null || target === '') return null;
    const stays = { type, recoding: null, problem: null };
    if (r.accelCharset !== null && r.parent === null && !this.#charsets.known(target))
      return { ...stays, problem: `unknown charset "${target}" to override` };

    // A redirect's charset would be taken for that of the next page by very old browsers: nginx names none.
    const told = r.status === 301 || r.status === 302 ? type : `${bare}; charset=${target}`;
    const source = own !== '' ? own : (this.#source?.get(r) ?? null);
    if (source === null) return { ...stays, type: told };
    if (source.toLowerCase() === target.toLowerCase()) return { ...stays, type: told };
    if (encoded(r)) return null;
    const recoding = this.#charsets.recoding(source, target);
    if (recoding === null)
      return { ...stays, problem: `no "charset_map" between the charsets "${source}" and "${target}"` };
    return { type: told, recoding, problem: null };
  }

  /** What an answer is to be in that says of itself that it is in `own`; null: no matter. */
  #target(r: HttpRequest, own: string): string | null {
    if (r.accelCharset !== null) return r.accelCharset;
    if (this.#charset === null) return null;
    if (own === '' ? !this.#types(r) : !this.#override) return null;
    return this.#charset.get(r);
  }
}

/** The type of the content: of an answer with several ranges, that of its parts. */
function ownType(r: HttpRequest): string | null {
  if (r.multipart !== null) return r.multipart.partType;
  if (r.contentType !== null) return r.contentType;
  const { block, hide } = r;
  return block === null || (hide !== null && hide.ids[H['content-type']] !== 0) ? null : block.get(H['content-type']);
}

/** Subrequests give what the page around them is in. */
function mainCharset(r: HttpRequest): string | null {
  let main = r.parent!;
  while (main.parent !== null) main = main.parent;
  const type = ownType(main);
  return type === null ? null : partsOf(type).charset;
}

/** Its content is packed: it cannot be recoded. */
function encoded(r: HttpRequest): boolean {
  if (r.fields.get('content-encoding') !== null) return true;
  const { block, hide } = r;
  const id = H['content-encoding'];
  return block !== null && block.has(id) && (hide === null || hide.ids[id] === 0);
}
