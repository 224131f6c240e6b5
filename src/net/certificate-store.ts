/**
 * Certificates and keys whose names hold variables: read when a connection asks for them, and kept as
 * `ssl_certificate_cache` says (nginx 1.27.4 and newer).
 */
import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { decodeText } from '../config/bytes.ts';
import type { CertificateCacheConfig } from '../config/model.ts';
import { clock } from './clock.ts';

interface Kept {
  pem: string;
  /** Milliseconds of `clock.now`. */
  checkedAt: number;
  usedAt: number;
  /** Of the file; empty for `data:`. */
  version: string;
}

export class CertificateStore {
  readonly #cache: CertificateCacheConfig | null;
  readonly #directory: string;
  /** Certificates and keys by name, the least recently used first. */
  readonly #kept = new Map<string, Kept>();

  /**
   * @param cache null: nothing is kept, each connection reads anew
   * @param directory of the configuration file: what names are relative to
   */
  constructor(cache: CertificateCacheConfig | null, directory: string) {
    this.#cache = cache;
    this.#directory = directory;
  }

  /**
   * The store that a directive stands for: who inherits it has the same one.
   * @param cache one object for each directive
   */
  static of(cache: CertificateCacheConfig | null, directory: string): CertificateStore {
    if (cache === null) return new CertificateStore(null, directory);
    let store = stores.get(cache);
    if (store === undefined) stores.set(cache, (store = new CertificateStore(cache, directory)));
    return store;
  }

  /**
   * A certificate and its key. What is kept of one may be older than what is kept of the other: where they do not fit
   * together, both are read anew.
   * @param use makes something of them
   * @throws what `fs.readFileSync` or `use` throws
   */
  pair<T>(certificate: string, key: string, use: (certificate: string, key: string) => T): T {
    try {
      return use(this.load(certificate), this.load(key));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ERR_OSSL_X509_KEY_VALUES_MISMATCH') throw error;
      for (const name of [certificate, key]) this.#kept.delete(this.#fileOf(name));
      return use(this.load(certificate), this.load(key));
    }
  }

  #fileOf(name: string): string {
    return resolve(this.#directory, decodeText(name));
  }

  /**
   * The contents of a PEM file, or what stands behind `data:`.
   * @throws what `fs.readFileSync` throws
   */
  load(name: string): string {
    if (name.startsWith('data:')) return name.slice('data:'.length);
    const file = this.#fileOf(name);
    const cache = this.#cache;
    if (cache === null) return readFileSync(file, 'latin1');
    this.#expire(cache);
    const kept = this.#kept.get(file);
    if (kept !== undefined) {
      this.#kept.delete(file);
      if (this.#current(kept, file, cache)) {
        kept.usedAt = clock.now;
        this.#kept.set(file, kept);
        return kept.pem;
      }
    }
    const version = versionOf(file);
    const pem = readFileSync(file, 'latin1');
    // A key that a password protects is not kept: who has no password must not have it.
    if (pem.includes('ENCRYPTED')) return pem;
    if (this.#kept.size >= cache.max) this.#kept.delete(this.#kept.keys().next().value!);
    this.#kept.set(file, { pem, version, checkedAt: clock.now, usedAt: clock.now });
    return pem;
  }

  /** After `valid` the file is looked at: the same one goes on. */
  #current(kept: Kept, file: string, { validMs }: CertificateCacheConfig): boolean {
    if (clock.now - kept.checkedAt <= validMs) return true;
    if (versionOf(file) !== kept.version) return false;
    kept.checkedAt = clock.now;
    return true;
  }

  #expire({ inactiveMs }: CertificateCacheConfig): void {
    for (const [file, { usedAt }] of this.#kept) {
      if (clock.now - usedAt <= inactiveMs) return;
      this.#kept.delete(file);
    }
  }
}

const stores = new WeakMap<CertificateCacheConfig, CertificateStore>();

/** What is another one when a file was replaced or written. */
function versionOf(file: string): string {
  const stat = statSync(file, { throwIfNoEntry: false });
  return stat === undefined ? '' : `${stat.dev}:${stat.ino}:${Math.floor(stat.mtimeMs / 1000)}`;
}
