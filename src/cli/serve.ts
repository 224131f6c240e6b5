/**
 * The plain start: load, go into the background if the configuration says so, run.
 */
import type { AdminService, AdminView } from '../control/admin-desk.ts';
import type { ConfigSource } from '../control/load-config.ts';
import { startEarly } from '../control/early-workers.ts';
import type { Companion, NodeView } from '../control/companion.ts';
import type { ErrorLog } from '../observe/error-log.ts';
import { entryFile } from '../place.ts';
import { adminCompanion } from './admin-companion.ts';

/** @returns the exit code when it did not start; null: it runs, or ends by itself */
export async function serve(source: ConfigSource, log: ErrorLog): Promise<number | null> {
  const entry = entryFile('worker/main');
  const early = startEarly(entry, source);
  // Only now: the workers load their code while this thread loads its own.
  const { Master } = await import('../control/master.ts');
  const companion = (node: NodeView): Companion => adminCompanion(log, node);
  const admin = async (view: AdminView): Promise<AdminService> => {
    const { Service } = await import('../admin/service.ts');
    return new Service(view);
  };
  return new Master({ source, log, workerEntry: entry, early, companion, admin }).start();
}
