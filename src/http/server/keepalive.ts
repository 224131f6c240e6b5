/** Whether a connection may take another request after the present one. */
import type { CoreConfig } from '../../config/model.ts';
import { clock } from '../../net/clock.ts';
import type { ClientChannel, HttpRequest } from '../request.ts';
import { H } from '../wire/known.ts';
import { METHOD_POST } from '../wire/request-head.ts';

/** By the settings of the request's location, which is known when its answer begins. */
export function mayKeepAlive(r: HttpRequest, channel: ClientChannel): boolean {
  const { keepaliveTimeoutMs, keepaliveRequests, keepaliveTimeMs } = r.loc.core;
  if (keepaliveTimeoutMs === 0 || channel.requestCount >= keepaliveRequests) return false;
  // Said, not just done: the client would send its next request into a connection that closes.
  if (keepaliveTimeMs > 0 && clock.now - channel.acceptedAt > keepaliveTimeMs) return false;
  const disabled = r.loc.keepaliveDisabled;
  return disabled === null || !disabled(r);
}

/**
 * `keepalive_disable`: browsers that cannot be trusted with kept connections, by their User-Agent as nginx reads it.
 * @returns null: none are named
 */
export function compileKeepaliveDisable(core: CoreConfig): ((r: HttpRequest) => boolean) | null {
  const names = core.keepaliveDisable ?? ['msie6'];
  const msie6 = names.includes('msie6');
  const safari = names.includes('safari');
  if (!msie6 && !safari) return null;
  return (r) => {
    // Old MSIE fails after POST alone.
    const post = msie6 && r.method === METHOD_POST;
    if (!post && !safari) return false;
    const agent = r.header(H['user-agent']);
    if (agent === null) return false;
    return (post && isOldMsie(agent)) || (safari && agent.includes('Safari/') && agent.includes('Mac OS X'));
  };
}

/** Version 6 with service pack 2 (`SV1`) is mended. */
function isOldMsie(agent: string): boolean {
  const match = /MSIE ([456])\./.exec(agent);
  if (match === null || agent.includes('Opera')) return false;
  return match[1] !== '6' || !agent.includes('SV1');
}
