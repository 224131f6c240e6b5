/**
 * SSI: carries out the commands in pages that stream past (ngx_http_ssi_filter_module). Includes are subrequests that
 * `postpone.ts` puts in their place; a command that has to wait for one stops the page's producer.
 */
import { Buffer } from 'node:buffer';
import type { SsiConfig } from '../../../config/model-content.ts';
import { clock } from '../../../net/clock.ts';
import { Output } from '../../../net/output.ts';
import type { BodyProducer, HttpRequest } from '../../request.ts';
import { HELD, SENT } from '../../request.ts';
import { logRequest } from '../../request-log.ts';
import { Family, MemorySink, subrequest } from '../../subrequest.ts';
import type { VariableTable } from '../../variables/table.ts';
import { escapeHtml, escapeHtmlUri } from '../../wire/escape.ts';
import { splitUnsafeUri } from '../../wire/uri.ts';
import { changesBody, contentTypes } from '../body-change.ts';
import { ChainedFilter, prependFilter } from '../chain.ts';
import type { HeadHook } from '../headers.ts';
import type { IncludeWatcher, PostponeFilter } from '../postpone.ts';
import { postpone } from '../postpone.ts';
import { evaluateCondition, evaluateText, SsiError, SsiShared } from './evaluate.ts';
import { checkParams, COMMANDS } from './commands.ts';
import type { SsiCommand } from './commands.ts';
import { OPENING, SSI_COMMAND, SSI_ERROR, SSI_LITERAL, SSI_MORE, SSI_TEXT, SsiParser } from './parser.ts';
import { DEFAULT_TIME_FORMAT, strftime } from './strftime.ts';

const DEFAULT_ERROR = '[an error occurred while processing the directive]';
/** All blocks of a page together. */
const MAX_BLOCKS = 1024 * 1024;

/** What was produced since the last flush. Sending copies or writes it during the call. */
const produced = new Output();

const shared = new WeakMap<Family, SsiShared>();

function sharedOf(r: HttpRequest): SsiShared {
  const family = (r.family ??= new Family(r));
  let found = shared.get(family);
  if (found === undefined) shared.set(family, (found = new SsiShared()));
  return found;
}

class SsiFilter extends ChainedFilter implements BodyProducer, IncludeWatcher {
  readonly #r: HttpRequest;
  readonly #config: SsiConfig;
  readonly #table: VariableTable;
  readonly #postpone: PostponeFilter;
  readonly #parser: SsiParser;
  readonly #shared: SsiShared;
  readonly #lookup = (name: string): string | null => this.#variable(name);
  #producer: BodyProducer | null = null;
  /** Text goes to the client; false: it stands in a branch that was not taken, or in a block. */
  #output = true;
  /** Some branch of the present `if` was taken. */
  #chosen = false;
  /** Inside `if`: up to `else`, or behind it. */
  #conditional: '' | 'if' | 'else' = '';
  /** Name of the block that is being read. */
  #block: string | null = null;
  #encoding: 'none' | 'url' | 'entity' = 'entity';
  #timeFormat = DEFAULT_TIME_FORMAT;
  #errorText = DEFAULT_ERROR;
  /** The page goes on when this subrequest is over. */
  #waiting: HttpRequest | null = null;
  /** What of the page came meanwhile. */
  #rest: Buffer | null = null;
  #last = false;
  #headHeld = false;
  /** What was produced before a wait, with nothing sent of it. */
  #kept: Buffer | null = null;
  #closed = false;

  constructor(r: HttpRequest, config: SsiConfig, table: VariableTable, after: PostponeFilter) {
    super();
    this.#r = r;
    this.#config = config;
    this.#table = table;
    this.#postpone = after;
    this.#parser = new SsiParser(config.valueLength);
    this.#shared = sharedOf(r);
  }

  override sendHead(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): number {
    this.#producer = r.producer;
    r.producer = this;
    if (r.headerOnly) return this.nextHead(r, buf, start, end, last);
    // It goes out with the first bytes of the page.
    this.#headHeld = true;
    if ((buf !== null && end > start) || last) return this.sendBody(r, buf, start, end, last);
    this.#flush();
    return this.#postpone.settle();
  }

