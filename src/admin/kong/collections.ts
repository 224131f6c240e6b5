/** Routes of every kind of entity: lists, single ones, those that refer to another, and what one refers to. */
import { KINDS, foreignFields, isObject } from '../../config/kong/schema.ts';
import type { Entity, EntityKind, ForeignField } from '../../config/kong/schema.ts';
import { SCHEMAS } from '../../config/kong/schemas.ts';
import type { Referring, Row } from '../../store/store.ts';
import { type Api, type Call, type Handler, input, param } from './context.ts';
import { createEntity, deleteEntity, findEntity, present, readKey, replaceEntity, updateEntity } from './entities.ts';
import { empty, json, methodNotAllowed, missing, pageAnswer } from './http.ts';
import type { AdminAnswer } from './http.ts';
import { readOffset, readSize, readTags, writeOffset } from './paging.ts';

/** Of one path: `{upstreams}` stands for any part. */
export type Methods = Partial<Record<'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', Handler>>;
export type Routes = [path: string, methods: Methods][];

/** The entity that the path names. @throws {Halt} 404 */
export async function named(call: Call, kind: EntityKind): Promise<Row> {
  const row = await findEntity(call.api, kind, readKey(kind, param(call, kind)));
  return row ?? missing();
}

async function presentAll(api: Api, kind: EntityKind, rows: Row[]): Promise<Entity[]> {
  return Promise.all(rows.map(({ entity }) => present(api, kind, entity)));
}

export async function listAnswer(call: Call, kind: EntityKind): Promise<AdminAnswer> {
  const tags = readTags(call.query);
  const size = readSize(call.query);
  const { rows, next } = await call.api.store.page(kind, {
    size,
    after: readOffset(call.query),
    ...(tags === undefined ? {} : { tags }),
  });
  const offset = next === null ? null : writeOffset(next);
  const more = ['tags', 'size'].flatMap((name) => {
    const value = call.query.get(name);
    return value === undefined ? [] : [`&${name}=${encodeURIComponent(value)}`];
  });
  const data = await presentAll(call.api, kind, rows);
  return json(200, pageAnswer(data, offset, `/${kind}?offset=${offset}${more.join('')}`));
}

/** @param path of the list */
export async function childrenAnswer(call: Call, kind: EntityKind, ref: Referring, path: string): Promise<AdminAnswer> {
  const { rows, next } = await call.api.store.page(kind, {
    size: readSize(call.query),
    after: readOffset(call.query),
    ref,
  });
  const offset = next === null ? null : writeOffset(next);
  return json(200, pageAnswer(await presentAll(call.api, kind, rows), offset, `${path}?offset=${offset}`));
}

function entityRoutes(kind: EntityKind): Routes {
  const schema = SCHEMAS[kind];
  return [
    [
      `/${kind}`,
      {
        GET: (call) => listAnswer(call, kind),
        POST: async (call) => json(201, await createEntity(call.api, kind, input(call, schema))),
      },
    ],
    [
      `/${kind}/{${kind}}`,
      {
        GET: async (call) => json(200, await present(call.api, kind, (await named(call, kind)).entity)),
        PUT: async (call) => {
          const key = readKey(kind, param(call, kind));
          return json(200, await replaceEntity(call.api, kind, key, input(call, schema)));
        },
        PATCH: async (call) => {
          const key = readKey(kind, param(call, kind));
          return json(200, await updateEntity(call.api, kind, key, input(call, schema)));
        },
        DELETE: async (call) => {
          await deleteEntity(call.api, kind, readKey(kind, param(call, kind)));
          return empty(204);
        },
      },
    ],
  ];
}

/** `/services/{}/routes[/{}]`: entities that refer to one. */
function childRoutes(kind: EntityKind, field: string, { to }: ForeignField): Routes {
  const schema = SCHEMAS[kind];
  /** The child that the path names, if it refers to the parent that the path names. */
  const child = async (call: Call): Promise<Entity> => {
    const parent = await named(call, to);
    const { entity } = await named(call, kind);
    const value = entity[field];
    return isObject(value) && value.id === parent.entity.id ? entity : missing();
  };
  return [
    [
      `/${to}/{${to}}/${kind}`,
      {
        GET: async (call) => {
          const { id } = (await named(call, to)).entity;
          return childrenAnswer(call, kind, { field, to, id }, `/${to}/${id}/${kind}`);
        },
        POST: async (call) => {
          const { id } = (await named(call, to)).entity;
          return json(201, await createEntity(call.api, kind, { ...input(call, schema), [field]: { id } }));
        },
      },
    ],
    [
      `/${to}/{${to}}/${kind}/{${kind}}`,
      {
        GET: async (call) => json(200, await present(call.api, kind, await child(call))),
        PUT: async (call) => {
          const { id } = (await named(call, to)).entity;
          const key = readKey(kind, param(call, kind));
          return json(200, await replaceEntity(call.api, kind, key, { ...input(call, schema), [field]: { id } }));
        },
        PATCH: async (call) => {
          const { id } = await child(call);
          return json(200, await updateEntity(call.api, kind, { field: 'id', value: id }, input(call, schema)));
        },
        DELETE: async (call) => {
          const { id } = await child(call);
          await deleteEntity(call.api, kind, { field: 'id', value: id });
          return empty(204);
        },
      },
    ],
  ];
}

/** `/routes/{}/service`: what one refers to. */
function parentRoutes(kind: EntityKind, field: string, { to }: ForeignField): Routes {
  const schema = SCHEMAS[to];
  const parentId = async (call: Call): Promise<string | null> => {
    const value = (await named(call, kind)).entity[field];
    return isObject(value) ? (value.id as string) : null;
  };
  return [
    [
      `/${kind}/{${kind}}/${field}`,
      {
        GET: async (call) => {
          const row = await call.api.store.get(to, (await parentId(call)) ?? missing());
          return json(200, await present(call.api, to, (row ?? missing()).entity));
        },
        // Without one, it is made and referred to.
        PUT: async (call) => {
          const known = await parentId(call);
          const key = { field: 'id', value: known ?? call.api.env.uuid() };
          const entity = await replaceEntity(call.api, to, key, input(call, schema));
          if (known === null) {
            await updateEntity(call.api, kind, readKey(kind, param(call, kind)), { [field]: { id: entity.id } });
          }
          return json(200, entity);
        },
        PATCH: async (call) => {
          const value = (await parentId(call)) ?? missing();
          return json(200, await updateEntity(call.api, to, { field: 'id', value }, input(call, schema)));
        },
        DELETE: async (call) => ((await parentId(call)) === null ? missing() : methodNotAllowed()),
      },
    ],
  ];
}

/** Targets live below their upstreams only (`targets.ts`). */
export function collectionRoutes(): Routes {
  return KINDS.filter((kind) => kind !== 'targets').flatMap((kind) => [
    ...entityRoutes(kind),
    ...foreignFields(SCHEMAS[kind]).flatMap(([name, field]) => [
      ...childRoutes(kind, name, field),
      ...parentRoutes(kind, name, field),
    ]),
  ]);
}
