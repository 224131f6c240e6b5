/** The path that a request has at the service: what `strip_path`, `path_handling` and the service's path make of it. Pure. */

/**
 * @param path of the request, normal form
 * @param matched how much of it the route's path has taken
 * @param base path of the service; null: none
 */
export function servicePath(
  path: string,
  matched: number,
  base: string | null,
  stripPath: boolean,
  handling: 'v0' | 'v1',
): string {
  const rest = stripPath ? path.slice(matched) : path;
  const from = base === null || base === '' ? '/' : base;
  return handling === 'v0' ? joinV0(from, rest, path) : joinV1(from, rest);
}

/** Exactly one slash between the two; a slash at the end of what came stays, none is added. */
function joinV0(base: string, rest: string, path: string): string {
  if (base === '/') return rest.startsWith('/') ? rest : `/${rest}`;
  const stem = base.endsWith('/') ? base.slice(0, -1) : base;
  if (rest === '') return path.length > 1 && path.endsWith('/') ? `${stem}/` : stem;
  return rest.startsWith('/') ? stem + rest : `${stem}/${rest}`;
}

/** One behind the other; two slashes become one. */
function joinV1(base: string, rest: string): string {
  return base.endsWith('/') && rest.startsWith('/') ? base + rest.slice(1) : base + rest;
}
