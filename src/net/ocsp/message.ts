/** OCSP (RFC 6960): whether a certificate was revoked, asked of who has issued it. Pure. */
import { Buffer } from 'node:buffer';
import { hash, verify, X509Certificate } from 'node:crypto';
import * as d from './der.ts';
import type { Der } from './der.ts';

/** A certificate and who has issued it. */
export interface Subject {
  certificate: X509Certificate;
  issuer: X509Certificate;
}

export interface CertificateStatus {
  status: 'good' | 'revoked' | 'unknown';
  /** Until when that holds, in milliseconds since the epoch; Infinity: it was not said. */
  until: number;
}

/** SHA-1 and SHA-256 as algorithms of names and keys of issuers. */
const SHA1 = Buffer.from('2b0e03021a', 'hex');
const HASHES = new Map([
  [SHA1.toString('hex'), 'sha1'],
  ['608648016503040201', 'sha256'],
]);
const NULL = Buffer.from([5, 0]);
const BASIC_RESPONSE = '2b0601050507300101';

/** What a signature was made with; null: the key says it all. */
const SIGNATURES = new Map<string, string | null>([
  ['2a864886f70d010105', 'sha1'],
  ['2a864886f70d01010b', 'sha256'],
  ['2a864886f70d01010c', 'sha384'],
  ['2a864886f70d01010d', 'sha512'],
  ['2a8648ce3d040302', 'sha256'],
  ['2a8648ce3d040303', 'sha384'],
  ['2a8648ce3d040304', 'sha512'],
  ['2b6570', null],
  ['2b6571', null],
]);
/** Extended use of a key: id-kp-OCSPSigning. */
const OCSP_SIGNING = '1.3.6.1.5.5.7.3.9';
/** Clocks may differ so much, in milliseconds. */
const SKEW_MS = 300_000;

const STATUSES: Readonly<Record<number, string>> = {
  1: 'malformed request',
  2: 'internal error',
  3: 'try later',
  5: 'signature required',
  6: 'unauthorized',
};

/** Names of issuer, subject and key as they stand in a certificate. */
function namesOf({ raw }: X509Certificate): { serial: Buffer; issuer: Buffer; subject: Buffer; key: Buffer } {
  const [tbs] = d.parts(raw, d.expect(d.readDer(raw, 0), d.SEQUENCE));
  const fields = d.parts(raw, d.expect(tbs, d.SEQUENCE)).filter(({ tag }) => tag !== d.context(0));
  const [serial, , issuer, , subject, keyInfo] = fields;
  const [, key] = d.parts(raw, d.expect(keyInfo, d.SEQUENCE));
  return {
    serial: d.content(raw, d.expect(serial, d.INTEGER)),
    issuer: d.whole(raw, d.expect(issuer, d.SEQUENCE)),
    subject: d.whole(raw, d.expect(subject, d.SEQUENCE)),
    // A bit string begins with the number of bits that do not count.
    key: d.content(raw, d.expect(key, d.BIT_STRING)).subarray(1),
  };
}

/** A request for the status of one certificate. */
export function ocspRequest({ certificate, issuer }: Subject): Buffer {
  const own = namesOf(certificate);
  const above = namesOf(issuer);
  const id = d.der(
    d.SEQUENCE,
    d.der(d.SEQUENCE, d.der(d.OID, SHA1), NULL),
    d.der(d.OCTET_STRING, hash('sha1', own.issuer, 'buffer')),
    d.der(d.OCTET_STRING, hash('sha1', above.key, 'buffer')),
    d.der(d.INTEGER, own.serial),
  );
  const list = d.der(d.SEQUENCE, d.der(d.SEQUENCE, id));
  return d.der(d.SEQUENCE, d.der(d.SEQUENCE, list));
}

/**
 * Reads a responder's answer.
 * @param now milliseconds since the epoch
 * @param verified the answer must come from the issuer, or from somebody who may sign for him; else any signer will do
 *   who stands in the answer
 * @throws {Error} that says why the answer cannot be used
 */
export function readOcspResponse(bytes: Buffer, subject: Subject, now: number, verified: boolean): CertificateStatus {
  let basic: Buffer;
  try {
    basic = basicResponse(bytes);
  } catch (error) {
    if (error instanceof RangeError) throw new Error('OCSP response is not well-formed', { cause: error });
    throw error;
  }
  try {
    const [data, algorithm, signature, extra] = d.parts(basic, d.expect(d.readDer(basic, 0), d.SEQUENCE));
    const signed = { data: d.expect(data, d.SEQUENCE), algorithm, signature };
    checkSigner(basic, signed, certificatesIn(basic, extra), subject, now, verified);
    return statusIn(basic, signed.data, subject, now);
  } catch (error) {
    if (error instanceof RangeError) throw new Error('OCSP response is not well-formed', { cause: error });
    throw error;
  }
}

