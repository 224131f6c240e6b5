/** What filters that change an answer's body have in common: for which types they work, and what of its head goes. */
import type { HttpRequest } from '../request.ts';
import { H } from '../wire/known.ts';
import { Hider } from './headers.ts';

/**
 * Tests an answer's content type against a list (`ssi_types`, `sub_filter_types`, …): without parameters, in any case;
 * `*` is all of them.
 */
export function contentTypes(types: readonly string[]): (r: HttpRequest) => boolean {
  if (types.includes('*')) return () => true;
  const listed = new Set(types.map((type) => type.toLowerCase()));
  return (r) => {
    const type = contentType(r);
    if (type === null) return false;
    const semicolon = type.indexOf(';');
    const bare = semicolon < 0 ? type : type.slice(0, semicolon).trimEnd();
    return listed.has(bare) || listed.has(bare.toLowerCase());
  };
}

/**
 * Whether filters will change an answer whose head stands in `r`; null: none is configured that does.
 *
 * @param filters those that go by the type alone
 * @param others those that ask more than that; null: not configured
 */
export function rewritesBody(
  filters: readonly ({ types: readonly string[] } | undefined)[],
  ...others: (((r: HttpRequest) => boolean) | null)[]
): ((r: HttpRequest) => boolean) | null {
  const types = filters.flatMap((filter) => filter?.types ?? []);
  const tests = others.filter((test) => test !== null);
  if (types.length > 0) tests.unshift(contentTypes(types));
  if (tests.length <= 1) return tests[0] ?? null;
  return (r) => tests.some((test) => test(r));
}

function contentType(r: HttpRequest): string | null {
  return r.contentType ?? (r.block === null ? null : r.block.get(H['content-type']));
}

const hideRanges = new Hider(H['accept-ranges']);
const hideModified = new Hider(H['last-modified']);
const hideEtag = new Hider(H.etag);

/**
 * The body will be another: its length is not known, ranges cannot be had of it. What told its version goes, too, unless
 * the configuration keeps it; then its tag is weak.
 */
export function changesBody(r: HttpRequest, keepsModified: boolean): void {
  r.contentLength = -1;
  hideRanges.hide(r);
  r.fields.remove('accept-ranges');
  if (!keepsModified) {
    hideModified.hide(r);
    hideEtag.hide(r);
    r.fields.remove('last-modified');
    r.fields.remove('etag');
    return;
  }
  const etag = r.fields.get('etag') ?? (r.block === null ? null : r.block.get(H.etag));
  if (etag === null || etag.startsWith('W/')) return;
  hideEtag.hide(r);
  // What is not a tag at all cannot be made a weak one.
  if (etag.startsWith('"')) r.fields.set('ETag', `W/${etag}`);
  else r.fields.remove('etag');
}
