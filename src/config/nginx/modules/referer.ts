/** `valid_referers`, and what tunes nginx's tables of them. */
import { ConfigError, at } from '../../errors.ts';
import type { RefererConfig } from '../../model-access.ts';
import { Args, Context } from '../context.ts';
import { table } from '../directive.ts';
import { HostNameSet, parseHostName } from '../hostnames.ts';
import { locationPart } from '../module.ts';
import type { ModuleDef } from '../module.ts';
import type { Conf } from '../parser.ts';
import { inherit, slot } from '../scope.ts';
import { checkRegex } from '../variables.ts';

interface RefererRaw {
  referers?: RefererConfig;
  seen?: HostNameSet;
  hashMaxSize?: number;
  hashBucketSize?: number;
}
const refererSlot = slot<RefererRaw>('referer', () => ({}));
const loc = table<RefererRaw>((cf) => cf.scope.loc.get(refererSlot));
const CONTEXTS = Context.server | Context.location;

function validReferers(cf: Conf, raw: RefererRaw): void {
  raw.referers ??= { none: false, blocked: false, serverNames: false, names: [], regexes: [] };
  raw.seen ??= new HostNameSet();
  for (const arg of cf.args.slice(1)) {
    if (arg === '') throw cf.error('invalid referer ""');
    if (arg === 'none' || arg === 'blocked') raw.referers[arg] = true;
    else if (arg === 'server_names') raw.referers.serverNames = true;
    else if (arg.startsWith('~')) {
      if (arg === '~') throw cf.error('empty regex in "~"');
      raw.referers.regexes.push(checkRegex(cf, arg.slice(1), true));
    } else addName(cf, raw.referers, raw.seen, arg);
  }
}

function addName(cf: Conf, referers: RefererConfig, seen: HostNameSet, text: string): void {
  const slash = text.indexOf('/');
  const host = slash < 0 ? text : text.slice(0, slash);
  const uri = slash < 0 ? '' : text.slice(slash);
  const name = parseHostName(host);
  if (name === null) throw cf.error(`invalid hostname or wildcard "${host}"`);
  if (!seen.add(name)) throw cf.error(`conflicting parameter "${host}"`);
  if (name.exact !== null) referers.names.push({ kind: 'exact', name: name.exact, uri });
  if (name.wildcard !== null) referers.names.push({ ...name.wildcard, uri });
}

export const refererModule: ModuleDef = {
  name: 'referer',
  directives: [
    loc.custom('valid_referers', CONTEXTS, Args.oneOrMore, validReferers),
    loc.number('referer_hash_max_size', CONTEXTS, 'hashMaxSize'),
    loc.number('referer_hash_bucket_size', CONTEXTS, 'hashBucketSize'),
  ],
  location: locationPart<RefererRaw>({
    slot: refererSlot,

    merge(parent, child, node) {
      const merged = inherit(parent, child);
      const { referers } = child;
      if (referers === undefined) return merged;
      if ((referers.none || referers.blocked) && !referers.serverNames && referers.names.length === 0) {
        const text =
          'the "none" or "blocked" referers are specified in the "valid_referers" directive without any valid referer';
        throw new ConfigError(text, node.place, at(node.place));
      }
      // Expressions are inherited by themselves.
      const regexes = referers.regexes.length > 0 ? referers.regexes : (parent?.referers?.regexes ?? []);
      return { ...merged, referers: { ...referers, regexes } };
    },

    result: (raw) => ({ referer: raw.referers ?? null }),
  }),
};
