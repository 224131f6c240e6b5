/** Body filters in a row: each hands on to the next, the last one to the connection. */
import type { BodyFilter, HttpRequest } from '../request.ts';

export abstract class ChainedFilter implements BodyFilter {
  next: BodyFilter | null = null;

  abstract sendHead(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): number;
  abstract sendBody(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): number;

  protected nextHead(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): number {
    return this.next === null
      ? r.channel.sendHead(r, buf, start, end, last)
      : this.next.sendHead(r, buf, start, end, last);
  }

  protected nextBody(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): number {
    return this.next === null
      ? r.channel.sendBody(r, buf, start, end, last)
      : this.next.sendBody(r, buf, start, end, last);
  }

  close(): void {
    if (this.next !== null) this.next.close();
    this.next = null;
  }
}

/** Puts a filter before those that are there: it sees bytes first. */
export function prependFilter(r: HttpRequest, filter: ChainedFilter): void {
  filter.next = r.filter;
  r.filter = filter;
}

/** Puts a filter behind those that are there: next to the connection. */
export function appendFilter(r: HttpRequest, filter: ChainedFilter): void {
  let last = r.filter;
  if (last === null) {
    r.filter = filter;
    return;
  }
  while (last instanceof ChainedFilter && last.next !== null) last = last.next;
  if (last instanceof ChainedFilter) last.next = filter;
  // A filter of another kind ends its chain itself: there is no place behind it.
  else prependFilter(r, filter);
}
