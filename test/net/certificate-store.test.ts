/** What `ssl_certificate_cache` keeps, for how long, and what it lets go. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { CertificateStore } from '../../src/net/certificate-store.ts';
import { clock } from '../../src/net/clock.ts';

test('certificates named by variables', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'headrace-store-'));
  t.after(() => rmSync(dir, { recursive: true }));
  let version = 1;
  const write = (name: string, text: string): void => {
    writeFileSync(join(dir, name), text);
    utimesSync(join(dir, name), version, version++);
  };
  const start = clock.now;
  t.after(() => void (clock.now = start));
  write('a', 'A');
  write('b', 'B');
  write('c', 'C');

  const none = new CertificateStore(null, dir);
  assert.equal(none.load('a'), 'A');
  write('a', 'A2');
  assert.equal(none.load('a'), 'A2');
  assert.equal(none.load('data:PEM'), 'PEM');
  assert.throws(() => none.load('nowhere'), { code: 'ENOENT' });

  const store = new CertificateStore({ max: 2, validMs: 1000, inactiveMs: 10_000 }, dir);
  assert.equal(store.load('a'), 'A2');
  write('a', 'A3');
  unlinkSync(join(dir, 'b'));
  assert.equal(store.load('a'), 'A2', 'kept as it was');
  clock.now += 1001;
  assert.equal(store.load('a'), 'A3', 'looked at again after valid');
  write('b', 'B2');
  assert.equal(store.load('b'), 'B2');
  assert.equal(store.load('a'), 'A3');
  // The third one drives out the one that was not used for longest: b.
  assert.equal(store.load('c'), 'C');
  write('b', 'B3');
  assert.equal(store.load('b'), 'B3');
  clock.now += 500;
  write('c', 'C2');
  assert.equal(store.load('c'), 'C');
  // Not asked for so long: forgotten, without being looked at.
  clock.now += 10_001;
  assert.equal(store.load('c'), 'C2');
});

test('pairs: what does not fit together is read anew; keys with passwords are not kept', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'headrace-store-'));
  t.after(() => rmSync(dir, { recursive: true }));
  const write = (name: string, text: string): void => writeFileSync(join(dir, name), text);
  const cache = { max: 4, validMs: 60_000, inactiveMs: 60_000 };
  const store = CertificateStore.of(cache, dir);
  // Who inherits a directive shares what is kept; a directive of its own, or none, does not.
  assert.equal(CertificateStore.of(cache, dir), store);
  assert.notEqual(CertificateStore.of({ ...cache }, dir), store);
  assert.notEqual(CertificateStore.of(null, dir), CertificateStore.of(null, dir));

  const both = (certificate: string, key: string): string => {
    if (certificate.at(-1) === key.at(-1)) return `${certificate} ${key}`;
    throw Object.assign(new Error('key values mismatch'), { code: 'ERR_OSSL_X509_KEY_VALUES_MISMATCH' });
  };
  write('crt', 'c1');
  write('key', 'ENCRYPTED 1');
  assert.equal(store.pair('crt', 'key', both), 'c1 ENCRYPTED 1');
  write('crt', 'c2');
  write('key', 'plain 2');
  // The certificate is kept, the key is not.
  assert.equal(store.pair('crt', 'key', both), 'c2 plain 2');
  write('crt', 'c3');
  write('key', 'ENCRYPTED 3');
  assert.equal(store.pair('crt', 'key', both), 'c2 plain 2');
  write('other', 'k9');
  assert.throws(() => store.pair('crt', 'other', both), /mismatch/);
  assert.throws(
    () =>
      store.pair('crt', 'key', () => {
        throw new Error('bad');
      }),
    /bad/,
  );
});
