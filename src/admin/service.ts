/** Answers of the main thread: one service a process. */
import type { AdminService, AdminView } from '../control/admin-desk.ts';
import type { AdminReply, AdminRequest } from '../http/handlers/admin.ts';
import { PlusApi } from './plus/api.ts';
import { Counters } from './plus/counters.ts';
import { Prometheus } from './prometheus.ts';
import { UpstreamConf } from './upstream-conf.ts';

export class Service implements AdminService {
  readonly #view: AdminView;
  readonly #api: PlusApi;
  readonly #prometheus: Prometheus;
  readonly #upstreamConf: UpstreamConf;

  constructor(view: AdminView) {
    this.#view = view;
    const counters = new Counters(view);
    this.#api = new PlusApi(view, counters);
    // Its counters never go back: a reset of the API's is none of its business.
    this.#prometheus = new Prometheus(view, new Counters(view));
    this.#upstreamConf = new UpstreamConf(view.groups);
  }

  handle(request: AdminRequest, reply: (reply: AdminReply) => void): () => void {
    this.#answer(request).then(reply, (error: unknown) => {
      this.#view.log.error(`${request.kind} "${request.method} ${request.path}": ${String(error)}`);
      reply({ status: 500, fields: [], body: '', more: false });
    });
    return () => {};
  }

  #answer(request: AdminRequest): Promise<AdminReply> {
    switch (request.kind) {
      case 'api':
        return this.#api.answer(request);
      case 'upstream_conf':
        return this.#upstreamConf.answer(request);
      case 'prometheus':
        return Promise.resolve(this.#prometheus.answer(request));
    }
  }

  close(): void {}
}
