/**
 * Reads configuration files statement by statement and hands each to its directive (ngx_conf_parse, ngx_conf_handler).
 */
import { decodeText } from '../bytes.ts';
import { ConfigError, at } from '../errors.ts';
import type { Place } from '../model.ts';
import { Context, argsFit } from './context.ts';
import { errnoText } from './cycle.ts';
import type { AddressBox, Cycle } from './cycle.ts';
import type { Directive, Registry } from './directive.ts';
import { isGlob } from './glob.ts';
import { Slots } from './scope.ts';
import type { Scope } from './scope.ts';
import { StatementTokens } from './statements.ts';
import type { Statement } from './statements.ts';
import { nearest } from './suggest.ts';
import { SyntaxFault, Tokenizer } from './tokenizer.ts';

/** Takes the statements of a block that has no directives: `types`, `map`. Returns an error text or nothing. */
export type LineHandler = (cf: Conf) => string | void;

interface Source {
  /** As messages show it; null: the parameter of `-g`. */
  file: string | null;
  tokens: Tokenizer | StatementTokens;
}

/** Deeper nesting of includes is a loop. nginx itself runs out of file descriptors instead. */
const MAX_INCLUDE_DEPTH = 64;
/** Blocks inside of blocks: more would use up the stack. */
const MAX_BLOCK_DEPTH = 200;

export class Conf {
  readonly cycle: Cycle;
  /** The statement at hand: name and arguments. Directives may change the arguments. */
  args: string[] = [];
  /** The block at hand, one bit of `Context`. */
  context: number = Context.main;
  scope: Scope;
  private readonly registry: Registry;
  private source: Source | null = null;
  private handler: LineHandler | null = null;
  private depth = 0;
  private blockDepth = 0;

  constructor(cycle: Cycle, registry: Registry) {
    this.cycle = cycle;
    this.registry = registry;
    this.scope = { main: new Slots(), srv: new Slots(), loc: new Slots() };
  }

  /** Where the statement at hand ended; null on the command line. */
  get place(): Place | null {
    const { source } = this;
    if (source !== null && source.tokens instanceof StatementTokens) return source.tokens.place;
    return source === null || source.file === null ? null : { file: source.file, line: source.tokens.line };
  }

  /** The place of a block, for what is built from it; the command line has no blocks. */
  get blockPlace(): Place {
    return this.place ?? { file: this.cycle.options.file, line: 0 };
  }

  private get suffix(): string {
    const { source, place } = this;
    if (source === null) return '';
    return place === null ? ' in command line' : at(place);
  }

  /** The error of the statement at hand, to be thrown. `hint` follows nginx's text and place. */
  error(text: string, hint = ''): ConfigError {
    return new ConfigError(text, this.place, this.suffix + hint);
  }

  warn(text: string): void {
    this.cycle.warn(text, this.place, 'warn', this.suffix);
  }

  /** Parses the parameter of `-g`. */
  parseParameter(text: string): void {
    this.run({ file: null, tokens: new Tokenizer(text, { parameter: true }) }, 'parameter');
  }

  /** Reads statements that were made of another language. @param file that they come from */
  parseStatements(file: string, statements: readonly Statement[]): void {
    this.run({ file, tokens: new StatementTokens(statements) }, 'file');
  }

  /** @throws {ConfigError} when it cannot be read: cited where it was included */
  parseFile(file: string): void {
    let text: string;
    try {
      text = this.cycle.readFile(file);
    } catch (error) {
      // A directory can be opened, but not read.
      const call = (error as NodeJS.ErrnoException).code === 'EISDIR' ? 'pread' : 'open';
      throw this.error(`${call}() "${file}" failed (${errnoText(error)})`);
    }
    const shown = decodeText(file);
    if (!this.cycle.sources.some((source) => source.file === shown)) {
      this.cycle.sources.push({ file: shown, text });
    }
    if (this.depth >= MAX_INCLUDE_DEPTH) throw this.error(`too many nested includes of "${file}"`);
    this.depth++;
    this.run({ file: shown, tokens: new Tokenizer(text) }, 'file');
    this.depth--;
  }

  /** Parses the block that the statement at hand opened. */
  block(context: number, scope: Scope = this.scope): void {
    this.nested(context, scope, null);
  }

  /** Parses a block whose lines are not directives. */
  lines(handler: LineHandler): void {
    this.nested(this.context, this.scope, handler);
  }

