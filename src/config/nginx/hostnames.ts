/**
 * Host names with wildcards, as `server_name` and `map … { hostnames; }` share them (ngx_hash_add_key).
 */

export interface WildcardName {
  kind: 'suffix' | 'prefix';
  /** `.example.com` for `*.example.com`; `mail.` for `mail.*`. */
  name: string;
}

export interface HostName {
  exact: string | null;
  wildcard: WildcardName | null;
}

/**
 * Takes a name apart.
 *
 * @param name as written; may begin with `*.` or `.`, or end in `.*`
 * @returns null if the wildcard stands where it cannot
 */
export function parseHostName(name: string): HostName | null {
  const lower = name.toLowerCase();
  const stars = lower.split('*').length - 1;
  if (stars > 1 || lower.includes('..') || lower.includes('\0')) return null;
  if (lower.length > 1 && lower.startsWith('.')) {
    return { exact: lower.slice(1), wildcard: { kind: 'suffix', name: lower } };
  }
  if (lower.length > 2 && lower.startsWith('*.')) {
    return { exact: null, wildcard: { kind: 'suffix', name: lower.slice(1) } };
  }
  if (lower.length > 2 && lower.endsWith('.*')) {
    return { exact: null, wildcard: { kind: 'prefix', name: lower.slice(0, -1) } };
  }
  return stars > 0 ? null : { exact: lower, wildcard: null };
}

/** Names that were given, to find those given twice. */
export class HostNameSet {
  private readonly seen = new Set<string>();

  /** @returns false if the name, or a part of what it means, is there already */
  add(name: HostName): boolean {
    const keys = [
      ...(name.exact === null ? [] : [`=${name.exact}`]),
      ...(name.wildcard === null ? [] : [`${name.wildcard.kind} ${name.wildcard.name}`]),
    ];
    const known = keys.some((key) => this.seen.has(key));
    if (!known) for (const key of keys) this.seen.add(key);
    return !known;
  }
}
