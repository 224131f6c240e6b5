/**
 * The rewrite directives of a server or location as a list of steps: `set`, `return`, `rewrite`, `break`, `if`.
 *
 * What nginx does on the way is kept, where configurations can see it: `if` of a location switches to settings of its
 * own, `rewrite` without a flag goes on with the next directive, a changed URI looks for its location again.
 */
import { Buffer } from 'node:buffer';
import type { LocationConfig, RewriteOp } from '../../config/model.ts';
import { finalize, redirect } from '../engine.ts';
import { contentTypeOf } from '../handlers/mime.ts';
import type { HttpRequest } from '../request.ts';
import { logRequest } from '../request-log.ts';
import { AGAIN, NEXT, TAKEN } from '../runtime.ts';
import type { Location } from '../runtime.ts';
import { checkPreconditions } from '../filters/not-modified.ts';
import type { Setter, VariableTable } from '../variables/table.ts';
import { CaptureRegex } from '../../variables/regex.ts';
import type { Value } from '../variables/value.ts';
import { compileCondition } from './condition.ts';
import type { Condition } from './condition.ts';
import { unescapeRedirect } from '../wire/escape.ts';
import { Template, splitReplacement, template } from './template.ts';

/** What a step says: go on with the next one, … */
const GO = 0;
/** … leave the directives, … */
const STOP = 1;
/** … or that the request is answered. */
const ANSWERED = 2;

/** Captures are escaped in `set` and `if` until the first `rewrite` has matched: nginx's `e->quote`. */
export interface RewriteState {
  escape: boolean;
}

interface Step {
  run(r: HttpRequest, state: RewriteState): number;
}

export interface RewriteContext {
  table: VariableTable;
  /** `rewrite_log on`: what matches is logged at level notice. */
  log: boolean;
  /** Makes the settings of an `if`; null for the directives of a server, whose `if` has none of its own. */
  makeLocation: ((config: LocationConfig) => Location) | null;
}

export class RewriteProgram {
  /** The settings of each `if`, in order. */
  readonly ifLocations: Location[];
  readonly #steps: Step[];
  readonly #server: boolean;

  constructor(steps: Step[], ifLocations: Location[], server: boolean) {
    this.#steps = steps;
    this.ifLocations = ifLocations;
    this.#server = server;
  }

  /**
   * Runs the directives.
   *
   * @returns `NEXT`; `AGAIN` when `r.uri` has changed and a location is to be looked for (never of a server's
   * directives, after which one is looked for anyhow); `TAKEN` when the request is answered
   */
  run(r: HttpRequest): number {
    const state: RewriteState = { escape: true };
    const result = runSteps(this.#steps, r, state);
    if (result === ANSWERED) return TAKEN;
    if (!r.uriChanged || this.#server) {
      r.uriChanged = false;
      return NEXT;
    }
    r.uriChanged = false;
    if (--r.uriChanges === 0) {
      logRequest(r, 'error', `rewrite or internal redirection cycle while processing "${r.uri}"`);
      finalize(r, 500);
      return TAKEN;
    }
    return AGAIN;
  }
}

function runSteps(steps: readonly Step[], r: HttpRequest, state: RewriteState): number {
  for (let i = 0; i < steps.length; i++) {
    const result = steps[i]!.run(r, state);
    if (result !== GO) return result;
  }
  return GO;
}

/**
 * Compiles the rewrite directives of a server or location.
 *
 * @returns null when there are none
 */
export function compileRewrite(ops: readonly RewriteOp[], context: RewriteContext): RewriteProgram | null {
  if (ops.length === 0) return null;
  const ifLocations: Location[] = [];
  const steps = ops.map((op) => compileStep(op, context, ifLocations));
  return new RewriteProgram(steps, ifLocations, context.makeLocation === null);
}

function compileStep(op: RewriteOp, context: RewriteContext, ifLocations: Location[]): Step {
  const { table } = context;
  const lookup = (name: string) => table.lookup(name);
  switch (op.op) {
    case 'set':
      return new SetStep(table.setter(op.variable), template(op.value, lookup));
    case 'break':
      return new BreakStep();
    case 'return':
      return new ReturnStep(op.status, op.text === null ? null : table.compile(op.text));
    case 'rewrite':
      return new RewriteStep(op, context);
    case 'if': {
      const condition = compileCondition(op.condition, context);
      const location = context.makeLocation === null ? null : context.makeLocation(op.location);
      if (location !== null) ifLocations.push(location);
      return new IfStep(
        condition,
        location,
        op.ops.map((inner) => compileStep(inner, context, ifLocations)),
      );
    }
  }
}

class SetStep implements Step {
  readonly #set: Setter;
  readonly #value: Template;

