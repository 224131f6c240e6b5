/** The Admin API beside the workers. Its code is loaded when a configuration asks for it. */
import type { Config } from '../config/model.ts';
import type { KongAdmin } from '../admin/kong/service.ts';
import type { Companion, NodeView } from '../control/companion.ts';
import { describeError } from '../observe/errno.ts';
import type { ErrorLog } from '../observe/error-log.ts';

export function adminCompanion(log: ErrorLog, node: NodeView): Companion {
  let admin: KongAdmin | null = null;
  return {
    async prepare(config: Config): Promise<string | null> {
      const settings = config.admin ?? null;
      if (settings === null && admin === null) return null;
      try {
        const { KongAdmin } = await import('../admin/kong/service.ts');
        admin ??= new KongAdmin({
          log,
          dataPlane: settings === null ? null : await node.kong(settings),
          status: () => statusOf(node),
          ending: node.ending,
        });
        await admin.prepare(settings);
        // Here the process may still write what it may not later, as another user.
        if (settings !== null && settings.ownTls !== null) {
          const { keepOwnCertificate } = await import('../control/kong/own-certificate.ts');
          keepOwnCertificate(settings.dataDir, settings.ownTls);
        }
        return null;
      } catch (error) {
        return error instanceof Error ? error.message : describeError(error);
      }
    },
    commit: async () => admin?.commit(),
    abandon: async () => admin?.abandon(),
    close: async () => admin?.close(),
    leave: () => admin?.leave(),
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
