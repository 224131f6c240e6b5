/**
 * Locations of a server, or those nested in a location, found by URI in nginx's order: the exact one, the longest
 * prefix (with what is nested in it), regular expressions in order of configuration unless the prefix forbids it (`^~`).
 *
 * Prefixes and exact names form a radix tree, so that a look-up reads the URI once, however many locations there are.
 */
import { escapeUri } from '../wire/escape.ts';
import type { HttpRequest } from '../request.ts';
import type { Location } from '../runtime.ts';
import { CaptureRegex } from '../../variables/regex.ts';
import type { CaptureSlots } from '../../variables/regex.ts';

/** One node: the text from its parent, what ends there, what goes on. */
interface Node {
  label: string;
  /** Length of the whole name that ends here. */
  depth: number;
  prefix: Location | null;
  exact: Location | null;
  /** The name ends in `/` and its location proxies: the URI without that slash is sent here (301). */
  redirects: boolean;
  children: Node[];
  /** Child by its label's first byte, counted from 1; only where there are many. */
  index: Uint16Array | null;
}

const MANY = 6;
const SLASH = 0x2f;

/** Answers of a search; the location stands in `found`. */
const NONE = 0;
const INCLUSIVE = 1;
const FINAL = 2;
const REDIRECT = 3;

let found: Location | null = null;

export class LocationTree {
  readonly #root: Node | null = null;
  readonly #regexes: { regex: CaptureRegex; location: Location }[] = [];

  /**
   * @param locations in order of configuration; kinds that are not found by URI (named, `if`) are left out
   * @param slots where named groups are stored (the generation's `VariableTable`)
   */
  constructor(locations: readonly Location[], slots: CaptureSlots) {
    const root: Node = node('', 0);
    let any = false;
    for (const location of locations) {
      const { match } = location.config;
      if (match.kind === 'regex') {
        this.#regexes.push({ regex: new CaptureRegex(match.regex, slots), location });
      } else if (match.kind === 'exact' || match.kind === 'prefix') {
        any = true;
        const at = insert(root, match.path, 0);
        if (match.kind === 'exact') at.exact ??= location;
        else at.prefix ??= location;
        if (redirectsSlash(location)) at.redirects = true;
      }
    }
    if (!any) return;
    this.#root = root;
    finish(root);
  }

  /**
   * Finds the location of a URI; regular expressions leave their captures in `r`.
   *
   * @returns the location; where to redirect the client (301, without query) when only the final slash is missing;
   * null: none matches
   */
  find(uri: string, r: HttpRequest): Location | string | null {
    found = null;
    const result = this.search(uri, r);
    return result === REDIRECT ? escapeUri(found!.config.name) : found;
  }

  /** @internal */
  search(uri: string, r: HttpRequest): number {
    let result = this.#root === null ? NONE : findStatic(this.#root, uri);
    if (result === FINAL || result === REDIRECT) return result;
    let regexes = true;
    if (result === INCLUSIVE) {
      const { match } = found!.config;
      regexes = match.kind !== 'prefix' || !match.noRegex;
      const nested = found!.locations;
      if (nested !== null) {
        const inner = nested.search(uri, r);
        if (inner === FINAL || inner === REDIRECT) return inner;
      }
    }
    if (regexes) {
      for (let i = 0; i < this.#regexes.length; i++) {
        const { regex, location } = this.#regexes[i]!;
        if (!regex.exec(r, uri)) continue;
        found = location;
        if (location.locations !== null) location.locations.search(uri, r);
        result = FINAL;
        break;
      }
    }
    return result;
  }
}

function redirectsSlash(location: Location): boolean {
  const { match, handler } = location.config;
  if (match.kind === 'prefix') return match.autoRedirect;
  return match.kind === 'exact' && match.path.endsWith('/') && 'pass' in handler;
}

function node(label: string, depth: number): Node {
  return { label, depth, prefix: null, exact: null, redirects: false, children: [], index: null };
}

/** Finds or makes the node of `path` below `parent`, whose name is `path`'s first `at` bytes. */
function insert(parent: Node, path: string, at: number): Node {
  if (at === path.length) return parent;
  for (let i = 0; i < parent.children.length; i++) {
    const child = parent.children[i]!;
    let same = 0;
    while (same < child.label.length && child.label.charCodeAt(same) === path.charCodeAt(at + same)) same++;
    if (same === 0) continue;
    if (same < child.label.length) {
      const middle = node(child.label.slice(0, same), at + same);
      child.label = child.label.slice(same);
      middle.children.push(child);
      parent.children[i] = middle;
    }
    return insert(parent.children[i]!, path, at + same);
  }
  const leaf = node(path.slice(at), path.length);
  parent.children.push(leaf);
  return leaf;
}

function finish(at: Node): void {
  if (at.children.length > MANY) {
    at.index = new Uint16Array(256);
    at.children.forEach((child, i) => {
      at.index![child.label.charCodeAt(0) & 0xff] = i + 1;
    });
  }
  at.children.forEach(finish);
}

function childOf(at: Node, byte: number): Node | null {
  const { children, index } = at;
  if (index !== null) {
    const i = index[byte & 0xff]!;
    return i === 0 ? null : children[i - 1]!;
  }
  for (let i = 0; i < children.length; i++) if (children[i]!.label.charCodeAt(0) === byte) return children[i]!;
  return null;
}

/** Walks down the tree as far as the URI goes. Leaves the longest prefix, or what ends the search, in `found`. */
function findStatic(root: Node, uri: string): number {
  const { length } = uri;
  let at = root;
  let result = NONE;
  for (;;) {
    if (at.prefix !== null) {
      found = at.prefix;
      result = INCLUSIVE;
    }
    const position = at.depth;
    if (position === length) {
      if (at.exact !== null) {
        found = at.exact;
        return FINAL;
      }
      if (at.prefix !== null) return INCLUSIVE;
      const slash = childOf(at, SLASH);
      return slash !== null && isMissingSlash(slash, uri, position) ? redirect(slash) : result;
    }
    const child = childOf(at, uri.charCodeAt(position));
    if (child === null) return result;
    if (!uri.startsWith(child.label, position)) {
      return isMissingSlash(child, uri, position) ? redirect(child) : result;
    }
    at = child;
  }
}

/** Whether the URI is the node's name but for its final slash. */
function isMissingSlash(at: Node, uri: string, position: number): boolean {
  return at.redirects && at.depth === uri.length + 1 && at.label.startsWith(uri.slice(position));
}

function redirect(at: Node): number {
  found = at.exact ?? at.prefix;
  return REDIRECT;
}
