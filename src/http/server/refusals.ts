/** What a client is told whose request head cannot be parsed. */
import { BAD, BAD_VERSION, TOO_LONG, TOO_MANY } from '../wire/outcomes.ts';

export interface Refusal {
  status: number;
  /** For the error log. */
  why: string;
}

/**
 * @param result what parsing came to
 * @param lineDone the request line was complete: it is a field that is wrong
 */
export function refusalOf(result: number, lineDone: boolean): Refusal {
  if (result === BAD_VERSION)
    return { status: 505, why: 'client sent invalid version while reading client request line' };
  if (result === TOO_MANY) return { status: 494, why: 'client sent too many header lines' };
  if (result === TOO_LONG) {
    return lineDone
      ? { status: 494, why: 'client sent too long header line' }
      : { status: 414, why: 'client sent too long URI while reading client request line' };
  }
  return result === BAD && lineDone
    ? { status: 400, why: 'client sent invalid header line while reading client request headers' }
    : { status: 400, why: 'client sent invalid request while reading client request line' };
}
