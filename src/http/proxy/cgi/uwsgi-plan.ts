/** The plan of a location that is answered by a uwsgi server (`uwsgi_pass`). */
import { Buffer } from 'node:buffer';
import type { UwsgiConfig } from '../../../config/model.ts';
import { Output } from '../../../net/output.ts';
import type { HttpRequest } from '../../request.ts';
import { CGI_HIDDEN } from '../hide.ts';
import type { OutgoingRequest } from '../upstream-channel.ts';
import { UpstreamPlan } from '../upstream-plan.ts';
import type { CommonParts, SplitTarget } from '../upstream-plan.ts';
import { CgiChannel } from './cgi-channel.ts';
import { LocationParams } from './params.ts';

/** The packet's length has two bytes. */
const MAX_PACKET = 65535;

/** Where parameters are written before their length is known. */
const scratch = new Output();

/** Lengths of two bytes, the low one first. */
export function putPair(o: Output, name: string, value: string): void {
  putLength(o, name.length);
  o.text(name);
  putLength(o, value.length);
  o.text(value);
}

function putLength(o: Output, n: number): void {
  o.byte(n & 0xff);
  o.byte((n >> 8) & 0xff);
}

export class UwsgiPlan extends UpstreamPlan {
  readonly #params: LocationParams;
  readonly #modifier1: number;
  readonly #modifier2: number;
  readonly #string: Buffer;

  constructor(config: UwsgiConfig, parts: CommonParts) {
    super({ ...parts, settings: config, protocol: 'uwsgi', hidden: CGI_HIDDEN.slice(1) });
    this.#params = new LocationParams(config, parts.variables);
    this.#modifier1 = config.modifier1;
    this.#modifier2 = config.modifier2;
    this.#string = Buffer.from(config.string, 'latin1');
  }

  override splitTarget(text: string): SplitTarget {
    const scheme = /^s?uwsgi:\/\//i.exec(text)?.[0] ?? '';
    return { address: text.slice(scheme.length), defaultPort: 0, secure: scheme.length === 9 };
  }

  override refuse(r: HttpRequest): string | null {
    this.#measure(r, false);
    return scratch.length > MAX_PACKET ? `uwsgi request is too big: ${scratch.length}` : null;
  }

  #measure(r: HttpRequest, cached: boolean): void {
    scratch.length = 0;
    this.#params.of(cached).write(scratch, r, putPair);
    scratch.bytes(this.#string, 0, this.#string.length);
  }

  compose(o: Output, { r, cached }: OutgoingRequest): void {
    this.#measure(r, cached);
    o.byte(this.#modifier1);
    putLength(o, scratch.length);
    o.byte(this.#modifier2);
    o.bytes(scratch.buf, 0, scratch.length);
  }

  newChannel(): CgiChannel {
    return new CgiChannel();
  }
}
