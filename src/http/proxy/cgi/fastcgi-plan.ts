/** The plan of a location that is answered by a FastCGI server (`fastcgi_pass`). */
import type { FastcgiConfig } from '../../../config/model.ts';
import { Output } from '../../../net/output.ts';
import { CGI_HIDDEN } from '../hide.ts';
import type { OutgoingRequest } from '../upstream-channel.ts';
import { UpstreamPlan } from '../upstream-plan.ts';
import type { CommonParts } from '../upstream-plan.ts';
import { FastcgiChannel } from './fastcgi-channel.ts';
import type { FastcgiOptions } from './fastcgi-channel.ts';
import { PARAMS, putBegin, putEnd, putPair, putRecords } from './fastcgi-records.ts';
import { LocationParams } from './params.ts';

/** Where parameters are written before they are cut into records. */
const scratch = new Output();

export class FastcgiPlan extends UpstreamPlan {
  // The end of the body has a record of its own.
  override readonly streamsUnknown = true;
  readonly #params: LocationParams;
  readonly #options: FastcgiOptions;

  constructor(config: FastcgiConfig, parts: CommonParts) {
    super({ ...parts, settings: config, protocol: `fastcgi ${config.keepConn}`, hidden: CGI_HIDDEN });
    this.#params = new LocationParams(config, parts.variables);
    this.#options = { keepConn: config.keepConn, catchStderr: config.catchStderr };
  }

  compose(o: Output, { r, cached }: OutgoingRequest): void {
    scratch.length = 0;
    this.#params.of(cached).write(scratch, r, putPair);
    putBegin(o, this.#options.keepConn);
    putRecords(o, PARAMS, scratch.buf, 0, scratch.length);
    putEnd(o, PARAMS);
  }

  newChannel(): FastcgiChannel {
    return new FastcgiChannel(this.#options);
  }
}
