/** Files of a cache: written whole or not at all, and believed only when they are whole. */
import assert from 'node:assert/strict';
import {
  closeSync,
  existsSync,
  readdirSync,
  readFileSync,
  readSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeHeader, encodeHeader } from '../../src/cache/file-format.ts';
import { Loader } from '../../src/cache/loader.ts';
import { Manager } from '../../src/cache/manager.ts';
import { cacheFile } from '../../src/cache/paths.ts';
import { purgeAll } from '../../src/cache/purger.ts';
import { header, key, lab } from './support.ts';
import type { Lab } from './support.ts';

const PACE = { purgerFiles: 2, purgerSleepMs: 0, purgerThresholdMs: 1000 };
const noSleep = async (): Promise<void> => {};

test('names are the sum of the key, below levels from its end', () => {
  const sum = Buffer.from('b7f54b2df7773722d382f4809d65029c', 'hex');
  assert.equal(cacheFile({ dir: '/c', levels: [1, 2] }, sum), '/c/c/29/b7f54b2df7773722d382f4809d65029c');
  assert.equal(cacheFile({ dir: '/c', levels: [] }, sum), '/c/b7f54b2df7773722d382f4809d65029c');
  assert.equal(cacheFile({ dir: '/c', levels: [2, 2, 2] }, sum), '/c/9c/02/65/b7f54b2df7773722d382f4809d65029c');
});

test('a header part comes back as it was', () => {
  const text = (max: number) =>
    fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((c) => String.fromCharCode(c)), maxLength: max });
  const time = fc.integer({ min: 0, max: 4e9 });
  fc.assert(
    fc.property(
      text(300),
      text(128),
      text(128),
      time,
      fc.integer({ min: -1, max: 4e9 }),
      fc.uint8Array(),
      (k, vary, etag, valid, modified, head) => {
        const before = header({
          key: k,
          vary,
          variant: vary === '' ? null : key('v'),
          etag,
          validUntil: valid,
          lastModified: modified,
          bodyLength: 7,
          head: Buffer.from(head),
        });
        const buf = encodeHeader(before);
        assert.deepEqual(decodeHeader(buf, buf.length + 7), before);
        assert.equal(typeof decodeHeader(buf, buf.length + 6), 'string');
      },
    ),
    { numRuns: 100 },
  );
});

test('an entry is read back: small ones into memory, others as an open file', (t) => {
  const { store, put } = lab(t);
  put('small', 'body');
  const small = store.read(key('small'), 'small');
  assert.equal(small?.body?.toString(), 'body');
  assert.equal(small?.fd, -1);
  const long = 'x'.repeat(100_000);
  put('long', long);
  const entry = store.read(key('long'), 'long');
  assert.ok(entry !== null && entry.body === null && entry.fd >= 0);
  const buf = Buffer.alloc(long.length);
  assert.equal(readSync(entry.fd, buf, 0, buf.length, entry.bodyStart), long.length);
  assert.equal(buf.toString(), long);
  closeSync(entry.fd);
  put('headed', 'b', { head: Buffer.alloc(200_000, 'h') });
  const headed = store.read(key('headed'), 'headed');
  assert.equal(headed?.header.head.length, 200_000);
  if (headed !== null && headed.fd >= 0) closeSync(headed.fd);
  assert.equal(store.read(key('none'), 'none'), null);
});

test('whatever happens to a file, it is the entry, or it is none and gone', (t) => {
  const { store, put, logged } = lab(t);
  put('a', 'the body');
  const path = store.pathOf(key('a'));
  const whole = readFileSync(path);
  for (let length = 0; length < whole.length; length++) {
    writeFileSync(path, whole.subarray(0, length));
    assert.equal(store.read(key('a'), 'a'), null, `${length} bytes`);
    assert.ok(!existsSync(path), `${length} bytes`);
  }
  const bodyStart = whole.length - 'the body'.length;
  for (let at = 0; at < bodyStart; at++) {
    const bad = Buffer.from(whole);
    bad[at]! ^= 1;
    writeFileSync(path, bad);
    assert.equal(store.read(key('a'), 'a'), null, `byte ${at}`);
    assert.ok(!existsSync(path), `byte ${at}`);
  }
  writeFileSync(
    path,
    'somebody else wrote this, and it is much longer than the fixed part of a header would have been',
  );
  assert.equal(store.read(key('a'), 'a'), null);
  writeFileSync(path, whole);
  assert.notEqual(store.read(key('a'), 'a'), null);
  assert.match(logged[0]!, /^crit: cache file ".*" is too small, it is removed$/);
});

test('an entry of another key with the same sum is not answered, and not removed', (t) => {
  const { store, put, logged } = lab(t);
  put('a', 'body');
  assert.equal(store.read(key('a'), 'b'), null);
  assert.match(logged[0]!, /md5 collision/);
  assert.notEqual(store.read(key('a'), 'a'), null);
});

test('temporary files stand where they are told to, and none is left', (t) => {
  for (const useTempPath of [true, false]) {
    const { store, put, dir, temporary } = lab(t, { useTempPath });
    const file = store.create(key('x'), temporary);
    assert.equal(file.path.startsWith(useTempPath ? temporary.dir : join(dir, 'cache')), true);
    assert.equal(statSync(file.path).mode & 0o777, 0o600);
    store.commit(key('x'), 0, file, 0, 1);
    put('y', 'body');
    const left = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    assert.deepEqual(left.map(({ name }) => name).sort(), [key('x'), key('y')].map((k) => k.toString('hex')).sort());
  }
});

