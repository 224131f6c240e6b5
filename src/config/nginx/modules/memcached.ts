/** `memcached_pass` and what goes with it (ngx_http_memcached_module). */
import type { MemcachedConfig } from '../../model.ts';
import { Args, Context, HTTP_ALL } from '../context.ts';
import { table } from '../directive.ts';
import { locationPart } from '../module.ts';
import type { ModuleDef } from '../module.ts';
import { effectiveHandler } from '../nodes.ts';
import type { Conf } from '../parser.ts';
import { slot } from '../scope.ts';
import { useVariable } from '../variables.ts';
import { passSetter, passSettings, peerDirectives } from './upstream-pass.ts';
import type { PassRaw } from './upstream-pass.ts';

interface MemcachedRaw extends PassRaw {
  gzipFlag?: number;
}

const memcachedSlot = slot<MemcachedRaw>('memcached', () => ({}));
const pick = (cf: Conf): MemcachedRaw => cf.scope.loc.get(memcachedSlot);
const loc = table<MemcachedRaw>(pick);
const pass = passSetter('memcached', ['memcached']);

export const memcachedModule: ModuleDef = {
  name: 'memcached',
  directives: [
    loc.custom('memcached_pass', Context.location | Context.ifInLocation, Args.one, (cf) => {
      // Somebody must set it.
      useVariable(cf, 'memcached_key');
      return pass(cf);
    }),
    ...peerDirectives('memcached_', pick, ['error', 'timeout', 'invalid_response', 'not_found', 'off']),
    loc.number('memcached_gzip_flag', HTTP_ALL, 'gzipFlag'),
  ],
  location: locationPart<MemcachedRaw>({
    slot: memcachedSlot,
    result(raw, node, build) {
      if (effectiveHandler(node)?.kind !== 'memcached') return {};
      const memcached: MemcachedConfig = {
        ...passSettings(raw, 'memcached_', node, build),
        // A key is all that goes out, and a value all that comes in.
        passRequestHeaders: false,
        passRequestBody: false,
        buffering: false,
        intercept404: true,
        interceptErrors: true,
        gzipFlag: raw.gzipFlag ?? 0,
      };
      return { memcached };
    },
  }),
};
