/** The Admin API beside the workers. Its code is loaded when a configuration asks for it. */
import type { Config } from '../config/model.ts';
import type { KongDataPlane } from '../config/kong/model.ts';
import type { KongAdmin } from '../admin/kong/service.ts';
import type { Companion, NodeView } from '../control/companion.ts';
import { describeError } from '../observe/errno.ts';
import type { ErrorLog } from '../observe/error-log.ts';

/** @param dataPlane who balances by what the API is told; null: nobody */
export function adminCompanion(log: ErrorLog, node: NodeView, dataPlane: KongDataPlane | null): Companion {
  let admin: KongAdmin | null = null;
  return {
    async prepare(config: Config): Promise<string | null> {
      const settings = config.admin ?? null;
      if (settings === null && admin === null) return null;
      try {
        const { KongAdmin } = await import('../admin/kong/service.ts');
        admin ??= new KongAdmin({ log, dataPlane, status: () => statusOf(node) });
        await admin.prepare(settings);
        if (dataPlane === null && settings !== null) {
          const places = settings.proxyListens.map(({ text }) => text).join(', ');
          log.warn(`the Admin API keeps entities; what proxies by them is not built yet: nothing listens on ${places}`);
        }
        return null;
      } catch (error) {
        return error instanceof Error ? error.message : describeError(error);
      }
    },
    commit: async () => admin?.commit(),
    abandon: async () => admin?.abandon(),
    close: async () => admin?.close(),
  };
}

function statusOf(node: NodeView) {
  const { accepted, active, reading, writing, waiting, requests } = node.traffic();
  return {
    connectionsAccepted: accepted,
    connectionsHandled: accepted,
    connectionsActive: active,
    connectionsReading: reading,
    connectionsWriting: writing,
    connectionsWaiting: waiting,
    totalRequests: requests,
    // Threads share one process: there is one number for all.
    workers: [{ pid: process.pid, bytes: process.memoryUsage().rss }],
  };
}
