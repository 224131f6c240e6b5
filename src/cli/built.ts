/**
 * Whether `dist/` is what `npm run build` made of the sources that are there. Their content decides, and nothing else: times
 * are not kept by copies and clones, and clocks are set. It takes some 10 ms, and saves 100 of a start.
 */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';

/** `dist/build.json`. */
export interface Manifest {
  /** What the build was made of, and what it consists of: paths from the repository's root, in the order of the digest. */
  files: string[];
  digest: string;
}

/** The longest file there may be. */
const MAX_BYTES = 4 << 20;

/** @param read a file's content */
export function digestOf(files: readonly string[], read: (file: string) => Uint8Array): string {
  const hash = createHash('sha256');
  for (const file of files) {
    const content = read(file);
    hash.update(`${file} ${content.length}\n`).update(content);
  }
  return hash.digest('hex');
}

/**
 * @param root of the repository, with a slash at its end
 * @returns false as well when the build is incomplete, damaged, or not there
 */
export function isBuilt(root: string): boolean {
  try {
    const { files, digest } = JSON.parse(readFileSync(`${root}dist/build.json`, 'utf8')) as Manifest;
    // One buffer for all, and no look at each file's size: that would take half as long again.
    const buffer = Buffer.allocUnsafeSlow(MAX_BYTES);
    const read = (file: string): Uint8Array => {
      const descriptor = openSync(root + file, 'r');
      try {
        return buffer.subarray(0, readSync(descriptor, buffer, 0, MAX_BYTES, null));
      } finally {
        closeSync(descriptor);
      }
    };
    return digestOf(files, read) === digest;
  } catch {
    return false;
  }
}
