/** Target: a server behind an upstream, by name or address. */
import { boolean, foreign, id, integer, number, string, tags, targetText } from '../fields.ts';
import { formatHost, parseHost } from '../host.ts';
import type { Schema } from '../schema.ts';

/** When a target names no port. */
export const DEFAULT_PORT = 8000;

/** As it is stored: with port, IPv6 expanded and in brackets, IPv4 without leading zeros. */
export function normalTarget(text: string): string {
  const host = parseHost(text);
  return 'error' in host ? text : formatHost(host, DEFAULT_PORT);
}

export const targets: Schema = {
  kind: 'targets',
  key: 'target',
  fields: {
    id,
    // With fractions: their order is what lists go by.
    created_at: number({ timestamp: true, auto: 'created', description: 'Unix time, seconds with fractions.' }),
    updated_at: number({ timestamp: true, auto: 'updated', description: 'Unix time, seconds with fractions.' }),
    upstream: foreign({ to: 'upstreams', required: true, onDelete: 'cascade' }),
    target: string({ required: true, check: targetText, description: 'host[:port]; the port is 8000 by default.' }),
    weight: integer({ between: [0, 65_535], default: 100, description: '0: no new requests.' }),
    tags,
    failover: boolean({ default: false, description: 'Used only when all regular targets are unhealthy.' }),
  },
  checks: [],
  uniqueTogether: ['upstream', 'target'],
  normalize: (entity) => {
    entity.target = normalTarget(entity.target as string);
  },
};
