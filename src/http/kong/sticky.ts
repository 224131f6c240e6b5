/** Kong's `sticky-sessions`: a cookie that names the target, for as long as that is there and well. */
import type { PeerInfo } from '../../upstream/group.ts';
import type { Sticky } from '../proxy/sticky.ts';
import type { HttpRequest } from '../request.ts';
import { requestFamily } from '../variables/request.ts';
import type { Getter } from '../variables/value.ts';

export class SessionCookie implements Sticky {
  readonly #name: string;
  readonly #path: string;
  readonly #cookie: Getter;

  constructor({ name, path }: { name: string; path: string }) {
    this.#name = name;
    this.#path = path;
    this.#cookie = requestFamily(`cookie_${name}`)!;
  }

  hint(r: HttpRequest): string {
    return this.#cookie(r) ?? '';
  }

  /** Who came with another cookie, or with none, gets one. */
  chosen(r: HttpRequest, { sid }: PeerInfo): void {
    r.setCookie = this.hint(r) === sid ? null : `${this.#name}=${sid}; Path=${this.#path}; SameSite=Lax; HttpOnly`;
  }

  headerReceived(): void {}
  done(): void {}
}
