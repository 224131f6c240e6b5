/** Targets of an upstream, their health as this node's balancers know it, and marks by hand. */
import { parseHost } from '../../config/kong/host.ts';
import type { KongMark, KongTargetHealth, KongUpstreamHealth, KongWeights } from '../../config/kong/model.ts';
import { isObject, isUuid } from '../../config/kong/schema.ts';
import type { Entity, JsonObject } from '../../config/kong/schema.ts';
import { SCHEMAS } from '../../config/kong/schemas.ts';
import { normalTarget } from '../../config/kong/entities/targets.ts';
import { togetherValue } from '../../config/kong/keys.ts';
import { type Routes, childrenAnswer, named } from './collections.ts';
import { type Call, input, param } from './context.ts';
import { createEntity, deleteEntity, updateEntity } from './entities.ts';
import { type AdminAnswer, empty, json, message, missing, pageAnswer } from './http.ts';
import { readLooseSize, readPosition } from './paging.ts';

const ref = (id: string) => ({ field: 'upstream', to: 'upstreams', id }) as const;

/** Newest first. */
async function newest({ api, query }: Call, upstream: string): Promise<{ rows: Entity[]; offset: string | null }> {
  const size = readLooseSize(query);
  const start = readPosition(query);
  const all = (await api.store.children('targets', ref(upstream))).map(({ entity }) => entity);
  all.sort((a, b) => (b.created_at as number) - (a.created_at as number) || (a.id < b.id ? 1 : -1));
  const end = start + size;
  return { rows: all.slice(start, end), offset: end < all.length ? String(end) : null };
}

/** The target that the path names by id or address, of the upstream that it names. @throws {Halt} 404 */
async function namedTarget(call: Call): Promise<{ upstream: Entity; target: Entity }> {
  const upstream = (await named(call, 'upstreams')).entity;
  const text = param(call, 'targets');
  const { store } = call.api;
  const row = isUuid(text)
    ? await store.get('targets', text.toLowerCase())
    : await store.find('targets', 'upstream+target', togetherValue([upstream.id, normalTarget(text)]));
  const owner = row?.entity.upstream;
  if (row === null || !isObject(owner) || owner.id !== upstream.id) missing();
  return { upstream, target: row.entity };
}

const update = async (call: Call): Promise<AdminAnswer> => {
  const { target } = await namedTarget(call);
  const key = { field: 'id', value: target.id };
  return json(200, await updateEntity(call.api, 'targets', key, input(call, SCHEMAS.targets)));
};

// ---------------------------------------------------------------------------------------------- health

type Health = 'HEALTHY' | 'UNHEALTHY' | 'HEALTHCHECKS_OFF' | 'DNS_ERROR';

function healthOf(upstream: KongUpstreamHealth, target: KongTargetHealth | undefined): Health {
  if (!upstream.checked || target?.nodeWeight === 0) return 'HEALTHCHECKS_OFF';
  if (target === undefined || target.addresses.length === 0) return 'DNS_ERROR';
  return target.addresses.some(({ healthy }) => healthy) ? 'HEALTHY' : 'UNHEALTHY';
}

const weights = ({ total, available, unavailable }: KongWeights): JsonObject => ({ total, available, unavailable });

const hostOf = (target: KongTargetHealth): JsonObject => ({
  host: target.host,
  port: target.port,
  dns: target.dns,
  nodeWeight: target.nodeWeight,
  weight: weights(target.weight),
});

/** What is added to a target's own fields; nothing when this node does not know the upstream. */
function targetHealth(known: KongUpstreamHealth | null, target: Entity): JsonObject {
  if (known === null) return {};
  const found = known.targets.find(({ id }) => id === target.id);
  const health = healthOf(known, found);
  if (found === undefined) return { health };
  const off = health === 'HEALTHCHECKS_OFF';
  const addresses = found.addresses.map(({ ip, port, weight, healthy }) => ({
    ip,
    port,
    weight,
    health: off ? 'HEALTHCHECKS_OFF' : healthy ? 'HEALTHY' : 'UNHEALTHY',
  }));
  return { health, data: { ...hostOf(found), addresses } };
}

