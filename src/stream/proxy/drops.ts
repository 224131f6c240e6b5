/**
 * `proxy_session_drop`: sessions end when their server was removed from its group, or is down or unhealthy. Looked at
 * once a second for each group that has such sessions.
 */
import { Timer } from '../../net/timers.ts';
import type { PeerInfo } from '../../upstream/group.ts';
import type { StreamGroup } from './group.ts';

const CHECK_MS = 1000;

interface Watched {
  peer: PeerInfo;
  drop: () => void;
}

class GroupWatch {
  readonly #group: StreamGroup;
  readonly #watched = new Set<Watched>();
  readonly #timer = new Timer(() => this.#check());

  constructor(group: StreamGroup) {
    this.#group = group;
  }

  add(watched: Watched): () => void {
    this.#watched.add(watched);
    if (!this.#timer.armed) this.#timer.arm(CHECK_MS);
    return () => {
      this.#watched.delete(watched);
      if (this.#watched.size === 0) this.#timer.drop();
    };
  }

  #check(): void {
    const good = new Set<number>();
    for (const { generation, state } of this.#group.peers.snapshot()) {
      if (state !== 'down' && state !== 'unhealthy') good.add(generation);
    }
    for (const watched of this.#watched) if (!good.has(watched.peer.generation)) watched.drop();
    if (this.#watched.size > 0) this.#timer.arm(CHECK_MS);
  }
}

const watches = new WeakMap<StreamGroup, GroupWatch>();

/** @returns a function that ends the watch; call it before or after `drop` */
export function watchDrops(group: StreamGroup, peer: PeerInfo, drop: () => void): () => void {
  let watch = watches.get(group);
  if (watch === undefined) watches.set(group, (watch = new GroupWatch(group)));
  return watch.add({ peer, drop });
}
