/**
 * A certificate for servers that were given none: signed by its own key, so that nobody trusts it, and TLS is spoken all the same.
 * X.509 version 3 (RFC 5280 section 4.1) with an elliptic curve (P-256), in DER (X.690).
 */
import { Buffer } from 'node:buffer';
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';

export interface SelfSigned {
  /** PEM. */
  cert: string;
  key: string;
}

const VALID_YEARS = 10;

const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OCTET_STRING = 0x04;
const UTF8_STRING = 0x0c;
const UTC_TIME = 0x17;
const SEQUENCE = 0x30;
const SET = 0x31;
/** `dNSName` of GeneralName. */
const DNS_NAME = 0x82;
const VERSION = 0xa0;
const EXTENSIONS = 0xa3;

/** 2.5.4.3, 2.5.29.17, 1.2.840.10045.4.3.2, with tag and length. */
const COMMON_NAME = Buffer.from('0603550403', 'hex');
const SUBJECT_ALT_NAME = Buffer.from('0603551d11', 'hex');
const ECDSA_WITH_SHA256 = Buffer.from('06082a8648ce3d040302', 'hex');

function der(tag: number, ...contents: readonly Buffer[]): Buffer {
  const body = Buffer.concat(contents);
  const { length } = body;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), body]);
}

/** YYMMDDHHMMSSZ: years up to 2049. */
const utcTime = (date: Date): Buffer =>
  der(UTC_TIME, Buffer.from(date.toISOString().replace(/^..|[-:T]|\.\d+/g, ''), 'latin1'));

/**
 * @param name the host that it is for
 * @param now Unix time in milliseconds: valid from the day before, for ten years
 */
export function makeSelfSigned(name: string, now: number): SelfSigned {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const [from, until] = [new Date(now), new Date(now)];
  from.setUTCDate(from.getUTCDate() - 1);
  until.setUTCFullYear(until.getUTCFullYear() + VALID_YEARS);
  // Positive, and without zeros before it.
  const serial = randomBytes(16);
  serial[0] = (serial[0]! & 0x3f) | 0x40;
  const algorithm = der(SEQUENCE, ECDSA_WITH_SHA256);
  const subject = der(SEQUENCE, der(SET, der(SEQUENCE, COMMON_NAME, der(UTF8_STRING, Buffer.from(name)))));
  const names = der(SEQUENCE, der(DNS_NAME, Buffer.from(name, 'latin1')));
  const signed = der(
    SEQUENCE,
    der(VERSION, der(INTEGER, Buffer.from([2]))),
    der(INTEGER, serial),
    algorithm,
    subject,
    der(SEQUENCE, utcTime(from), utcTime(until)),
    subject,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(EXTENSIONS, der(SEQUENCE, der(SEQUENCE, SUBJECT_ALT_NAME, der(OCTET_STRING, names)))),
  );
  const signature = der(BIT_STRING, Buffer.from([0]), sign('sha256', signed, privateKey));
  return {
    cert: pem('CERTIFICATE', der(SEQUENCE, signed, algorithm, signature)),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
  };
}

function pem(label: string, bytes: Buffer): string {
  const lines = bytes.toString('base64').replace(/.{64}(?=.)/g, '$&\n');
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`;
}