  /** Parses a file whose lines are not directives, in the scope of a block. One that does not exist has no lines. */
  linesOfFile(file: string, scope: Scope, handler: LineHandler): void {
    try {
      this.cycle.readFile(file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    }
    const saved = { scope: this.scope, handler: this.handler, args: this.args };
    this.scope = scope;
    this.handler = handler;
    this.parseFile(file);
    Object.assign(this, saved);
  }

  /** `include`, also inside of blocks with a line handler. */
  include(): void {
    const pattern = this.cycle.fullName(this.args[1] as string, 'conf');
    if (!isGlob(pattern)) {
      this.parseFile(pattern);
      return;
    }
    for (const file of this.cycle.glob(pattern)) this.parseFile(file);
  }

  /** Asks for the addresses of a host. `place` and error are those of the statement at hand. */
  resolveLater(host: string, port: number, text: (error: string) => string): AddressBox {
    const { place, suffix } = this;
    return this.cycle.resolveLater(host, port, place, (error) => new ConfigError(text(error), place, suffix));
  }

  /** Declares a shared memory zone. @throws {ConfigError} on a conflict */
  addZone(name: string, size: number, tag: string): void {
    const conflict = this.cycle.addZone(name, size, tag);
    if (conflict !== null) throw this.error(conflict);
  }

  private nested(context: number, scope: Scope, handler: LineHandler | null): void {
    if (this.blockDepth >= MAX_BLOCK_DEPTH) throw this.error(`blocks are nested deeper than ${MAX_BLOCK_DEPTH}`);
    this.blockDepth++;
    const saved = { context: this.context, scope: this.scope, handler: this.handler, args: this.args };
    this.context = context;
    this.scope = scope;
    this.handler = handler;
    this.statements('block');
    Object.assign(this, saved);
    this.blockDepth--;
  }

  private run(source: Source, kind: 'file' | 'parameter'): void {
    const saved = this.source;
    this.source = source;
    this.statements(kind);
    this.source = saved;
  }

  private statements(kind: 'file' | 'parameter' | 'block'): void {
    const { tokens } = this.source as Source;
    // `-g` has no blocks, so what nests there is still the parameter.
    for (;;) {
      const token = this.token(tokens);
      if (token.kind === 'close') {
        if (kind !== 'block') throw this.error('unexpected "}"');
        return;
      }
      if (token.kind === 'end') {
        if (kind === 'block') throw this.error('unexpected end of file, expecting "}"');
        return;
      }
      if (token.kind === 'block' && kind === 'parameter') {
        throw this.error('block directives are not supported in -g option');
      }
      this.args = token.args;
      if (this.handler === null) {
        this.directive(token.kind === 'block');
        continue;
      }
      if (token.kind === 'block') throw this.error('unexpected "{"');
      const text = this.handler(this);
      if (typeof text === 'string') throw this.error(text);
    }
  }

  private token(tokens: Tokenizer | StatementTokens) {
    try {
      return tokens.next();
    } catch (error) {
      if (error instanceof SyntaxFault) throw this.error(error.message);
      throw error;
    }
  }

  private directive(isBlock: boolean): void {
    const name = this.args[0] as string;
    const candidates = this.registry.get(name);
    if (candidates === undefined) {
      const similar = nearest(name, this.namesHere());
      throw this.error(`unknown directive "${name}"`, similar === null ? '' : ` (did you mean "${similar}"?)`);
    }
    const directive = candidates.find((candidate) => (candidate.contexts & this.context) !== 0);
    if (directive === undefined) throw this.error(`"${name}" directive is not allowed here`);
    if (directive.block !== true && isBlock) throw this.error(`directive "${name}" is not terminated by ";"`);
    if (directive.block === true && !isBlock) throw this.error(`directive "${name}" has no opening "{"`);
    if (!argsFit(directive.args, this.args.length - 1)) {
      throw this.error(`invalid number of arguments in "${name}" directive`);
    }
    const text = directive.set(this, directive);
    if (typeof text === 'string') throw this.error(`"${name}" directive ${text}`);
  }

  private *namesHere(): Iterable<string> {
    for (const [name, directives] of this.registry) {
      if (directives.some((directive: Directive) => (directive.contexts & this.context) !== 0)) yield name;
    }
  }
}
