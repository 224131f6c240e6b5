/**
 * What Kong has and Headrace has not, as managers and tools ask for it: lists that are empty, and refusals that say why.
 * Without them a manager in a browser shows errors on pages that are about something else, and `deck dump` ends.
 */
import { schemaViolation, unsupported } from '../../config/kong/errors.ts';
import type { EntityKind } from '../../config/kong/schema.ts';
import { REQUIRED } from '../../config/kong/validate.ts';
import { contentKind, readEntries, readJson } from './body.ts';
import { type Routes, named } from './collections.ts';
import type { Call } from './context.ts';
import { type AdminAnswer, empty, json, message, missing, pageAnswer } from './http.ts';

const NONE = pageAnswer([], null, null);

/** Collections of their own. */
const LISTS = ['plugins', 'vaults', 'keys', 'key-sets', 'consumer_groups'];

/** Whose plugins are asked for. */
const OWNERS: readonly EntityKind[] = ['services', 'routes', 'consumers'];

function pluginName({ request }: Call): unknown {
  const kind = contentKind(request);
  if (kind === 'json') return readJson(request.body).name;
  if (kind !== 'form' && kind !== 'multipart') return undefined;
  return readEntries(request, kind).find(([field]) => field === 'name')?.[1];
}

/** Kong's answer to a plugin that was not switched on: here none can be. @throws {KongError} */
function refusePlugin(call: Call): never {
  const name = pluginName(call) ?? null;
  if (name === null) throw schemaViolation({ name: REQUIRED });
  if (typeof name !== 'string') throw schemaViolation({ name: 'expected a string' });
  throw schemaViolation({ name: `plugin '${name}' not enabled; add it to the 'plugins' configuration property` });
}

const refuse = (list: string): AdminAnswer => {
  throw unsupported(`cannot create '${list}' entities: there are none in Headrace`);
};

function listRoutes(list: string): Routes {
  const post = list === 'plugins' ? refusePlugin : (): AdminAnswer => refuse(list);
  return [
    [`/${list}`, { GET: () => json(200, NONE), POST: post }],
    [`/${list}/{name}`, { GET: () => missing(), PUT: post, PATCH: () => missing(), DELETE: () => empty(204) }],
  ];
}

const ownPlugins = (owner: EntityKind): Routes => [
  [
    `/${owner}/{${owner}}/plugins`,
    {
      GET: async (call) => {
        await named(call, owner);
        return json(200, NONE);
      },
      POST: async (call) => {
        await named(call, owner);
        return refusePlugin(call);
      },
    },
  ],
];

const noSuchPlugin = ({ params }: Call): AdminAnswer => message(404, `No plugin named '${params.name ?? ''}'`);

export function absentRoutes(): Routes {
  return [
    ...LISTS.flatMap(listRoutes),
    ...OWNERS.flatMap(ownPlugins),
    ['/plugins/enabled', { GET: () => json(200, { enabled_plugins: [] }) }],
    ['/plugins/schema/{name}', { GET: noSuchPlugin }],
    ['/schemas/plugins/{name}', { GET: noSuchPlugin }],
    ['/schemas/plugins/validate', { POST: refusePlugin }],
  ];
}