test('a refreshed entry has new times and another version; one that was replaced meanwhile is left alone', (t) => {
  const { store, put } = lab(t);
  const version = put('a', 'body');
  const entry = store.read(key('a'), 'a')!;
  entry.header.validUntil = 1_900_000_000;
  const renewed = store.refresh(key('a'), 0, entry.header, entry.inode);
  assert.ok(renewed !== 0 && renewed !== version);
  assert.equal(store.read(key('a'), 'a')?.header.validUntil, 1_900_000_000);
  put('a', 'other');
  assert.equal(store.refresh(key('a'), 0, entry.header, entry.inode), 0);
  assert.equal(store.read(key('a'), 'a')?.body?.toString(), 'other');
});

test('a disk that takes nothing leaves neither file nor key', (t) => {
  const { store, temporary, dir } = lab(t);
  writeFileSync(join(dir, 'temp'), 'in the way');
  store.keys.use(key('a'), 1, 1);
  const piece = { buf: Buffer.from('x'), start: 0, end: 1 };
  assert.throws(() => store.writeWhole(key('a'), 0, header(), piece, temporary, 1), { code: /ENOTDIR|EEXIST/ });
  store.keys.release(key('a'), 0, false);
  assert.equal(store.keys.size, 0);
  assert.ok(!existsSync(store.pathOf(key('a'))));
});

// ----------------------------------------------------------------------------------------- loader, manager, purger

function loader({ store, config }: Lab, stopped = (): boolean => false): { run(): Promise<void>; pauses: number[] } {
  const pauses: number[] = [];
  const loads = new Loader(
    store.keys,
    { dir: config.dir, loaderFiles: 2, loaderSleepMs: 7, loaderThresholdMs: 10_000 },
    {
      pathOf: (k) => store.pathOf(k),
      blocksOf: (size) => store.blocksOf(size),
      nowSec: () => Math.floor(Date.now() / 1000),
      sleep: async (ms) => void pauses.push(ms),
      stopped,
      log: () => {},
    },
  );
  return { run: () => loads.run(), pauses };
}

test('the loader finds what is there, in pieces, and cleans what nobody would find', async (t) => {
  const before = lab(t);
  for (const name of ['a', 'b', 'c', 'd', 'e']) before.put(name, name);
  const misplaced = join(before.config.dir, key('m').toString('hex'));
  const left = `${before.store.pathOf(key('t'))}.0000000001`;
  const foreign = join(before.config.dir, 'README');
  mkdirSync(dirname(left), { recursive: true });
  for (const file of [misplaced, left, foreign]) writeFileSync(file, 'x');
  const { utimesSync } = await import('node:fs');
  utimesSync(left, 1, 1);

  const after = lab(t, { dir: before.config.dir });
  assert.ok(after.store.keys.cold);
  const loads = loader(after);
  await loads.run();
  assert.ok(!after.store.keys.cold);
  assert.equal(after.store.keys.size, 5);
  assert.equal(after.store.keys.blocks, 5);
  assert.equal(after.store.read(key('c'), 'c')?.body?.toString(), 'c');
  assert.ok(loads.pauses.length >= 2 && loads.pauses.every((ms) => ms === 7));
  assert.deepEqual([misplaced, left, foreign].map(existsSync), [false, false, true]);
});

test('a loader that is stopped leaves the zone cold, so that files are still looked for', async (t) => {
  const one = lab(t);
  one.put('a', 'a');
  await loader(one, () => true).run();
  assert.ok(one.store.keys.cold);
});

test('the manager removes what is inactive, then what is too much, in pieces', (t) => {
  const one = lab(t);
  const { store, put } = one;
  for (const name of ['a', 'b', 'c', 'd', 'e']) put(name, name);
  let now = 1_000;
  let free = 1e9;
  const limits = {
    inactiveSec: 60,
    maxSize: Infinity,
    minFree: 1e6,
    managerFiles: 2,
    managerSleepMs: 33,
    managerThresholdMs: 1e9,
  };
  const env = {
    blockSize: 4096,
    nowSec: () => now,
    nowMs: () => 0,
    unlink: (k: Buffer) => store.unlink(k),
    free: () => free,
  };
  const manager = new Manager(store.keys, limits, env);
  assert.equal(manager.run(), 10_000, 'nothing to do');
  assert.equal(manager.paced, false);
  store.keys.use(key('a'), 1_050, 1);
  now = 1_060;
  assert.equal(manager.run(), 33);
  assert.equal(manager.paced, true, 'there is more to do');
  assert.equal(manager.run(), 33);
  assert.equal(manager.run(), 10_000);
  assert.equal(manager.paced, false);
  assert.ok(existsSync(store.pathOf(key('a'))));
  assert.ok(!existsSync(store.pathOf(key('b'))));
  assert.equal(store.keys.size, 1);
  now = 1_105;
  assert.equal(manager.run(), 5_000, 'the next one is due in five seconds');
  free = 1e6;
  manager.run();
  assert.equal(store.keys.size, 0);

  for (const name of ['a', 'b', 'c', 'd']) put(name, name);
  const small = new Manager(store.keys, { ...limits, minFree: 0, maxSize: 4096 * 3, managerFiles: 100 }, env);
  now = 1_000;
  small.run();
  assert.equal(store.keys.size, 2, 'less than max_size');
});

test('a wildcard removes what begins so, and nothing else', async (t) => {
  const { store, put } = lab(t);
  const longKey = `/a/${'x'.repeat(3000)}`;
  for (const name of ['/a/1', '/a/2', '/b/1', longKey]) put(name, name);
  truncateSync(store.pathOf(key('/b/1')), 40);
  assert.equal(await purgeAll(store, (k) => k.startsWith('/a/'), PACE, noSleep), 3);
  assert.equal(store.keys.size, 1);
  assert.ok(!existsSync(store.pathOf(key(longKey))));
});
