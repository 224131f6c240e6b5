/** `auth_request`: a subrequest decides whether a request is let in (ngx_http_auth_request_module). */
import type { AuthRequestConfig } from '../../config/model-content.ts';
import type { HttpRequest } from '../request.ts';
import { logRequest } from '../request-log.ts';
import { DiscardSink, subrequest } from '../subrequest.ts';
import type { Setter, VariableTable } from '../variables/table.ts';
import type { Value } from '../variables/value.ts';
import { H } from '../wire/known.ts';
import { ALLOW, answerAccess, PENDING } from './phase.ts';
import type { AccessChecker } from './phase.ts';

interface SetVariable {
  set: Setter;
  value: Value;
}

export function compileAuthRequest(config: AuthRequestConfig | undefined, table: VariableTable): AccessChecker | null {
  if (config === undefined) return null;
  const sets = config.sets.map(({ variable, value }) => ({ set: table.setter(variable), value: table.compile(value) }));
  const { uri } = config;
  return (r) => {
    const child = subrequest(r, uri, '', new Decision(r, sets));
    if (child === null) return 500;
    // The body is for whoever answers the request.
    child.body.close();
    child.bodyLength = 0;
    return PENDING;
  };
}

/** Decides by the head of the subrequest's answer; what follows of it is thrown away. */
class Decision extends DiscardSink {
  readonly #parent: HttpRequest;
  readonly #sets: readonly SetVariable[];
  #decided = false;

  constructor(parent: HttpRequest, sets: readonly SetVariable[]) {
    super();
    this.#parent = parent;
    this.#sets = sets;
  }

  override onHead(r: HttpRequest): void {
    const parent = this.#parent;
    const { family } = r;
    const result = this.#judge(r);
    this.#decided = true;
    // Not within the call of the subrequest's own producer: the parent may be answered, and end it.
    queueMicrotask(() => {
      if (parent.family === family && !parent.aborted) answerAccess(parent, result);
    });
  }

  override onEnd(r: HttpRequest): void {
    if (!this.#decided) this.onHead(r);
  }

  #judge(r: HttpRequest): number {
    const parent = this.#parent;
    for (const { set, value } of this.#sets) set(parent, value.get(r));
    const { status } = r;
    if (status === 403) return 403;
    if (status === 401) {
      copyChallenges(r, parent);
      return 401;
    }
    if (status >= 200 && status < 300) return ALLOW;
    logRequest(parent, 'error', `auth request unexpected status: ${status}`);
    return 500;
  }
}

function copyChallenges(from: HttpRequest, to: HttpRequest): void {
  const { block } = from;
  if (block !== null) {
    for (let i = block.first(H['www-authenticate']); i >= 0; i = block.next(i)) {
      to.fields.add('WWW-Authenticate', block.value(i));
    }
  }
  const { fields } = from;
  for (let i = fields.find('www-authenticate'); i >= 0; i = fields.find('www-authenticate', i)) {
    to.fields.add('WWW-Authenticate', fields.values[i]!);
  }
}
