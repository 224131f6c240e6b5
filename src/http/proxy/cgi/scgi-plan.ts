/** The plan of a location that is answered by an SCGI server (`scgi_pass`). */
import type { ScgiConfig } from '../../../config/model.ts';
import { Output } from '../../../net/output.ts';
import { CGI_HIDDEN } from '../hide.ts';
import type { OutgoingRequest } from '../upstream-channel.ts';
import { UpstreamPlan } from '../upstream-plan.ts';
import type { CommonParts } from '../upstream-plan.ts';
import { CgiChannel } from './cgi-channel.ts';
import { LocationParams } from './params.ts';

/** Where parameters are written before their length is known. */
const scratch = new Output();

/** A name and a value end with a NUL each: a value ends with its first one. */
export function putText(o: Output, name: string, value: string): void {
  const nul = value.indexOf('\0');
  o.text(name);
  o.byte(0);
  o.text(nul < 0 ? value : value.slice(0, nul));
  o.byte(0);
}

export class ScgiPlan extends UpstreamPlan {
  readonly #params: LocationParams;

  constructor(config: ScgiConfig, parts: CommonParts) {
    super({ ...parts, settings: config, protocol: 'scgi', hidden: CGI_HIDDEN });
    this.#params = new LocationParams(config, parts.variables);
  }

  /** A netstring of the parameters; the body's length comes first (SCGI specification, section 4). */
  compose(o: Output, { r, bodyLength, cached }: OutgoingRequest): void {
    scratch.length = 0;
    putText(scratch, 'CONTENT_LENGTH', String(Math.max(0, bodyLength)));
    this.#params.of(cached).write(scratch, r, putText);
    o.decimal(scratch.length);
    o.byte(0x3a);
    o.bytes(scratch.buf, 0, scratch.length);
    o.byte(0x2c);
  }

  newChannel(): CgiChannel {
    return new CgiChannel();
  }
}
