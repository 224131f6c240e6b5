/** A store by its address; its driver is loaded only now. */
import type { Driver } from './driver.ts';
import { SqlStore } from './sql-store.ts';
import type { Store } from './store.ts';

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

export async function openDriver(address: string): Promise<Driver> {
  if (/^postgres(?:ql)?:/i.test(address)) {
    const { PostgresDriver } = await import('./postgres.ts');
    return new PostgresDriver(address);
  }
  const { IN_MEMORY, SqliteDriver } = await import('./sqlite.ts');
  return new SqliteDriver(address === 'memory' ? IN_MEMORY : address.replace(/^sqlite:(?:\/\/(?=\/))?/i, ''));
}
