/**
 * `dashboard`: one document that needs nothing else, and the events that it lives by, at one address:
 *
 *     GET <location>           the page, built from `dashboard/` of the repository
 *     GET <location>?events    server-sent events, each a `Frame` (frame.ts)
 *
 * However many look, everything is looked at once a second. Nobody looks: a few sums are remembered (past.ts), no more.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { AdminView } from '../../control/admin-desk.ts';
import type { AdminReply, AdminRequest } from '../../http/handlers/admin.ts';
import { packageFile } from '../../place.ts';
import type { Counters } from '../plus/counters.ts';
import { FRAME_MS } from './frame.ts';
import { Past } from './past.ts';
import { Sampler } from './sampler.ts';

const DOCUMENT = packageFile('dashboard/built/index.html');

/** After a stream has ended the browser asks again: at once after a reload, and so does nobody hammer a dead server. */
const RETRY_MS = 1000;

type Reply = (reply: AdminReply) => void;

/** Somebody who follows the events. */
interface Viewer {
  readonly reply: Reply;
  /** API of the page. */
  readonly api: string | null;
  /** It has had its first frame. */
  begun: boolean;
}

const NO_STORE: [string, string] = ['Cache-Control', 'no-store'];

interface Page {
  body: Buffer;
  fields: [string, string][];
}

/** `'sha256-…'` of each element's text (CSP Level 3, section 6.7.3.3). */
function hashes(html: string, element: 'script' | 'style'): string {
  const found = html.matchAll(new RegExp(`<${element}(?: [^>]*)?>([^]*?)</${element}>`, 'g'));
  const list = [...found].map(([, text = '']) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`);
  return list.length === 0 ? "'none'" : list.join(' ');
}

/** What the browser may do for the page: run and show what is in it, and ask where it came from. */
export function contentPolicy(html: string): string {
  return [
    "default-src 'none'",
    `script-src ${hashes(html, 'script')}`,
    `style-src ${hashes(html, 'style')}`,
    "connect-src 'self'",
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
  ].join('; ');
}

function loadPage(): Page {
  const html = readFileSync(DOCUMENT, 'utf8');
  return {
    body: Buffer.from(html),
    fields: [
      ['Content-Type', 'text/html; charset=utf-8'],
      ['Content-Security-Policy', contentPolicy(html)],
      ['Cache-Control', 'no-cache'],
      ['X-Content-Type-Options', 'nosniff'],
      ['Referrer-Policy', 'no-referrer'],
      ['Cross-Origin-Opener-Policy', 'same-origin'],
    ],
  };
}

export class Dashboard {
  readonly #sampler: Sampler;
  readonly #past: Past;
  readonly #viewers = new Set<Viewer>();
  #looking = false;
  #timer: NodeJS.Timeout | null = null;
  #page: Page | null = null;

  constructor(view: AdminView, counters: Counters) {
    this.#sampler = new Sampler(view, counters);
    this.#past = new Past(view);
  }

  /** @returns called when whoever asked is gone */
  handle({ method, path, args, api }: AdminRequest, reply: Reply): () => void {
    const refuse = (status: number, fields: [string, string][] = []): (() => void) => {
      reply({ status, fields, body: '', more: false });
      return () => {};
    };
    if (method !== 'GET' && method !== 'HEAD') return refuse(405, [['Allow', 'GET, HEAD']]);
    if (path !== '' && path !== '/') return refuse(404);
    if (args === 'events' && method === 'GET') return this.#follow(reply, api?.writable === true ? api.path : null);
    const { body, fields } = (this.#page ??= loadPage());
    reply({ status: 200, fields, body, more: false });
    return () => {};
  }

  #follow(reply: Reply, api: string | null): () => void {
    const viewer: Viewer = { reply, api, begun: false };
    this.#viewers.add(viewer);
    // Who comes while others look sees what they saw last, so that what has changed since is the same for all.
    if (this.#sampler.seen) this.#begin(viewer);
    else void this.#tell();
    this.#timer ??= setInterval(() => void this.#tell(), FRAME_MS);
    return () => this.#leave(viewer);
  }

  #begin(viewer: Viewer): void {
    viewer.begun = true;
    const fields: [string, string][] = [['Content-Type', 'text/event-stream'], NO_STORE, ['X-Accel-Buffering', 'no']];
    const body = `retry: ${RETRY_MS}\n\ndata: ${this.#sampler.full(viewer.api, this.#past.frame())}\n\n`;
    viewer.reply({ status: 200, fields, body, more: true });
  }

  async #tell(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    try {
      await this.#sampler.look();
    } finally {
      this.#looking = false;
    }
    if (!this.#sampler.seen || this.#viewers.size === 0) return;
    const body = `data: ${this.#sampler.changes()}\n\n`;
    for (const viewer of this.#viewers) {
      if (viewer.begun) viewer.reply({ status: 200, fields: [], body, more: true });
      else this.#begin(viewer);
    }
  }

  #leave(viewer: Viewer): void {
    this.#viewers.delete(viewer);
    if (this.#viewers.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
    this.#sampler.forget();
  }

  /** Another generation runs: pages ask again, and are told of it. @param shown it has a dashboard */
  follow(shown: boolean): void {
    this.#endStreams();
    if (shown) this.#past.start();
    else this.#past.stop();
  }

  stop(): void {
    this.#endStreams();
    this.#past.stop();
  }

  #endStreams(): void {
    for (const viewer of this.#viewers) {
      this.#leave(viewer);
      // Without a head there is nothing to end: it is an answer, and an empty one.
      viewer.reply({
        status: viewer.begun ? 200 : 503,
        fields: [],
        body: viewer.begun ? ': over\n\n' : '',
        more: false,
      });
    }
  }
}
