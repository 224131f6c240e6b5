/**
 * Where the package's files are: as seen from `src/` in a checkout, and from `dist/`, which has one floor only (see
 * `scripts/build.ts`). Nobody else asks where he is: in a build modules have no files of their own.
 */

/**
 * What is started by its file, as a program or a thread: path in `src/`, without ending.
 * `net/quic/helper/main` is run by another program than Node.
 */
export const ENTRIES = ['cli/main', 'worker/main', 'http/access/crypt/thread', 'net/quic/helper/main'] as const;

export type Entry = (typeof ENTRIES)[number];

/** Its file in `dist/`. */
export function builtName(entry: Entry): string {
  return `${entry.replaceAll('/', '-')}.js`;
}

export function entryFile(entry: Entry): URL {
  return new URL(import.meta.url.endsWith('.ts') ? `${entry}.ts` : builtName(entry), import.meta.url);
}

/** @param path from the package's root */
export function packageFile(path: string): URL {
  return new URL(`../${path}`, import.meta.url);
}
