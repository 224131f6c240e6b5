/** All entities. To add one: a file in `entities/`, its kind in `schema.ts`, and a line here. */
import { caCertificates, certificates, consumers, snis } from './entities/others.ts';
import { routes } from './entities/routes.ts';
import { services } from './entities/services.ts';
import { targets } from './entities/targets.ts';
import { upstreams } from './entities/upstreams.ts';
import type { EntityKind, Schema } from './schema.ts';

export const SCHEMAS: Readonly<Record<EntityKind, Schema>> = {
  certificates,
  ca_certificates: caCertificates,
  snis,
  consumers,
  services,
  routes,
  upstreams,
  targets,
};
