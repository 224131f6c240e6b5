/** `mirror`: sends copies of a request to other locations; their answers are thrown away (ngx_http_mirror_module). */
import type { MirrorConfig } from '../../config/model-content.ts';
import { background } from '../detached.ts';
import { resume } from '../engine.ts';
import type { HttpRequest } from '../request.ts';
import type { Phase } from '../runtime.ts';
import { NEXT, TAKEN } from '../runtime.ts';
import { DiscardSink, subrequest, withParentsMethod } from '../subrequest.ts';

/** The phase before a location's content; null without `mirror`. */
export function compileMirror(config: MirrorConfig | undefined): Phase | null {
  if (config === undefined) return null;
  const { uris } = config;

  const send = (r: HttpRequest): void => {
    const parent = background(r);
    for (let i = 0; i < uris.length; i++) {
      const copy = subrequest(parent, uris[i]!, r.args, new DiscardSink());
      if (copy === null) return;
      withParentsMethod(copy);
    }
  };

  return (r) => {
    // A copy is not copied.
    if (r.parent !== null) return NEXT;
    if (!config.requestBody || r.body.complete) {
      send(r);
      return NEXT;
    }
    r.body.buffer((request) => {
      send(request);
      resume(request);
    });
    return TAKEN;
  };
}
