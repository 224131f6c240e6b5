/**
 * Which route a session takes, by Kong's rules: the more kinds of conditions a route has, the more it says, and names of TLS say
 * more than where a client comes from, and that more than where it goes to; of equal ones the older counts. Pure.
 */
import type { KongAddress, KongProtocol, KongRoute } from '../../config/kong/model.ts';
import { NameSet } from '../../config/kong/sni.ts';
import { NetworkList } from '../../net/networks.ts';

/** Where a session begins or ends. */
export interface Endpoint {
  /** 4 or 16; none: not known. */
  bytes: Uint8Array;
  port: number;
}

/** What of a session decides. */
export interface RoutedSession {
  udp: boolean;
  /** The client speaks TLS, on an address where that is looked at. */
  tls: boolean;
  /** Empty: none was asked for. */
  serverName: string;
  source: Endpoint;
  destination: Endpoint;
}

interface AddressRule {
  networks: NetworkList | null;
  port: number | null;
}

interface Entry {
  route: KongRoute;
  snis: NameSet | null;
  sources: AddressRule[];
  destinations: AddressRule[];
  kinds: number;
  category: number;
}

const SNI = 4;
const SOURCE = 2;
const DESTINATION = 1;

const STREAM: ReadonlySet<KongProtocol> = new Set<KongProtocol>(['tcp', 'tls', 'tls_passthrough', 'udp']);

export class StreamRouter {
  readonly #entries: readonly Entry[];

  constructor(routes: readonly KongRoute[]) {
    this.#entries = routes
      .filter(({ protocols }) => protocols.some((protocol) => STREAM.has(protocol)))
      .map(entryOf)
      .sort(compare);
  }

  get size(): number {
    return this.#entries.length;
  }

  /** Null: no route fits. */
  find(session: RoutedSession): KongRoute | null {
    return this.#entries.find((entry) => fits(entry, session))?.route ?? null;
  }
}

function entryOf(route: KongRoute): Entry {
  const bits = [
    route.snis.length > 0 ? SNI : 0,
    route.sources.length > 0 ? SOURCE : 0,
    route.destinations.length > 0 ? DESTINATION : 0,
  ];
  return {
    route,
    snis: route.snis.length === 0 ? null : new NameSet(route.snis),
    sources: route.sources.map(ruleOf),
    destinations: route.destinations.map(ruleOf),
    kinds: bits.filter((bit) => bit > 0).length,
    category: bits.reduce((sum, bit) => sum + bit, 0),
  };
}

const ruleOf = ({ ip, port }: KongAddress): AddressRule => ({
  networks: ip === null ? null : new NetworkList([ip]),
  port,
});

function compare(a: Entry, b: Entry): number {
  return (
    b.kinds - a.kinds ||
    b.category - a.category ||
    a.route.createdAt - b.route.createdAt ||
    (a.route.id < b.route.id ? -1 : Number(a.route.id > b.route.id))
  );
}

function fits({ route, snis, sources, destinations }: Entry, session: RoutedSession): boolean {
  const { protocols } = route;
  const spoken = session.udp
    ? protocols.includes('udp')
    : session.tls
      ? protocols.includes('tls') || protocols.includes('tls_passthrough')
      : protocols.includes('tcp');
  if (!spoken || (snis !== null && !snis.has(session.serverName))) return false;
  return isAmong(sources, session.source) && isAmong(destinations, session.destination);
}

/** No rules let everybody through; a rule wants both of what it names. */
function isAmong(rules: readonly AddressRule[], { bytes, port }: Endpoint): boolean {
  if (rules.length === 0) return true;
  return rules.some(
    (rule) =>
      (rule.port === null || rule.port === port) &&
      (rule.networks === null || (bytes.length > 0 && rule.networks.has(bytes))),
  );
}
