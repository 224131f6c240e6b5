/** The variables of one generation of http: what `src/variables/table.ts` does not know of. */
import { parseSize } from '../../config/units.ts';
import type { HttpConfig, LocationConfig, LogLevel, RewriteOp } from '../../config/model.ts';
import type { VariableEnvironment } from '../../variables/environment.ts';
import { Variables } from '../../variables/table.ts';
import type * as variables from '../../variables/table.ts';
import { FASTCGI_VARIABLES } from '../proxy/cgi/script-name.ts';
import { PathTable } from '../handlers/static-path.ts';
import { logRequest } from '../request-log.ts';
import type { HttpRequest } from '../request.ts';
import { forwardedFor } from '../server/realip.ts';
import { KONG_VARIABLES } from '../kong/variables.ts';
import { newRequestId, REQUEST_VARIABLES, requestFamily } from './request.ts';
import { RESPONSE_VARIABLES, responseFamily } from './response.ts';
import { SSL_VARIABLES } from './ssl.ts';
import { UPSTREAM_VARIABLES, upstreamFamily } from './upstream.ts';
import type { Getter } from './value.ts';

/** Stores a variable's value for a request. */
export type Setter = variables.Setter<HttpRequest>;

export class VariableTable extends Variables<HttpRequest> {
  /** Files of locations, also for `$request_filename` and the like. */
  readonly paths: PathTable;
  /** Requests may get a rate that their location does not set: by `set $limit_rate` or `X-Accel-Limit-Rate`. */
  mayPace = false;

  constructor(
    config: Pick<HttpConfig, 'maps' | 'geos' | 'splits' | 'keyvals' | 'servers'>,
    environment: Partial<VariableEnvironment> = {},
  ) {
    super(config.maps, environment);
    this.paths = new PathTable(this, this.environment.prefix);
    this.define({
      ...REQUEST_VARIABLES,
      ...RESPONSE_VARIABLES,
      ...UPSTREAM_VARIABLES,
      ...FASTCGI_VARIABLES,
      ...SSL_VARIABLES,
      ...KONG_VARIABLES,
      limit_rate: (r) => (r.limitRate < 0 ? '0' : String(r.limitRate)),
      document_root: (r) => this.paths.of(r.loc.core).root(r),
      realpath_root: (r) => this.paths.of(r.loc.core).realRoot(r),
      request_filename: (r) => this.paths.of(r.loc.core).map(r),
    });
    this.defineChosen(config.geos, config.splits, {
      clientAddress: (r) => r.client.bytes,
      forwardedAddress: (r, address, trusted, recursive) => forwardedFor(r, address, trusted, recursive) ?? address,
    });
    this.defineKeyvals(config.keyvals);
    for (const server of config.servers) {
      this.#collect(server.rewrite);
      this.#collectLocation(server.root);
    }
  }

  report(r: HttpRequest, level: LogLevel, message: string): void {
    logRequest(r, level, message);
  }

  #collectLocation(location: LocationConfig): void {
    this.#collect(location.rewrite);
    if ('pass' in location.handler) this.mayPace = true;
    for (const nested of location.locations) this.#collectLocation(nested);
    if (location.limitExcept !== null) this.#collectLocation(location.limitExcept);
  }

  #collect(ops: readonly RewriteOp[]): void {
    for (const op of ops) {
      if (op.op === 'set') this.#collectSet(op.variable.toLowerCase());
      else if (op.op === 'if') {
        if ('pass' in op.location.handler) this.mayPace = true;
        this.#collect(op.ops);
      }
    }
  }

  #collectSet(name: string): void {
    if (name === 'limit_rate') this.mayPace = true;
    // These two have a place of their own in the request.
    if (name !== 'args' && name !== 'limit_rate') this.noteSet(name);
  }

  protected override make(name: string): Getter {
    return name === 'request_id' ? this.stored(name, newRequestId, true) : super.make(name);
  }

  protected family(name: string): Getter | null {
    return requestFamily(name) ?? responseFamily(name) ?? upstreamFamily(name) ?? null;
  }

  /** The function that sets a variable (`set`, `auth_request_set`). */
  override setter(name: string): Setter {
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
    return super.setter(lower);
  }
}