/** Takes the outer wrapping off. */
function basicResponse(bytes: Buffer): Buffer {
  const outer = d.expect(d.readDer(bytes, 0), d.SEQUENCE);
  if (outer.end !== bytes.length) throw new RangeError('more than an answer');
  const [status, wrapped] = d.parts(bytes, outer);
  const code = d.content(bytes, d.expect(status, d.ENUMERATED))[0] ?? 0;
  if (code !== 0) throw new Error(`OCSP response not successful (${code}: ${STATUSES[code] ?? 'unknown'})`);
  const [response] = d.parts(bytes, d.expect(wrapped, d.context(0)));
  const [type, body] = d.parts(bytes, d.expect(response, d.SEQUENCE));
  if (d.content(bytes, d.expect(type, d.OID)).toString('hex') !== BASIC_RESPONSE)
    throw new Error('OCSP response is of an unknown type');
  return d.content(bytes, d.expect(body, d.OCTET_STRING));
}

function certificatesIn(basic: Buffer, extra: Der | undefined): X509Certificate[] {
  if (extra === undefined) return [];
  const [list] = d.parts(basic, d.expect(extra, d.context(0)));
  const found: X509Certificate[] = [];
  for (const element of d.parts(basic, d.expect(list, d.SEQUENCE)).slice(0, MAX_CERTIFICATES)) {
    try {
      found.push(new X509Certificate(d.whole(basic, element)));
    } catch {
      // Whoever cannot be read has not signed.
    }
  }
  return found;
}

/** A responder sends one as a rule; each costs a signature's check. */
const MAX_CERTIFICATES = 8;

interface Signed {
  data: Der;
  algorithm: Der | undefined;
  signature: Der | undefined;
}

function checkSigner(
  basic: Buffer,
  { data, algorithm, signature }: Signed,
  included: readonly X509Certificate[],
  { issuer }: Subject,
  now: number,
  verified: boolean,
): void {
  const [name] = d.parts(basic, d.expect(algorithm, d.SEQUENCE));
  const digest = SIGNATURES.get(d.content(basic, d.expect(name, d.OID)).toString('hex'));
  if (digest === undefined) throw new Error('OCSP response is signed by an unknown algorithm');
  const bytes = d.whole(basic, data);
  const bits = d.content(basic, d.expect(signature, d.BIT_STRING)).subarray(1);
  for (const signer of [issuer, ...included]) {
    if (verified && !maySign(signer, issuer, now)) continue;
    try {
      if (verify(digest, bytes, signer.publicKey, bits)) return;
    } catch {
      // A key of another kind.
    }
  }
  throw new Error('OCSP response is not signed by the issuer of the certificate, nor by whom he names');
}

/** The issuer himself, or one whom he has given a certificate for just that (RFC 6960 section 4.2.2.2). */
function maySign(signer: X509Certificate, issuer: X509Certificate, now: number): boolean {
  if (signer.raw.equals(issuer.raw)) return true;
  if (!(signer.keyUsage ?? []).includes(OCSP_SIGNING)) return false;
  if (Date.parse(signer.validFrom) > now + SKEW_MS || Date.parse(signer.validTo) < now - SKEW_MS) return false;
  return signer.checkIssued(issuer) && signer.verify(issuer.publicKey);
}

function statusIn(basic: Buffer, data: Der, subject: Subject, now: number): CertificateStatus {
  // Version, who answers, when, and the answers.
  const fields = d.parts(basic, data).filter(({ tag }) => tag === d.SEQUENCE);
  const own = namesOf(subject.certificate);
  const { key } = namesOf(subject.issuer);
  for (const single of d.parts(basic, d.expect(fields[0], d.SEQUENCE))) {
    const [id, status, thisUpdate, next] = d.parts(basic, d.expect(single, d.SEQUENCE));
    const [algorithm, issuerName, issuerKey, serial] = d.parts(basic, d.expect(id, d.SEQUENCE));
    if (!d.content(basic, d.expect(serial, d.INTEGER)).equals(own.serial)) continue;
    const [oid] = d.parts(basic, d.expect(algorithm, d.SEQUENCE));
    const digest = HASHES.get(d.content(basic, d.expect(oid, d.OID)).toString('hex'));
    if (digest === undefined) continue;
    if (!d.content(basic, d.expect(issuerName, d.OCTET_STRING)).equals(hash(digest, own.issuer, 'buffer'))) continue;
    if (!d.content(basic, d.expect(issuerKey, d.OCTET_STRING)).equals(hash(digest, key, 'buffer'))) continue;

    const from = d.time(basic, d.expect(thisUpdate, d.GENERALIZED_TIME));
    const until = next?.tag === d.context(0) ? d.time(basic, d.parts(basic, next)[0]!) : Infinity;
    if (from > now + SKEW_MS || until < now - SKEW_MS || until < from) throw new Error('OCSP response is out of date');
    // [0] good, [1] revoked, [2] unknown.
    const kind = status === undefined ? 2 : status.tag & 0x1f;
    return { status: kind === 0 ? 'good' : kind === 1 ? 'revoked' : 'unknown', until };
  }
  throw new Error('certificate status not found in the OCSP response');
}
