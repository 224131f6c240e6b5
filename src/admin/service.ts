/** Answers of the main thread: one service a process. */
import type { AdminService, AdminView } from '../control/admin-desk.ts';
import { hasDashboard } from '../control/generations.ts';
import type { AdminKind, AdminReply, AdminRequest } from '../http/handlers/admin.ts';
import { Dashboard } from './dashboard/dashboard.ts';
import { PlusApi } from './plus/api.ts';
import { Collections } from './plus/collections.ts';
import { Counters } from './plus/counters.ts';
import { Prometheus } from './prometheus.ts';
import { UpstreamConf } from './upstream-conf.ts';

export class Service implements AdminService {
  readonly #view: AdminView;
  readonly #api: PlusApi;
  readonly #prometheus: Prometheus;
  readonly #upstreamConf: UpstreamConf;
  readonly #dashboard: Dashboard;

  constructor(view: AdminView) {
    this.#view = view;
    const counters = new Counters(view);
    this.#api = new PlusApi(view, counters);
    // Their counters never go back: a reset of the API's is none of their business.
    const all = new Counters(view);
    this.#prometheus = new Prometheus(view, all, new Collections(view));
    this.#dashboard = new Dashboard(view, all);
    this.#upstreamConf = new UpstreamConf(view.groups, view.streamGroups);
  }

  handle(request: AdminRequest, reply: (reply: AdminReply) => void): () => void {
    if (request.kind === 'dashboard') return this.#dashboard.handle(request, reply);
    this.#answer(request).then(reply, (error: unknown) => {
      this.#view.log.error(`${request.kind} "${request.method} ${request.path}": ${String(error)}`);
      reply({ status: 500, fields: [], body: '', more: false });
    });
    return () => {};
  }

  #answer(request: AdminRequest): Promise<AdminReply> {
    switch (request.kind as Exclude<AdminKind, 'dashboard'>) {
      case 'api':
        return this.#api.answer(request);
      case 'upstream_conf':
        return this.#upstreamConf.answer(request);
      case 'prometheus':
        return Promise.resolve(this.#prometheus.answer(request));
    }
  }

  follow(): void {
    this.#dashboard.follow(hasDashboard(this.#view.generation()));
  }

  stop(): void {
    this.#dashboard.stop();
  }
}
