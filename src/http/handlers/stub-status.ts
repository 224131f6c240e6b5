/** `stub_status`: nginx's page of counters, over all workers. */
import { Buffer } from 'node:buffer';
import { traffic } from '../../observe/traffic.ts';
import { finalize } from '../engine.ts';
import type { HttpRequest } from '../request.ts';
import { METHOD_GET, METHOD_HEAD } from '../wire/request-head.ts';

export function stubStatus(r: HttpRequest): void {
  if (r.method !== METHOD_GET && r.method !== METHOD_HEAD) {
    finalize(r, 405);
    return;
  }
  const { active, accepted, requests, reading, writing, waiting } = traffic.totals();
  const text =
    `Active connections: ${active} \nserver accepts handled requests\n ${accepted} ${accepted} ${requests} \n` +
    `Reading: ${reading} Writing: ${writing} Waiting: ${waiting} \n`;
  r.respond(200, 'text/plain', Buffer.from(text));
}
