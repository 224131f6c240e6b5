/** Names of certificates: entities of their own, which a certificate shows and takes as a list. */
import { schemaViolation } from '../../config/kong/errors.ts';
import { isObject } from '../../config/kong/schema.ts';
import type { Entity } from '../../config/kong/schema.ts';
import { SCHEMAS } from '../../config/kong/schemas.ts';
import { create } from '../../config/kong/validate.ts';
import type { Row, Write } from '../../store/store.ts';
import type { Api } from './context.ts';

function namesOf({ store }: Api, id: string): Promise<Row[]> {
  return store.children('snis', { field: 'certificate', to: 'certificates', id });
}

export async function readCertificateNames(api: Api, id: string): Promise<string[]> {
  return (await namesOf(api, id)).map(({ entity }) => entity.name as string).sort();
}

/**
 * What has to be written besides the certificate, when it comes with a list of names: that list is then all it has.
 *
 * @param entity its list is taken out
 * @throws {KongError} a name belongs to another certificate
 */
export async function certificateWrites(api: Api, entity: Entity): Promise<Write[]> {
  const { snis } = entity;
  entity.snis = null;
  if (!Array.isArray(snis)) return [];
  const wanted = new Set(snis as string[]);
  const writes: Write[] = [];
  for (const { entity: sni } of await namesOf(api, entity.id)) {
    if (!wanted.delete(sni.name as string)) writes.push({ op: 'delete', kind: 'snis', id: sni.id });
  }
  for (const name of wanted) {
    const other = (await api.store.find('snis', 'name', name))?.entity.certificate;
    if (isObject(other)) {
      throw schemaViolation({ snis: `${name} already associated with existing certificate '${other.id as string}'` });
    }
    const sni = create(SCHEMAS.snis, { name, certificate: { id: entity.id } }, api.env);
    if (sni.errors !== null) throw schemaViolation({ snis: 'invalid names' });
    writes.push({ op: 'put', kind: 'snis', entity: sni.entity, expect: null });
  }
  return writes;
}
