/** `add_before_body`, `add_after_body`: subrequests before and behind a body (ngx_http_addition_filter_module). */
import type { AdditionConfig } from '../../config/model-content.ts';
import type { HttpRequest } from '../request.ts';
import { changesBody, contentTypes } from './body-change.ts';
import { ChainedFilter, prependFilter } from './chain.ts';
import type { HeadHook } from './headers.ts';
import type { PostponeFilter } from './postpone.ts';
import { postpone } from './postpone.ts';

class AdditionFilter extends ChainedFilter {
  readonly #config: AdditionConfig;
  readonly #postpone: PostponeFilter;

  constructor(config: AdditionConfig, after: PostponeFilter) {
    super();
    this.#config = config;
    this.#postpone = after;
  }

  override sendHead(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): number {
    if (r.headerOnly) return this.nextHead(r, buf, start, end, last);
    this.nextHead(r, null, 0, 0, false);
    const { before } = this.#config;
    if (before !== null) this.#postpone.include(before, '');
    if ((buf !== null && end > start) || last) return this.sendBody(r, buf, start, end, last);
    return this.#postpone.settle();
  }

  override sendBody(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): number {
    const { after } = this.#config;
    if (!last || after === null || r.headerOnly) return this.nextBody(r, buf, start, end, last);
    if (buf !== null && end > start) this.nextBody(r, buf, start, end, false);
    this.#postpone.include(after, '');
    return this.nextBody(r, null, 0, 0, true);
  }
}

/** Null where nothing is added. */
export function compileAddition(config: AdditionConfig | undefined): HeadHook | null {
  if (config === undefined) return null;
  const types = contentTypes(config.types);
  return (r) => {
    if (r.parent !== null || r.status !== 200 || !types(r)) return;
    changesBody(r, true);
    prependFilter(r, new AdditionFilter(config, postpone(r)));
  };
}
