/** Locations that the main thread answers: `api`, `upstream_conf`, `prometheus`, `dashboard`. */
import type { HandlerConfig } from '../../model.ts';
import { Args, Context } from '../context.ts';
import { directive } from '../directive.ts';
import { locationPart, serverPart, streamPart } from '../module.ts';
import type { ModuleDef } from '../module.ts';
import { nodeSlot } from '../nodes.ts';
import type { Conf } from '../parser.ts';
import { slot } from '../scope.ts';

type What = (HandlerConfig & { kind: 'admin' })['what'];

function answeredBy(cf: Conf, what: What, writable: boolean): void {
  cf.scope.loc.get(nodeSlot).handler = { kind: 'admin', what, writable };
}

/** `api [write=on|off]` */
function api(cf: Conf): void {
  const arg = cf.args[1];
  if (arg !== undefined && arg !== 'write=on' && arg !== 'write=off') throw cf.error(`invalid parameter "${arg}"`);
  answeredBy(cf, 'api', arg === 'write=on');
}

interface ZoneRaw {
  name?: string;
}

const serverZone = slot<ZoneRaw>('status_zone of a server', () => ({}));
const streamZone = slot<ZoneRaw>('status_zone of a server of stream', () => ({}));
const locationZone = slot<ZoneRaw>('status_zone of a location', () => ({}));

const ZONES: Readonly<Record<number, (cf: Conf) => ZoneRaw>> = {
  [Context.server]: (cf) => cf.scope.srv.get(serverZone),
  [Context.streamServer]: (cf) => cf.scope.srv.get(streamZone),
  [Context.location]: (cf) => cf.scope.loc.get(locationZone),
};

function statusZone(cf: Conf): string | void {
  const raw = ZONES[cf.context]!(cf);
  if (raw.name !== undefined) return 'is duplicate';
  raw.name = cf.args[1] as string;
}

const own = <R>(_parent: R | null, child: R): R => child;
const result = ({ name }: ZoneRaw): { statusZone?: string } => (name === undefined ? {} : { statusZone: name });

export const apiModule: ModuleDef = {
  name: 'api',
  directives: [
    directive('api', Context.location, Args.none | Args.one, api),
    directive('upstream_conf', Context.location, Args.none, (cf) => answeredBy(cf, 'upstream_conf', true)),
    directive('status_zone', Context.server | Context.location | Context.streamServer, Args.one, statusZone),
    directive('prometheus', Context.location, Args.none, (cf) => answeredBy(cf, 'prometheus', false)),
    directive('dashboard', Context.location, Args.none, (cf) => answeredBy(cf, 'dashboard', false)),
  ],
  // Neither is inherited: each level counts what it names itself.
  server: serverPart<ZoneRaw>({ slot: serverZone, merge: own, result }),
  streamServer: streamPart<ZoneRaw>({ slot: streamZone, merge: own, result }),
  location: locationPart<ZoneRaw>({ slot: locationZone, merge: own, result }),
};
