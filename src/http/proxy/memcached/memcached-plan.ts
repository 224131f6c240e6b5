/** The plan of a location that answers from memcached (`memcached_pass`). */
import type { MemcachedConfig } from '../../../config/model.ts';
import type { Output } from '../../../net/output.ts';
import type { HttpRequest } from '../../request.ts';
import type { Getter } from '../../variables/value.ts';
import type { OutgoingRequest } from '../upstream-channel.ts';
import { UpstreamPlan } from '../upstream-plan.ts';
import type { CommonParts } from '../upstream-plan.ts';
import { MemcachedChannel } from './memcached-channel.ts';

/** Longer keys memcached does not take. */
const UNSAFE = /[\x00-\x20%]|[^\x00-\xff]/g;

/** A key must stay one word: what would end it is escaped, and `%` with it. */
export function escapeKey(key: string): string {
  return key.replace(UNSAFE, (c) => `%${(c.charCodeAt(0) & 0xff).toString(16).toUpperCase().padStart(2, '0')}`);
}

export class MemcachedPlan extends UpstreamPlan {
  override readonly answersHaveType = false;
  readonly #gzipFlag: number;
  readonly #key: Getter;

  constructor(config: MemcachedConfig, parts: CommonParts) {
    super({ ...parts, settings: config, protocol: `memcached ${config.gzipFlag}`, hidden: [] });
    this.#gzipFlag = config.gzipFlag;
    this.#key = parts.variables.lookup('memcached_key');
  }

  override refuse(r: HttpRequest): string | null {
    return this.#key(r) ? null : 'the "$memcached_key" variable is not set';
  }

  compose(o: Output, { r }: OutgoingRequest): void {
    o.text('get ');
    o.text(escapeKey(this.#key(r) ?? ''));
    o.crlf();
  }

  newChannel(): MemcachedChannel {
    return new MemcachedChannel(this.#gzipFlag);
  }
}
