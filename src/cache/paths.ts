/** Where files stand: `levels` of directories taken from the end of the name, as nginx has them. */
import type { Buffer } from 'node:buffer';

/** Directory and the lengths of the names of its levels of subdirectories. */
export interface TreePath {
  dir: string;
  /** None to three numbers of 1 or 2 (a cache), or 1 to 3 (temporary files). */
  levels: readonly number[];
}

/** `…/c/29/b7f54b2df7773722d382f4809d65029c` for levels 1 and 2. */
export function leveled({ dir, levels }: TreePath, name: string): string {
  let path = dir;
  let end = name.length;
  for (const level of levels) {
    path += `/${name.slice(Math.max(0, end - level), end)}`;
    end -= level;
  }
  return `${path}/${name}`;
}

/** The file of a key. */
export function cacheFile(tree: TreePath, key: Buffer): string {
  return leveled(tree, key.toString('hex'));
}

const NAME = /^[0-9a-f]{32}$/;
/** Files on their way into a cache that has `use_temp_path=off`. */
const TEMPORARY = /^[0-9a-f]{32}\.\d{10}$/;

/** What a file in a cache's directory is, by its name. */
export function kindOfFile(name: string): 'entry' | 'temporary' | 'foreign' {
  return NAME.test(name) ? 'entry' : TEMPORARY.test(name) ? 'temporary' : 'foreign';
}

let serial = Math.floor(Math.random() * 1e10);

/** Ten digits, another number each time. */
export function temporaryNumber(): string {
  serial = (serial + 1) % 1e10;
  return String(serial).padStart(10, '0');
}