  constructor(set: Setter, value: Template) {
    this.#set = set;
    this.#value = value;
  }

  run(r: HttpRequest, state: RewriteState): number {
    this.#set(r, this.#value.render(r, state.escape));
    return GO;
  }
}

class BreakStep implements Step {
  run(r: HttpRequest): number {
    if (r.uriChanged) r.validLocation = false;
    r.uriChanged = false;
    return STOP;
  }
}

class IfStep implements Step {
  readonly #condition: Condition;
  readonly #location: Location | null;
  /** The same behind an `if` that has proxy_pass, when this one has no handler; null: it has. */
  readonly #afterProxy: Location | null;
  readonly #steps: Step[];

  constructor(condition: Condition, location: Location | null, steps: Step[]) {
    this.#condition = condition;
    this.#location = location;
    this.#afterProxy = location === null || location.config.handler.kind !== 'static' ? null : withoutHandler(location);
    this.#steps = steps;
  }

  run(r: HttpRequest, state: RewriteState): number {
    if (!this.#condition(r, state)) return GO;
    if (this.#afterProxy !== null && isProxyIf(r.loc)) r.loc = this.#afterProxy;
    else if (this.#location !== null) r.loc = this.#location;
    return runSteps(this.#steps, r, state);
  }
}

/**
 * nginx keeps the handler of an earlier `if` and takes the settings of the later one: proxy_pass without a target, which
 * ends as 500. Serving files instead would be a guess.
 */
function withoutHandler(location: Location): Location {
  const copy = Object.assign(Object.create(Object.getPrototypeOf(location) as object) as Location, location);
  copy.handler = (r) => {
    logRequest(r, 'error', 'no target of "proxy_pass": a later "if" has taken the place of the one that has it');
    finalize(r, 500);
  };
  return copy;
}

function isProxyIf({ config }: Location): boolean {
  return config.match.kind === 'if' && config.handler.kind === 'proxy';
}

function isRedirect(status: number): boolean {
  return status === 301 || status === 302 || status === 303 || status === 307 || status === 308;
}

class ReturnStep implements Step {
  readonly #status: number;
  readonly #text: Value | null;
  /** The body, when it is always the same; never written to. */
  readonly #body: Buffer | null;

  constructor(status: number, text: Value | null) {
    this.#status = status;
    // An empty text is none: `return 404 ""` gives the error page.
    this.#text = text !== null && text.constant === '' ? null : text;
    const constant = this.#text === null ? null : this.#text.constant;
    this.#body = constant === null ? null : Buffer.from(constant, 'latin1');
  }

  run(r: HttpRequest): number {
    const status = this.#status;
    const text = this.#text;
    if (status >= 400 && text === null) {
      finalize(r, status);
      return ANSWERED;
    }
    if (isRedirect(status)) {
      redirect(r, status, text === null ? '' : text.get(r));
      return ANSWERED;
    }
    // The text may tell the status.
    r.status = status;
    const body = this.#body ?? (text === null ? null : Buffer.from(text.get(r), 'latin1'));
    answerText(r, status, body);
    return ANSWERED;
  }
}

/** A text of the configuration as answer: its type follows the URI's extension, as with files. */
function answerText(r: HttpRequest, status: number, body: Buffer | null): void {
  // An error page keeps the status of the error.
  const sent = r.errorStatus !== 0 ? r.errorStatus : status;
  if (sent === 200) {
    const condition = checkPreconditions(r, null, -1);
    if (condition === 412) {
      finalize(r, 412);
      return;
    }
    if (condition === 304) {
      r.status = 304;
      r.contentType = null;
      r.contentLength = -1;
      r.sendHead(null, 0, 0, true);
      return;
    }
  }
  r.respond(status, r.contentType ?? contentTypeOf(r.loc.core, r.uri), body);
}

class RewriteStep implements Step {
  readonly #regex: CaptureRegex;
  readonly #path: Template;
  readonly #args: Template | null;
  /** The client's query is kept. */
  readonly #keepArgs: boolean;
  /** 0: an internal rewrite. */
  readonly #status: number;
  /** A redirect's replacement holds a query already. */
  readonly #hasQuery: boolean;
  readonly #last: boolean;
  readonly #break: boolean;
  readonly #log: boolean;

  constructor(op: Extract<RewriteOp, { op: 'rewrite' }>, { table, log }: RewriteContext) {
    this.#regex = new CaptureRegex(op.regex, table);
    let { replacement } = op;
    // A `?` at the end drops the client's query.
    this.#keepArgs = !replacement.endsWith('?');
    if (!this.#keepArgs) replacement = replacement.slice(0, -1);
    const absolute = /^(?:https?:\/\/|\$scheme)/.test(replacement);
    this.#status = op.flag === 'permanent' ? 301 : op.flag === 'redirect' || absolute ? 302 : 0;
    this.#last = op.flag !== 'none' || absolute;
    this.#break = op.flag === 'break';
    this.#log = log;

    const lookup = (name: string) => table.lookup(name);
    const { path, args } = splitReplacement(replacement);
    this.#hasQuery = args !== null;
    if (this.#status !== 0) {
      this.#path = template(replacement, lookup);
      this.#args = null;
    } else {
      this.#path = new Template(path, lookup);
      this.#args = args === null ? null : new Template(args, lookup);
    }
  }

  run(r: HttpRequest, state: RewriteState): number {
    const logs = this.#log || r.loc.log.enabled('debug');
    if (!this.#regex.exec(r, r.uri)) {
      if (logs) logRequest(r, 'notice', `"${this.#regex.pattern}" does not match "${r.uri}"`);
      r.captures = null;
      return GO;
    }
    if (logs) logRequest(r, 'notice', `"${this.#regex.pattern}" matches "${r.uri}"`);
    r.internal = true;
    r.validUnparsed = false;
    r.uriChanged = !this.#break;
    if (this.#break) r.validLocation = false;
    state.escape = false;
    return this.#status === 0 ? this.#rewrite(r, logs) : this.#redirect(r, logs);
  }

  #redirect(r: HttpRequest, logs: boolean): number {
    let target = unescapeRedirect(this.#path.render(r, true));
    if (this.#keepArgs && r.args !== '') target += (this.#hasQuery ? '&' : '?') + r.args;
    if (logs) logRequest(r, 'notice', `rewritten redirect: "${target}"`);
    redirect(r, this.#status, target);
    return ANSWERED;
  }

  #rewrite(r: HttpRequest, logs: boolean): number {
    // The path first: both may use variables that depend on the old query.
    const uri = this.#path.render(r, false);
    if (this.#args !== null) {
      const args = this.#args.render(r, true);
      r.args = this.#keepArgs && r.args !== '' ? `${args}&${r.args}` : args;
    } else if (!this.#keepArgs) {
      r.args = '';
    }
    if (logs) logRequest(r, 'notice', `rewritten data: "${uri}", args: "${r.args}"`);
    r.uri = uri;
    if (uri === '') {
      logRequest(r, 'error', 'the rewritten URI has a zero length');
      finalize(r, 500);
      return ANSWERED;
    }
    return this.#last ? STOP : GO;
  }
}
