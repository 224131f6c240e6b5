/** Removes all entries whose keys fit (a wildcard, or the variants of one key): reads the keys from the files, in pieces. */
import { open } from 'node:fs/promises';
import { Buffer } from 'node:buffer';
import { announcedLength, KEY_AT, keyIn } from './file-format.ts';
import type { CacheStore } from './store.ts';

export interface PurgerConfig {
  purgerFiles: number;
  purgerSleepMs: number;
  purgerThresholdMs: number;
}

/** Enough for most keys. */
const PREFIX = 1024;

/**
 * @param fits whether an entry with this key is to go
 * @param sleep waits; the purger goes on when it ends
 * @returns how many entries were removed
 */
export async function purgeAll(
  store: CacheStore,
  fits: (key: string) => boolean,
  config: PurgerConfig,
  sleep: (ms: number) => Promise<void>,
): Promise<number> {
  let removed = 0;
  let files = 0;
  let since = performance.now();
  for (let node = 0; node < store.keys.capacity; node += 256) {
    for (const key of store.keys.filesOf(node, 256)) {
      const text = await keyText(store.pathOf(key));
      if (text !== null && fits(text) && store.remove(key)) removed++;
      files++;
      if (files < config.purgerFiles && performance.now() - since < config.purgerThresholdMs) continue;
      await sleep(config.purgerSleepMs);
      files = 0;
      since = performance.now();
    }
  }
  return removed;
}

/** The key that stands in a file; null when it cannot be read. */
async function keyText(path: string): Promise<string | null> {
  let file;
  try {
    file = await open(path, 'r');
  } catch {
    return null;
  }
  try {
    const buf = Buffer.allocUnsafe(PREFIX);
    const { bytesRead } = await file.read(buf, 0, PREFIX, 0);
    if (announcedLength(buf.subarray(0, bytesRead)) < 0 || bytesRead < KEY_AT) return null;
    const key = keyIn(buf.subarray(0, bytesRead));
    if (typeof key === 'string') return key;
    const long = Buffer.allocUnsafe(key);
    const rest = await file.read(long, 0, key, KEY_AT);
    return rest.bytesRead === key ? long.latin1Slice(0, key) : null;
  } catch {
    return null;
  } finally {
    await file.close();
  }
}
