/** Content types by the extension of a URI: `types`, `default_type`. */
import type { CoreConfig } from '../../config/model.ts';

/** The extension of a path, in lower case: what follows the last dot of its last segment; empty: none. */
export function extensionOf(uri: string): string {
  const dot = uri.lastIndexOf('.');
  // A segment that begins with the dot, or the path's second byte, is a hidden file and no extension (nginx).
  if (dot <= 1 || uri[dot - 1] === '/' || uri.indexOf('/', dot) >= 0) return '';
  return uri.slice(dot + 1).toLowerCase();
}

/** Tables are shared by all locations that inherit the same `types`. */
const tables = new WeakMap<Record<string, string>, Map<string, string>>();

/** @returns a function from a URI to its content type; null where the type is empty */
export function compileTypes(core: Pick<CoreConfig, 'types' | 'defaultType'>): (uri: string) => string | null {
  let table = tables.get(core.types);
  if (table === undefined) {
    table = new Map(Object.entries(core.types));
    tables.set(core.types, table);
  }
  const types = table;
  const fallback = core.defaultType === '' ? null : core.defaultType;
  if (types.size === 0) return () => fallback;
  return (uri) => {
    const extension = extensionOf(uri);
    return extension === '' ? fallback : (types.get(extension) ?? fallback);
  };
}

const compiled = new WeakMap<object, (uri: string) => string | null>();

/** The content type of a URI in a location whose settings are not known before the request (`return`). */
export function contentTypeOf(core: Pick<CoreConfig, 'types' | 'defaultType'>, uri: string): string | null {
  let types = compiled.get(core);
  if (types === undefined) compiled.set(core, (types = compileTypes(core)));
  return types(uri);
}