function balancerHealth(id: string, known: KongUpstreamHealth): JsonObject {
  const state = known.healthy ? 'HEALTHY' : 'UNHEALTHY';
  return {
    id,
    health: known.checked ? state : 'HEALTHCHECKS_OFF',
    balancer_health: state,
    details: {
      healthy: known.healthy,
      weight: weights(known.weight),
      hosts: known.targets.map((target) => ({
        ...hostOf(target),
        addresses: target.addresses.map((one) => ({ ...one })),
      })),
    },
  };
}

async function health(call: Call): Promise<AdminAnswer> {
  const { api, query } = call;
  const { id } = (await named(call, 'upstreams')).entity;
  const known = (await api.balancers?.health(id)) ?? null;
  const node = { node_id: api.node.id };
  if (query.get('balancer_health') === '1') {
    return json(200, { data: known === null ? null : balancerHealth(id, known), next: null, ...node });
  }
  const { rows, offset } = await newest(call, id);
  const data = rows.map((target) => ({ ...target, ...targetHealth(known, target) }));
  const next = `/upstreams/${encodeURIComponent(param(call, 'upstreams'))}/health?offset=${offset}`;
  return json(200, { ...pageAnswer(data, offset, next), ...node });
}

/** `ip`, `ip:port`, `[::1]:port`. */
function readAddress(text: string): KongMark['address'] {
  const host = parseHost(text);
  return 'error' in host || host.kind === 'name' ? missing() : { ip: host.host, port: host.port };
}

async function mark(call: Call, healthy: boolean): Promise<AdminAnswer> {
  const { upstream, target } = await namedTarget(call);
  const { address } = call.params;
  const change: KongMark = {
    node: call.api.node.id,
    upstream: upstream.id,
    target: target.id,
    address: address === undefined ? null : readAddress(address),
    healthy,
  };
  const result = (await call.api.balancers?.mark(change)) ?? 'no healthchecker';
  if (result === 'no healthchecker') return message(400, `no healthchecker found for ${upstream.name as string}`);
  if (result === 'not found') {
    return message(400, `target not found for ${address ?? (target.target as string)}`);
  }
  await call.api.store.publish(change);
  return empty(204);
}

// PUT since Kong 3, POST before.
const marking = (healthy: boolean) => {
  const handler = (call: Call): Promise<AdminAnswer> => mark(call, healthy);
  return { PUT: handler, POST: handler };
};

export function targetRoutes(): Routes {
  const list = '/upstreams/{upstreams}/targets';
  const one = `${list}/{targets}`;
  return [
    ['/upstreams/{upstreams}/health', { GET: health }],
    [
      list,
      {
        GET: async (call) => {
          const { id } = (await named(call, 'upstreams')).entity;
          const { rows, offset } = await newest(call, id);
          return json(200, pageAnswer(rows, offset, `/upstreams/${id}/targets?offset=${offset}`));
        },
        POST: async (call) => {
          const { id } = (await named(call, 'upstreams')).entity;
          const given = { ...input(call, SCHEMAS.targets), upstream: { id } };
          return json(201, await createEntity(call.api, 'targets', given));
        },
      },
    ],
    [
      `${list}/all`,
      {
        GET: async (call) => {
          const { id } = (await named(call, 'upstreams')).entity;
          return childrenAnswer(call, 'targets', ref(id), `/upstreams/${id}/targets/all`);
        },
      },
    ],
    [
      one,
      {
        GET: async (call) => json(200, (await namedTarget(call)).target),
        PATCH: update,
        PUT: update,
        DELETE: async (call) => {
          const { target } = await namedTarget(call);
          await deleteEntity(call.api, 'targets', { field: 'id', value: target.id });
          return empty(204);
        },
      },
    ],
    [`${one}/healthy`, marking(true)],
    [`${one}/unhealthy`, marking(false)],
    [`${one}/{address}/healthy`, marking(true)],
    [`${one}/{address}/unhealthy`, marking(false)],
  ];
}
