/** A store by its address; its driver is loaded only now. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Driver } from './driver.ts';
import { SqlStore } from './sql-store.ts';
import { type Store, StoreUnavailable } from './store.ts';

/** What an address of a store may look like; null: it is one. */
export function badStore(address: string): string | null {
  if (address === '') return 'a store needs an address: sqlite:FILE, postgres://…, or memory';
  const scheme = /^([a-z][\w+.-]*):/i.exec(address)?.[1]?.toLowerCase();
  if (address === 'memory' || scheme === undefined) return null;
  if (['sqlite', 'postgres', 'postgresql'].includes(scheme)) return null;
  return `unknown store "${address}"; it can be sqlite:FILE, postgres://…, or memory`;
}

/**
 * @param address `memory`, `sqlite:FILE` or a file's name, `postgres://user:password@host:port/database`
 * @throws {StoreUnavailable}
 */
export async function openStore(address: string): Promise<Store> {
  return SqlStore.open(await openDriver(address));
}

/** Tries again, once a second, for some time. @throws {StoreUnavailable} the last failure */
export async function openStorePatiently(
  address: string,
  patience: { ms: number; signal: AbortSignal; tell(error: StoreUnavailable): void },
): Promise<Store> {
  const until = performance.now() + patience.ms;
  for (let first = true; ; first = false) {
    try {
      return await openStore(address);
    } catch (error) {
      if (!(error instanceof StoreUnavailable) || performance.now() >= until) throw error;
      if (first) patience.tell(error);
      await sleep(1000, undefined, { signal: patience.signal }).catch(() => {});
      if (patience.signal.aborted) throw error;
    }
  }
}

export const isRemote = (address: string): boolean => /^postgres(?:ql)?:/i.test(address);

/** For messages and comparisons: without password. */
export function placeOf(address: string): string {
  return address.replace(/(\/\/[^:@/?]*):[^@/?]*@/, '$1@').replace(/([?&]password=)[^&]*/, '$1***');
}

export async function openDriver(address: string): Promise<Driver> {
  if (isRemote(address)) {
    const { PostgresDriver } = await import('./postgres.ts');
    return new PostgresDriver(address, placeOf(address));
  }
  const { IN_MEMORY, SqliteDriver } = await import('./sqlite.ts');
  return new SqliteDriver(address === 'memory' ? IN_MEMORY : address.replace(/^sqlite:(?:\/\/(?=\/))?/i, ''));
}
