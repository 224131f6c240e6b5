/** `post_action`: a subrequest when a request is over, whatever became of it; its answer is thrown away. */
import { detach, traceOf } from '../detached.ts';
import type { HttpRequest } from '../request.ts';
import { DiscardSink, FROM_SERVER, NAMED, subrequest, withParentsMethod } from '../subrequest.ts';

/** Null: not configured. @param target a URI, or `@name` */
export function compilePostAction(target: string | undefined): ((r: HttpRequest) => void) | null {
  if (target === undefined) return null;
  const named = target.startsWith('@');
  return (r) => {
    // Not of itself, and not of what was no request.
    if (r.parent !== null || r.uri === '') return;
    const main = detach(r);
    main.ended = r.ended;
    main.aborted = r.aborted;
    const action = subrequest(main, target, named ? r.args : '', new DiscardSink(), named ? NAMED : FROM_SERVER);
    if (action === null) return;
    withParentsMethod(action);
    // It tells what became of the request: $status, $body_bytes_sent, $upstream_addr and so on are those of its answer.
    action.status = r.status;
    action.bytesSent = r.bytesSent;
    action.bodyBytesSent = r.bodyBytesSent;
    action.startedAt = r.startedAt;
    action.upstream = traceOf(r);
  };
}
