/** Names that TLS is asked for: the store's certificates for them, and routes that are for some of them. Pure. */
import type { KongCertificate } from './model.ts';

/** The name of those that are for whatever has no certificate of its own. */
const ANY = '*';

/**
 * Names as Kong looks for them: the name itself, then with its first label as `*`, then with its last one, then `*`. A wildcard stands for
 * one label.
 */
export class SniTable {
  readonly #byName = new Map<string, KongCertificate>();

  constructor(certificates: readonly KongCertificate[]) {
    for (const certificate of certificates) {
      for (const name of certificate.snis) this.#byName.set(name.toLowerCase(), certificate);
    }
  }

  /** @param name empty: the client has named none; null: there is nothing for it */
  find(name: string): KongCertificate | null {
    if (this.#byName.size === 0 || name === '') return null;
    const lower = name.toLowerCase();
    const first = lower.indexOf('.');
    const last = lower.lastIndexOf('.');
    return (
      this.#byName.get(lower) ??
      (first > 0 ? this.#byName.get(`*${lower.slice(first)}`) : undefined) ??
      (last > 0 ? this.#byName.get(`${lower.slice(0, last)}.*`) : undefined) ??
      this.#byName.get(ANY) ??
      null
    );
  }
}

/** Names of a route; a wildcard before or behind stands for any number of labels. */
export class NameSet {
  readonly #names = new Set<string>();
  readonly #suffixes: string[] = [];
  readonly #prefixes: string[] = [];

  constructor(names: readonly string[]) {
    for (const given of names) {
      const name = given.toLowerCase().replace(/\.$/, '');
      if (name.startsWith('*')) this.#suffixes.push(name.slice(1));
      else if (name.endsWith('*')) this.#prefixes.push(name.slice(0, -1));
      else this.#names.add(name);
    }
  }

  has(name: string): boolean {
    const lower = name.toLowerCase();
    return (
      this.#names.has(lower) ||
      this.#suffixes.some((suffix) => lower.length > suffix.length && lower.endsWith(suffix)) ||
      this.#prefixes.some((prefix) => lower.length > prefix.length && lower.startsWith(prefix))
    );
  }
}
