/** `set_real_ip_from`, `real_ip_header`, `real_ip_recursive`. */
import { parseCidr } from '../../address.ts';
import { ALL, Args, HTTP_ALL } from '../context.ts';
import type { AddressBox } from '../cycle.ts';
import { table } from '../directive.ts';
import { locationPart, streamPart } from '../module.ts';
import type { ModuleDef } from '../module.ts';
import type { Conf } from '../parser.ts';
import { slot } from '../scope.ts';

interface RealipRaw {
  from?: (string | AddressBox)[];
  header?: string;
  recursive?: boolean;
}
const realipSlot = slot<RealipRaw>('realip', () => ({}));
const loc = table<RealipRaw>((cf) => cf.scope.loc.get(realipSlot));

function from(cf: Conf, raw: RealipRaw): void {
  const text = cf.args[1] as string;
  raw.from ??= [];
  if (text === 'unix:') {
    raw.from.push(text);
    return;
  }
  const cidr = parseCidr(text);
  if (cidr === null) {
    raw.from.push(cf.resolveLater(text, 0, (error) => `${error} in set_real_ip_from "${text}"`));
    return;
  }
  if (cidr.meaningless) cf.warn(`low address bits of ${text} are meaningless`);
  raw.from.push(cidr.text);
}

function networks({ from: list = [] }: RealipRaw): string[] {
  return list.flatMap((entry) =>
    typeof entry === 'string'
      ? [entry]
      : entry.addresses.map(({ host, family }) => `${host}/${family === 6 ? 128 : 32}`),
  );
}

function header(cf: Conf, raw: RealipRaw): string | void {
  if (raw.header !== undefined) return 'is duplicate';
  raw.header = (cf.args[1] as string).toLowerCase();
}

export const realipModule: ModuleDef = {
  name: 'realip',
  directives: [
    loc.custom('set_real_ip_from', ALL, Args.one, from),
    loc.custom('real_ip_header', HTTP_ALL, Args.one, header),
    loc.flag('real_ip_recursive', HTTP_ALL, 'recursive'),
  ],
  location: locationPart<RealipRaw>({
    slot: realipSlot,
    result: (raw) => ({
      realip: { from: networks(raw), header: raw.header ?? 'x-real-ip', recursive: raw.recursive ?? false },
    }),
  }),
  streamServer: streamPart<RealipRaw>({
    slot: realipSlot,
    // Nothing but the PROXY protocol tells of another address there.
    result: (raw) => ({ realip: { from: networks(raw), header: 'proxy_protocol', recursive: false } }),
  }),
};
