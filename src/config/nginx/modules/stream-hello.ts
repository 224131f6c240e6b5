/** stream: any-proxy's hello, sent and read, and tunnels that are accepted. */
import type { HelloMagic, TunnelKeyConfig, TunnelServerConfig } from '../../via-model.ts';
import { parseCidr } from '../../address.ts';
import { Args, STREAM_ALL } from '../context.ts';
import { table } from '../directive.ts';
import { streamPart } from '../module.ts';
import type { ModuleDef } from '../module.ts';
import type { Conf } from '../parser.ts';
import { slot } from '../scope.ts';
import { readTunnelKey } from '../tunnel-key.ts';

interface HelloRaw {
  from?: string[];
  timeoutMs?: number;
  keys?: TunnelKeyConfig[];
  wire?: TunnelServerConfig['wire'];
}

const helloSlot = slot<HelloRaw>('stream_hello', () => ({}));
const srv = table<HelloRaw>((cf) => cf.scope.srv.get(helloSlot));

/** What `proxy_hello…` said: part of what stream's proxy keeps. */
export interface SendHelloRaw {
  hello?: boolean;
  helloMagic?: HelloMagic;
  helloDomain?: string;
}

function from(cf: Conf, raw: HelloRaw): void {
  for (const text of cf.args.slice(1)) {
    const cidr = text === 'unix:' ? null : parseCidr(text);
    if (cidr === null && text !== 'unix:')
      throw cf.error(`invalid parameter "${text}", it must be an address or a network`);
    if (cidr?.meaningless === true) cf.warn(`low address bits of ${text} are meaningless`);
    raw.from = [...(raw.from ?? []), cidr === null ? text : cidr.text];
  }
}

export const streamHelloModule: ModuleDef = {
  name: 'stream_hello',
  directives: [
    srv.custom('hello_from', STREAM_ALL, Args.oneOrMore, from),
    srv.msec('hello_timeout', STREAM_ALL, 'timeoutMs'),
    srv.custom('tunnel_key', STREAM_ALL, Args.two, (cf, raw) => {
      raw.keys = [...(raw.keys ?? []), readTunnelKey(cf)];
    }),
    srv.choice('tunnel_wire', STREAM_ALL, 'wire', ['headrace', 'anyproxy', 'both']),
  ],
  streamServer: streamPart<HelloRaw>({
    slot: helloSlot,
    result: (raw) => ({
      ...(raw.from === undefined ? null : { readHello: { from: raw.from, timeoutMs: raw.timeoutMs ?? 1000 } }),
      tunnel: { keys: raw.keys ?? [], wire: raw.wire ?? 'headrace' },
    }),
  }),
};
