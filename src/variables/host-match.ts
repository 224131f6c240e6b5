/**
 * Names with wildcards, looked up as nginx does: the exact name, the longest name that begins with an asterisk, the
 * longest one that ends in an asterisk. Shared by server names and `map … { hostnames; }`.
 */

export class HostMatcher<T> {
  readonly #exact = new Map<string, T>();
  /** Keys begin with a dot: `.example.com`. */
  #suffix: Map<string, T> | null = null;
  /** Keys end in a dot: `mail.`. */
  #prefix: Map<string, T> | null = null;

  get size(): number {
    return this.#exact.size + (this.#suffix?.size ?? 0) + (this.#prefix?.size ?? 0);
  }

  /** The first entry for a name counts. */
  addExact(name: string, value: T): void {
    if (!this.#exact.has(name)) this.#exact.set(name, value);
  }

  addSuffix(name: string, value: T): void {
    this.#suffix ??= new Map();
    if (!this.#suffix.has(name)) this.#suffix.set(name, value);
  }

  addPrefix(name: string, value: T): void {
    this.#prefix ??= new Map();
    if (!this.#prefix.has(name)) this.#prefix.set(name, value);
  }

  /** @param name in lower case */
  find(name: string): T | undefined {
    const exact = this.#exact.get(name);
    if (exact !== undefined) return exact;
    if (this.#suffix !== null) {
      // nginx's wildcard may stand for nothing: `.example.com` is one of `*.example.com`.
      for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) {
        const value = this.#suffix.get(name.slice(dot));
        if (value !== undefined) return value;
      }
    }
    if (this.#prefix !== null) {
      for (let dot = name.lastIndexOf('.', name.length - 2); dot > 0; dot = name.lastIndexOf('.', dot - 1)) {
        const value = this.#prefix.get(name.slice(0, dot + 1));
        if (value !== undefined) return value;
      }
    }
    return undefined;
  }
}
