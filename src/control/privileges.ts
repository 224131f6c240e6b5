/**
 * The `user` directive: a process started by root serves as another user.
 *
 * nginx keeps a master process as root and lets the workers change for good. Here all threads are one process, and a
 * reload must be able to read keys and bind ports that only root may. So it is the *effective* user that changes (for
 * all threads: glibc sees to that), and the time of a start or reload is spent as root.
 */
import { userInfo } from 'node:os';
import { ConfigRefused } from './load-config.ts';
import type { Owner } from './log-files.ts';

export type User = { name: string; group: string | null } | null;

export class Privileges {
  readonly #root = process.geteuid?.() === 0;
  readonly #rootGid = process.getegid?.() ?? 0;
  readonly #rootGroups = this.#root ? (process.getgroups?.() ?? []) : [];
  /** How many things under way need root's rights; the start is one. */
  #depth = 1;
  #user: User = null;
  #owner: Owner | null = null;

  /**
   * Looks a user up.
   *
   * @returns its numbers; null when nothing would change: no user is set, or the process is not root's
   * @throws {ConfigRefused} no such user or group. Call it with root's rights.
   */
  owner(user: User): Owner | null {
    if (user === null || !this.#root) return null;
    try {
      process.seteuid!(user.name);
    } catch {
      throw new ConfigRefused([`getpwnam("${user.name}") failed`]);
    }
    const { uid, gid } = userInfo();
    process.seteuid!(0);
    if (uid === 0) return null;
    if (user.group === null) return { uid, gid };
    try {
      process.setegid!(user.group);
    } catch {
      throw new ConfigRefused([`getgrnam("${user.group}") failed`]);
    }
    const group = process.getegid!();
    process.setegid!(this.#rootGid);
    return { uid, gid: group };
  }

  /** Who to be from the end of the present work on. */
  become(user: User): void {
    this.#owner = this.owner(user);
    this.#user = user;
  }

  /** Root again, if it was root that started the process. Pair with `leave`. */
  enter(): void {
    if (++this.#depth > 1 || this.#owner === null) return;
    process.seteuid!(0);
    process.setegid!(this.#rootGid);
    process.setgroups!(this.#rootGroups);
  }

  leave(): void {
    if (--this.#depth > 0 || this.#owner === null || this.#user === null) return;
    setGroups(this.#user.name, this.#owner.gid);
    process.setegid!(this.#owner.gid);
    process.seteuid!(this.#owner.uid);
  }

  async during<T>(work: () => Promise<T>): Promise<T> {
    this.enter();
    try {
      return await work();
    } finally {
      this.leave();
    }
  }
}

/** @types/node does not know this function of process (POSIX only). */
function setGroups(name: string, gid: number): void {
  (process as unknown as { initgroups(user: string, extraGroup: number): void }).initgroups(name, gid);
}