  override sendBody(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): number {
    if (r.headerOnly) return this.nextBody(r, buf, start, end, last);
    if (last) this.#last = true;
    if (this.#waiting === null) return this.#process(buf, start, end);
    if (buf !== null && end > start) {
      const more = buf.subarray(start, end);
      this.#rest = this.#rest === null ? Buffer.from(more) : Buffer.concat([this.#rest, more]);
    }
    return HELD;
  }

  /** Works through bytes of the page. */
  #process(buf: Buffer | null, start: number, end: number): number {
    const parser = this.#parser;
    produced.length = 0;
    if (this.#kept !== null) {
      produced.bytes(this.#kept, 0, this.#kept.length);
      this.#kept = null;
    }
    let pos = start;
    while (buf !== null && pos < end) {
      const outcome = parser.next(buf, pos, end);
      pos = parser.pos;
      if (outcome === SSI_TEXT) this.#text(buf, parser.textStart, parser.textEnd);
      else if (outcome === SSI_LITERAL) this.#text(OPENING, 0, parser.literal);
      else if (outcome === SSI_COMMAND) {
        this.#run();
        if (this.#waiting !== null) {
          this.#rest = Buffer.from(buf.subarray(pos, end));
          if (produced.length > 0) this.#kept = Buffer.from(produced.buf.subarray(0, produced.length));
          return HELD;
        }
      } else if (outcome === SSI_ERROR) this.#failed(parser.error);
      else if (outcome === SSI_MORE) break;
    }
    if (!this.#last) {
      this.#flush();
      return this.#postpone.settle();
    }
    const literal = parser.finish();
    if (literal > 0) this.#text(OPENING, 0, literal);
    const { length } = produced;
    produced.length = 0;
    return this.#send(length, true);
  }

  #flush(): void {
    const { length } = produced;
    if (length === 0 && !this.#headHeld) return;
    produced.length = 0;
    this.#send(length, false);
  }

  #send(length: number, last: boolean): number {
    const buf = length > 0 ? produced.buf : null;
    if (!this.#headHeld) return this.nextBody(this.#r, buf, 0, length, last);
    this.#headHeld = false;
    return this.nextHead(this.#r, buf, 0, length, last);
  }

  #text(buf: Buffer, start: number, end: number): void {
    if (this.#output) produced.bytes(buf, start, end);
    else if (this.#block !== null) this.#toBlock(buf.latin1Slice(start, end));
  }

  #toBlock(text: string): void {
    const { blocks } = this.#shared;
    let size = text.length;
    for (const content of blocks.values()) size += content.length;
    if (size <= MAX_BLOCKS) blocks.set(this.#block!, blocks.get(this.#block!)! + text);
    else logRequest(this.#r, 'error', `too large SSI block "${this.#block}"`);
  }

  #failed(message: string): void {
    logRequest(this.#r, 'error', message);
    if (!this.#config.silentErrors) produced.text(this.#errorText);
  }

  // ------------------------------------------------------------------------------------ commands

  #run(): void {
    const { command: name, params } = this.#parser;
    const command = COMMANDS[name];
    if (command === undefined) {
      if (this.#output) this.#failed(`invalid SSI command: "${name}"`);
      return;
    }
    if (!this.#output && !(name === 'endblock' && this.#block !== null)) {
      if (this.#block !== null) {
        const written = params.map((p) => ` ${p.name}="${p.value}"`).join('');
        this.#toBlock(`<!--#${name}${written} -->`);
        return;
      }
      if (command.within === null) return;
    }
    try {
      if (command.within !== null && !command.within.includes(this.#conditional)) {
        throw new SsiError(`invalid context of SSI command: "${name}"`);
      }
      this.#execute(name as SsiCommand, checkParams(name, command, params));
    } catch (error) {
      if (!(error instanceof SsiError)) throw error;
      this.#failed(error.message);
    }
  }

  #execute(name: SsiCommand, params: Map<string, string>): void {
    switch (name) {
      case 'include':
        this.#include(params);
        return;
      case 'echo':
        this.#echo(params);
        return;
      case 'config':
        this.#timeFormat = params.get('timefmt') ?? this.#timeFormat;
        this.#errorText = params.get('errmsg') ?? this.#errorText;
        return;
      case 'set':
        this.#shared.variables.set(params.get('var')!.toLowerCase(), evaluateText(params.get('value')!, this.#lookup));
        return;
      case 'if':
        if (this.#conditional !== '') throw new SsiError('the "if" command inside the "if" command');
        this.#if(params.get('expr')!);
        return;
      case 'elif':
        this.#if(params.get('expr')!);
        return;
      case 'else':
        this.#output = !this.#chosen;
        this.#conditional = 'else';
        return;
      case 'endif':
        this.#output = true;
        this.#chosen = false;
        this.#conditional = '';
        return;
      case 'block': {
        const block = params.get('name')!;
        this.#shared.blocks.set(block, '');
        this.#block = block;
        this.#output = false;
        return;
      }
      case 'endblock':
        this.#output = true;
        this.#block = null;
    }
  }

  #if(expression: string): void {
    if (this.#chosen) {
      this.#output = false;
      return;
    }
    const yes = evaluateCondition(expression, this.#lookup, this.#shared);
    this.#output = yes;
    this.#chosen = yes;
    this.#conditional = 'if';
  }

  #variable(name: string): string | null {
    const own = this.#shared.get(name);
    if (own !== null) return own;
    const lower = name.toLowerCase();
    if (lower === 'date_gmt' || lower === 'date_local') {
      return strftime(this.#timeFormat, clock.wall, lower === 'date_gmt');
    }
    return this.#table.find(lower)?.(this.#r) ?? null;
  }

  #echo(params: Map<string, string>): void {
    const value = this.#variable(params.get('var')!) ?? params.get('default') ?? '(none)';
    if (value === '') return;
    const encoding = params.get('encoding');
    if (encoding === 'none' || encoding === 'url' || encoding === 'entity') this.#encoding = encoding;
    else if (encoding !== undefined) {
      logRequest(this.#r, 'error', `unknown encoding "${encoding}" in the "echo" command`);
    }
    if (this.#encoding === 'none') produced.text(value);
    else produced.text(this.#encoding === 'url' ? escapeHtmlUri(value) : escapeHtml(value));
  }

  #include(params: Map<string, string>): void {
    const file = params.get('file');
    const uri = params.get('virtual') ?? file;
    const set = params.get('set');
    const stub = params.get('stub');
    const wait = params.get('wait')?.toLowerCase();
    if (uri === undefined) throw new SsiError('no parameter in "include" SSI command');
    if (file !== undefined && params.has('virtual')) {
      throw new SsiError(`inclusion may be either virtual="${params.get('virtual')}" or file="${file}"`);
    }
    if (set !== undefined && stub !== undefined) {
      throw new SsiError('"set" and "stub" cannot be used together in "include" SSI command');
    }
    if (wait !== undefined && file !== undefined) throw new SsiError(`"wait" cannot be used with file="${file}"`);
    if (wait !== undefined && wait !== 'yes' && wait !== 'no') {
      throw new SsiError(`invalid value "${params.get('wait')}" in the "wait" parameter`);
    }
    const target = this.#target(uri);
    let replacement: string | undefined;
    if (stub !== undefined) {
      replacement = this.#shared.blocks.get(stub);
      if (replacement === undefined) throw new SsiError(`"stub"="${stub}" for "include" not found`);
    }
    if (set !== undefined) {
      this.#includeInto(set.toLowerCase(), target.uri, target.args);
      return;
    }
    this.#flush();
    const child = this.#postpone.include(target.uri, target.args, { watcher: this, replacement });
    if (child === null) throw new SsiError('subrequest was not begun');
    if (wait === 'yes' || file !== undefined) this.#waiting = child;
  }

  /** Decodes a URI; relative ones stand beside the page. */
  #target(text: string): { uri: string; args: string } {
    let value = evaluateText(text, this.#lookup);
    if (!value.startsWith('/')) {
      const { uri } = this.#r;
      value = uri.slice(0, uri.lastIndexOf('/') + 1) + value;
    }
    const target = splitUnsafeUri(value);
    if (target === null) throw new SsiError(`unsafe URI "${value}" was detected`);
    return target;
  }

  /** `set`: the answer becomes a variable's value, if it is one of success. */
  #includeInto(name: string, uri: string, args: string): void {
    const { variables } = this.#shared;
    variables.set(name, this.#shared.get(name) ?? '');
    const sink = new MemorySink((child, content) => {
      if (child.status < 300 && content.length > 0) variables.set(name, content.latin1Slice());
      this.onIncluded(child);
    });
    const child = subrequest(this.#r, uri, args, sink);
    if (child === null) throw new SsiError('subrequest was not begun');
    this.#waiting = child;
  }

  // ------------------------------------------------------------------------------------ waiting

  onIncluded(child: HttpRequest): void {
    if (child !== this.#waiting || this.#closed) return;
    this.#waiting = null;
    const rest = this.#rest;
    this.#rest = null;
    const last = this.#last;
    const result = this.#process(rest, 0, rest === null ? 0 : rest.length);
    // Held: whoever holds will say when it goes on.
    if (result === SENT && !last) this.#drained();
  }

  onDrain(): void {
    if (this.#waiting === null) this.#drained();
  }

  #drained(): void {
    const producer = this.#producer;
    if (producer !== null) producer.onDrain(this.#r);
  }

  onAbort(r: HttpRequest): void {
    const producer = this.#producer;
    this.close();
    if (producer !== null) producer.onAbort(r);
  }

  override close(): void {
    this.#closed = true;
    this.#waiting = null;
    this.#rest = null;
    this.#kept = null;
    this.#producer = null;
    super.close();
  }
}

/** Compiles `ssi`; null where it is off. */
export function compileSsi(config: SsiConfig | undefined, table: VariableTable): HeadHook | null {
  if (config === undefined) return null;
  const types = contentTypes(config.types);
  return (r) => {
    if (r.contentLength === 0 || !types(r)) return;
    if (r.parent === null) changesBody(r, config.lastModified);
    prependFilter(r, new SsiFilter(r, config, table, postpone(r)));
  };
}
