/** Answers of the main thread: one service a process. */
import type { AdminService, AdminView } from '../control/admin-desk.ts';
import { hasDashboard } from '../control/generations.ts';
import type { AdminReply, AdminRequest, AskedAnswer } from '../http/handlers/admin.ts';
import { Dashboard } from './dashboard/dashboard.ts';
import { PlusApi } from './plus/api.ts';
import { Collections } from './plus/collections.ts';
import { Counters } from './plus/counters.ts';
import { Prometheus } from './prometheus.ts';
import { SlicedAnswer, type SteppedReply } from './sliced-answer.ts';
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

  handle(request: AdminRequest, reply: (reply: AdminReply) => void): AskedAnswer {
    switch (request.kind) {
      case 'dashboard': {
        const leave = this.#dashboard.handle(request, reply);
        return { next() {}, leave };
      }
      case 'prometheus':
        return this.#later(request, reply, Promise.resolve(this.#prometheus.answer(request)));
      case 'api':
        return this.#later(request, reply, this.#api.answer(request));
      case 'upstream_conf':
        return this.#later(request, reply, this.#upstreamConf.answer(request));
    }
  }

  #later(
    request: AdminRequest,
    reply: (reply: AdminReply) => void,
    promised: Promise<AdminReply | SteppedReply>,
  ): AskedAnswer {
    let answer: SlicedAnswer | null = null;
    let left = false;
    const failed = (error: unknown): void => {
      this.#view.log.error(`${request.kind} "${request.method} ${request.path}": ${String(error)}`);
    };
    promised.then(
      (made) => {
        if (!('steps' in made)) reply(made);
        else if (!left) answer = new SlicedAnswer(made, reply, failed);
      },
      (error: unknown) => {
        failed(error);
        reply({ status: 500, fields: [], body: '', more: false });
      },
    );
    return {
      next: () => answer?.next(),
      leave: () => {
        left = true;
        answer?.leave();
      },
    };
  }

  follow(): void {
    this.#dashboard.follow(hasDashboard(this.#view.generation()));
  }

  stop(): void {
    this.#dashboard.stop();
  }
}
