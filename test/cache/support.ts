/** Keys, headers and directories for tests of the cache's store. */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { FileHeader } from '../../src/cache/file-format.ts';
import { createKeysZone } from '../../src/cache/layout.ts';
import { CacheStore } from '../../src/cache/store.ts';
import type { StoreConfig } from '../../src/cache/store.ts';

export const key = (text: string): Buffer => createHash('md5').update(text).digest();

export const header = (over: Partial<FileHeader> = {}): FileHeader => ({
  key: 'http://a/',
  vary: '',
  variant: null,
  etag: '"x"',
  lastModified: 1_700_000_000,
  validUntil: 1_800_000_000,
  staleUpdating: 5,
  staleError: 6,
  date: 1_750_000_000,
  bodyLength: 0,
  head: Buffer.from('HTTP/1.1 200 OK\r\nETag: "x"\r\n\r\n'),
  ...over,
});

export function scratch(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'headrace-cache-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

export interface Lab {
  dir: string;
  store: CacheStore;
  zone: SharedArrayBuffer;
  config: StoreConfig;
  temporary: { dir: string; levels: number[] };
  logged: string[];
  put(text: string, body: string, over?: Partial<FileHeader>): number;
}

export function lab(t: TestContext, options: Partial<StoreConfig> = {}, zoneSize = 1 << 20): Lab {
  const dir = scratch(t);
  const config: StoreConfig = { dir: join(dir, 'cache'), levels: [1, 2], useTempPath: true, ...options };
  const zone = createKeysZone(zoneSize);
  const logged: string[] = [];
  const store = new CacheStore(zone, 0, config, (level, message) => logged.push(`${level}: ${message}`));
  const temporary = { dir: join(dir, 'temp'), levels: [1, 2] };
  const put = (text: string, body: string, over: Partial<FileHeader> = {}): number => {
    const buf = Buffer.from(body);
    const piece = { buf, start: 0, end: buf.length };
    return store.writeWhole(key(text), 0, header({ key: text, ...over }), piece, temporary, 1_000);
  };
  return { dir, store, zone, config, temporary, logged, put };
}
