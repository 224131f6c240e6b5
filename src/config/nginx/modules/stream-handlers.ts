/** stream: `return`, `pass`, `set`, and what is read of the client's first bytes. */
import { parseUrl } from '../../address.ts';
import { hasVariables } from '../../value.ts';
import { Args, Context, STREAM_ALL } from '../context.ts';
import { directive, table } from '../directive.ts';
import { streamPart } from '../module.ts';
import type { ModuleDef } from '../module.ts';
import { streamServerSlot } from '../nodes.ts';
import type { StreamServerNode } from '../nodes.ts';
import type { Conf } from '../parser.ts';
import { slot } from '../scope.ts';
import { checkValue, defineVariable } from '../variables.ts';

const { streamServer: SERVER } = Context;

interface PrereadRaw {
  ssl?: boolean;
  bytes?: number;
}
const prereadSlot = slot<PrereadRaw>('stream_preread', () => ({}));
const preread = table<PrereadRaw>((cf) => cf.scope.srv.get(prereadSlot));

const serverOf = (cf: Conf): StreamServerNode => cf.scope.srv.get(streamServerSlot);

function returnText(cf: Conf): string | void {
  const server = serverOf(cf);
  if (server.handler.kind === 'return') return 'is duplicate';
  server.handler = { kind: 'return', text: checkValue(cf, cf.args[1] as string) };
}

function pass(cf: Conf): string | void {
  const server = serverOf(cf);
  if (server.handler.kind === 'pass') return 'is duplicate';
  const address = checkValue(cf, cf.args[1] as string);
  if (!hasVariables(address)) {
    const parsed = parseUrl(address);
    if (!parsed.ok) throw cf.error(`${parsed.error} in "${address}" of the "pass" directive`);
    if (parsed.url.address === null) return 'has no addresses';
    if (parsed.url.noPort) return 'has no port';
  }
  server.handler = { kind: 'pass', address };
}

function set(cf: Conf): void {
  const [, name = '', value = ''] = cf.args;
  if (!name.startsWith('$')) throw cf.error(`invalid variable name "${name}"`);
  const variable = defineVariable(cf, name.slice(1));
  serverOf(cf).sets.push({ variable, value: checkValue(cf, value) });
}

export const streamHandlers: ModuleDef = {
  name: 'stream_handlers',
  directives: [
    directive('return', SERVER, Args.one, returnText),
    directive('pass', SERVER, Args.one, pass),
    directive('set', SERVER, Args.two, set),
    preread.flag('ssl_preread', STREAM_ALL, 'ssl'),
    preread.size('preread_bytes', STREAM_ALL, 'bytes'),
  ],
  streamServer: streamPart<PrereadRaw>({
    slot: prereadSlot,
    result: (raw) => ({ sslPreread: raw.ssl ?? false, prereadBytes: raw.bytes ?? 0 }),
  }),
};
