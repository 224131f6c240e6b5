/** Certificates, CA certificates, SNIs and consumers: what upstreams, services and routes refer to. */
import { X509Certificate, createHash, createPrivateKey } from 'node:crypto';
import { certificateField, createdAt, foreign, id, keyField, string, tags, updatedAt, wildcardSni } from '../fields.ts';
import type { EntityCheck, JsonObject, Schema } from '../schema.ts';

function matching(cert: string, key: string, text: string): EntityCheck {
  return {
    kind: 'custom',
    fields: [cert, key],
    check: (entity) => {
      const pair = [entity[cert], entity[key]];
      if (typeof pair[0] !== 'string' || typeof pair[1] !== 'string') return null;
      return new X509Certificate(pair[0]).checkPrivateKey(createPrivateKey(pair[1])) ? null : text;
    },
  };
}

const keyType = (pem: string): string => createPrivateKey(pem).asymmetricKeyType ?? '';

export const certificates: Schema = {
  kind: 'certificates',
  key: null,
  fields: {
    id,
    created_at: createdAt,
    updated_at: updatedAt,
    cert: certificateField({ required: true, description: 'PEM, with the chain after it.' }),
    key: keyField({ required: true, description: 'PEM.' }),
    cert_alt: certificateField({ description: 'Of another kind of key: RSA beside ECDSA.' }),
    key_alt: keyField(),
    tags,
    // Not stored here: names are entities of their own.
    snis: { type: 'array', elements: wildcardSni(), description: 'Names that it is for.' },
  },
  checks: [
    { kind: 'mutually_required', fields: ['cert_alt', 'key_alt'] },
    matching('cert', 'key', 'certificate does not match key'),
    matching('cert_alt', 'key_alt', 'alternative certificate does not match key'),
    {
      kind: 'custom',
      fields: ['key', 'key_alt'],
      check: ({ key, key_alt: other }) =>
        typeof key === 'string' && typeof other === 'string' && keyType(key) === keyType(other)
          ? 'certificate and alternative certificate need to have different type (e.g. RSA and ECDSA), ' +
            `the provided certificates were both of the same type`
          : null,
    },
  ],
};

export const caCertificates: Schema = {
  kind: 'ca_certificates',
  key: null,
  fields: {
    id,
    created_at: createdAt,
    updated_at: updatedAt,
    cert: certificateField({ required: true, description: 'PEM, one certificate.' }),
    cert_digest: string({ unique: true, description: 'SHA-256, set by the server.' }),
    tags,
  },
  checks: [{ kind: 'custom', fields: ['cert'], check: checkCa }],
  normalize: (entity) => {
    const { raw } = new X509Certificate(entity.cert as string);
    entity.cert_digest = createHash('sha256').update(raw).digest('hex');
  },
};

function checkCa({ cert, updated_at: now }: JsonObject): string | null {
  if (typeof cert !== 'string') return null;
  if (cert.split('-----BEGIN CERTIFICATE-----').length > 2) return 'please submit only one certificate at a time';
  const parsed = new X509Certificate(cert);
  if (parsed.validToDate.getTime() < Number(now) * 1000) {
    return 'certificate expired, "Not After" time is in the past';
  }
  if (parsed.ca) return null;
  return 'certificate does not appear to be a CA because it is missing the "CA" basic constraint';
}

export const snis: Schema = {
  kind: 'snis',
  key: 'name',
  fields: {
    id,
    name: wildcardSni({ required: true, unique: true }),
    created_at: createdAt,
    updated_at: updatedAt,
    tags,
    certificate: foreign({ to: 'certificates', required: true, onDelete: 'cascade' }),
  },
  checks: [],
};

export const consumers: Schema = {
  kind: 'consumers',
  key: 'username',
  fields: {
    id,
    created_at: createdAt,
    updated_at: updatedAt,
    username: string({ unique: true }),
    custom_id: string({ unique: true }),
    tags,
  },
  checks: [{ kind: 'at_least_one_of', fields: ['custom_id', 'username'] }],
};
