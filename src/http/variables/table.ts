/**
 * The variables of one generation. Names are looked up while a configuration is compiled; what requests run are the
 * functions found then. Values of `set`, of named groups and of cached variables stand in `r.vars`, by index.
 */
import { parseSize } from '../../config/units.ts';
import { parseValue } from '../../config/value.ts';
import type { HttpConfig, LocationConfig, MapConfig, RewriteOp, ValueText } from '../../config/model.ts';
import type { HttpRequest } from '../request.ts';
import { logRequest } from '../request-log.ts';
import { PathTable } from '../handlers/static-path.ts';
import { defaultEnvironment } from './environment.ts';
import type { VariableEnvironment } from './environment.ts';
import { compileMap } from './map.ts';
import { newRequestId, requestFamily, requestVariables } from './request.ts';
import { RESPONSE_VARIABLES, responseFamily } from './response.ts';
import { SSL_VARIABLES } from './ssl.ts';
import { UPSTREAM_VARIABLES, upstreamFamily } from './upstream.ts';
import { compileParts, constantValue } from './value.ts';
import type { Getter, Value } from './value.ts';

/** Stores a variable's value for a request. */
export type Setter = (r: HttpRequest, value: string) => void;

export class VariableTable {
  readonly environment: VariableEnvironment;
  /** Files of locations, also for `$request_filename` and the like. */
  readonly paths: PathTable;
  /** Requests may get a rate that their location does not set: by `set $limit_rate` or `X-Accel-Limit-Rate`. */
  readonly mayPace: boolean;
  #acceleratedRate = false;
  readonly #builtin: Map<string, Getter>;
  readonly #maps = new Map<string, MapConfig>();
  readonly #setNames = new Set<string>();
  readonly #indexes = new Map<string, number>();
  readonly #getters = new Map<string, Getter>();
  // No configuration can name this variable.
  readonly #rewrittenIndex = this.indexOf(' uri rewritten');

  constructor(config: Pick<HttpConfig, 'maps' | 'servers'>, environment: Partial<VariableEnvironment> = {}) {
    this.environment = { ...defaultEnvironment(), ...environment };
    this.paths = new PathTable(this, this.environment.prefix);
    this.#builtin = new Map(
      Object.entries({
        ...requestVariables(this.environment),
        ...RESPONSE_VARIABLES,
        ...UPSTREAM_VARIABLES,
        ...SSL_VARIABLES,
        limit_rate: (r: HttpRequest) => (r.limitRate < 0 ? '0' : String(r.limitRate)),
        document_root: (r: HttpRequest) => this.paths.of(r.loc.core).root(r),
        realpath_root: (r: HttpRequest) => this.paths.of(r.loc.core).realRoot(r),
        request_filename: (r: HttpRequest) => this.paths.of(r.loc.core).map(r),
      }),
    );
    // The last of two maps of one variable counts, as nginx overwrites the first.
    for (const map of config.maps) this.#maps.set(map.variable.toLowerCase(), map);
    for (const server of config.servers) {
      this.#collect(server.rewrite);
      this.#collectLocation(server.root);
    }
    this.mayPace = this.#acceleratedRate || this.#setNames.has('limit_rate');
  }

  #collectLocation(location: LocationConfig): void {
    this.#collect(location.rewrite);
    if (location.handler.kind === 'proxy') this.#acceleratedRate = true;
    for (const nested of location.locations) this.#collectLocation(nested);
    if (location.limitExcept !== null) this.#collectLocation(location.limitExcept);
  }

  #collect(ops: readonly RewriteOp[]): void {
    for (const op of ops) {
      if (op.op === 'set') this.#setNames.add(op.variable.toLowerCase());
      else if (op.op === 'if') {
        if (op.location.handler.kind === 'proxy') this.#acceleratedRate = true;
        this.#collect(op.ops);
      }
    }
  }

  /** Compiles a value. @throws {TypeError} if it is malformed, which the configuration's check would have told */
  compile(text: ValueText): Value {
    if (!text.includes('$')) return constantValue(text);
    return compileParts(parseValue(text), (name) => this.lookup(name));
  }

  /** Compiles a value that may be missing. */
  compileOptional(text: ValueText | null): Value | null {
    return text === null ? null : this.compile(text);
  }

  /** The function that gives a variable's value. @param name without `$`, any case */
  lookup(name: string): Getter {
    const lower = name.toLowerCase();
    let getter = this.#getters.get(lower);
    if (getter === undefined) {
      // Maps may name each other: hand out a reference that is followed when it runs.
      this.#getters.set(lower, (r) => this.#getters.get(lower)!(r));
      getter = this.#make(lower);
      this.#getters.set(lower, getter);
    }
    return getter;
  }

  #make(name: string): Getter {
    if (name === 'request_id') return this.#stored(name, newRequestId, true);
    const map = this.#maps.get(name);
    if (map !== undefined) return this.#stored(name, compileMap(map, this), !map.volatile);
    const base = this.#builtin.get(name) ?? requestFamily(name) ?? responseFamily(name) ?? upstreamFamily(name) ?? null;
    if (this.#setNames.has(name) && name !== 'args' && name !== 'limit_rate') {
      return this.#stored(name, base ?? this.#uninitialized(name), false);
    }
    if (base !== null) return base;
    // A named group, or nothing at all.
    return this.#stored(name, () => null, false);
  }

  /** What was stored for the request, else what `compute` gives; `keep`: that is stored. */
  #stored(name: string, compute: Getter, keep: boolean): Getter {
    const index = this.indexOf(name);
    return (r) => {
      const stored = r.vars === null ? undefined : r.vars[index];
      if (stored !== undefined && stored !== null) return stored;
      const value = compute(r);
      if (keep && value !== null) (r.vars ??= [])[index] = value;
      return value;
    };
  }

  /** A variable that some `set` sets, read before: empty, and nginx warns. */
  #uninitialized(name: string): Getter {
    return (r) => {
      logRequest(r, 'warn', `using uninitialized "${name}" variable`);
      return '';
    };
  }

  /**
   * Notes that `break` kept a request in a location whose URI it no longer has (nginx's `valid_location`). Stored as the
   * URI it is about, so that an internal redirect undoes it.
   */
  noteRewritten(r: HttpRequest): void {
    (r.vars ??= [])[this.#rewrittenIndex] = r.uri;
  }

  /**
   * Whether the URI was rewritten by `break`: the location's own prefix tells nothing of it any more. `alias` cannot be
   * used then, and the URI part of `proxy_pass` does not replace anything.
   */
  isRewritten(r: HttpRequest): boolean {
    return r.vars !== null && r.vars[this.#rewrittenIndex] === r.uri;
  }

  /** Index in `r.vars` where a variable's value is stored. */
  indexOf(name: string): number {
    const lower = name.toLowerCase();
    let index = this.#indexes.get(lower);
    if (index === undefined) this.#indexes.set(lower, (index = this.#indexes.size));
    return index;
  }

  /** The function that sets a variable (`set`, `auth_request_set`). */
  setter(name: string): Setter {
    const lower = name.toLowerCase();
    if (lower === 'args') {
      return (r, value) => {
        r.args = value;
        r.validUnparsed = false;
      };
    }
    if (lower === 'limit_rate') {
      return (r, value) => {
        const rate = parseSize(value);
        if (rate === null) logRequest(r, 'error', `invalid $limit_rate "${value}"`);
        else r.limitRate = rate;
      };
    }
    const index = this.indexOf(lower);
    return (r, value) => {
      (r.vars ??= [])[index] = value;
    };
  }
}
