/** `resolver address … [valid=] [ipv4=] [ipv6=] [status_zone=]`: in `http` blocks, `stream` blocks and `upstream`. */
import { parseUrl, peerAddress } from '../address.ts';
import type { ResolverConfig } from '../model.ts';
import { parseTime } from '../units.ts';
import type { AddressBox } from './cycle.ts';
import type { Conf } from './parser.ts';

export interface RawResolver {
  servers: AddressBox[];
  settings: Omit<ResolverConfig, 'addresses'>;
}

const DNS_PORT = 53;

/** Reads the arguments of the statement at hand. @throws {ConfigError} in nginx's words */
export function readResolver(cf: Conf): RawResolver {
  const raw: RawResolver = { servers: [], settings: { validMs: null, ipv4: true, ipv6: true, statusZone: null } };
  const { settings } = raw;

  for (const arg of cf.args.slice(1)) {
    const invalid = () => cf.error(`invalid parameter: ${arg}`);
    if (arg.startsWith('valid=')) {
      const seconds = parseTime(arg.slice(6), 's');
      if (seconds === null) throw invalid();
      settings.validMs = seconds * 1000;
      continue;
    }
    const family = /^(ipv[46])=(.*)$/s.exec(arg);
    if (family !== null) {
      if (family[2] !== 'on' && family[2] !== 'off') throw invalid();
      settings[family[1] as 'ipv4' | 'ipv6'] = family[2] === 'on';
      continue;
    }
    if (arg.startsWith('status_zone=')) {
      settings.statusZone = arg.slice(12);
      if (settings.statusZone === '') throw invalid();
      continue;
    }
    const parsed = parseUrl(arg, { defaultPort: DNS_PORT });
    if (!parsed.ok) throw cf.error(`${parsed.error} in resolver "${arg}"`);
    const { url } = parsed;
    raw.servers.push(
      url.address === null
        ? cf.resolveLater(url.host, url.port, (error) => `${error} in resolver "${arg}"`)
        : { addresses: [peerAddress(url.kind, url.address, url.port)] },
    );
  }

  if (!settings.ipv4 && !settings.ipv6) throw cf.error('"ipv4" and "ipv6" cannot both be "off"');
  if (raw.servers.length === 0) throw cf.error('no name servers defined');
  return raw;
}

/** After names are resolved. */
export function finishResolver(raw: RawResolver | undefined): ResolverConfig | null {
  if (raw === undefined) return null;
  const addresses = raw.servers.flatMap((box) => box.addresses.map(({ host, port }) => ({ host, port })));
  return { addresses, ...raw.settings };
}
