/** What this worker knows of Kong's entities: the main thread tells it, and the runtimes of its generations take it from here. */
import type { KongCertificate } from '../config/kong/model.ts';
import { SniTable } from '../config/kong/sni.ts';
import type { KongChange, KongFeed, KongGroup, KongState } from '../config/kong/groups.ts';

export class KongInbox implements KongFeed {
  #state: KongState | null = null;
  readonly #groups = new Map<string, KongGroup>();
  readonly #followers = new Set<(change: KongChange) => void>();

  /** Made when it is first asked for after a change. */
  #names: SniTable | null = null;

  /** The certificate of the store for a name that TLS was asked for; null: there is none. */
  certificateFor(name: string): KongCertificate | null {
    this.#names ??= new SniTable(this.#state?.certificates ?? []);
    return this.#names.find(name);
  }

  get state(): KongState | null {
    return this.#state === null ? null : { ...this.#state, groups: [...this.#groups.values()] };
  }

  follow(take: (change: KongChange) => void): () => void {
    this.#followers.add(take);
    return () => this.#followers.delete(take);
  }

  /** Everything, as a generation brings it; what is older than what is known is passed over. */
  begin(state: KongState): void {
    if (this.#state !== null && this.#state.serial >= state.serial) return;
    const gone = [...this.#groups.keys()].filter((key) => !state.groups.some((group) => group.key === key));
    this.#take({ ...state, groups: { set: state.groups, removed: gone } });
  }

  /** A change, in order. */
  change(change: KongChange): void {
    if (this.#state !== null && this.#state.serial >= change.serial) return;
    this.#take(change);
  }

  #take(change: KongChange): void {
    const before = this.#state ?? { routes: [], services: [], certificates: [], caCertificates: [] };
    const { serial, groups, ...lists } = change;
    if (lists.certificates !== undefined) this.#names = null;
    this.#state = { ...before, ...lists, serial, groups: [] };
    for (const key of groups?.removed ?? []) this.#groups.delete(key);
    for (const group of groups?.set ?? []) this.#groups.set(group.key, group);
    for (const take of this.#followers) take(change);
  }
}
