/**
 * DNS messages (RFC 1035, section 4): queries out, answers in. Pure: bytes in, values out.
 *
 * Queries are written by `dns-packet`. Answers are read here: what must be tolerated and what must be refused is
 * nginx's (ngx_resolver.c), and differs from the library, which refuses a whole message for one bad record in a
 * section nobody reads, checks no record length, and knows no names over 254 octets, which nginx follows.
 */
import { createRequire } from 'node:module';
import type DnsPacket from 'dns-packet';
import { isIPv6 } from 'node:net';

export const TYPE_A = 1;
export const TYPE_CNAME = 5;
export const TYPE_AAAA = 28;
export const TYPE_SRV = 33;
const TYPE_DNAME = 39;

const CLASS_IN = 1;
const HEADER_BYTES = 12;
/** Type, class, time to live and length of a record, after its name. */
const RECORD_BYTES = 10;
const QUESTION_BYTES = 4;

/** RFC 1035 allows 255; nginx sets no limit and its tests use 257. */
const MAX_NAME_BYTES = 1024;
/** Compression pointers can form a loop; this many steps are enough for any name that is none. */
const MAX_NAME_STEPS = 128;

export type QueryType = typeof TYPE_A | typeof TYPE_AAAA | typeof TYPE_SRV;

const TYPE_NAMES = { [TYPE_A]: 'A', [TYPE_AAAA]: 'AAAA', [TYPE_SRV]: 'SRV' } as const;

/** A message that cannot be used; `message` is nginx's log line. */
export class BadMessage extends Error {}

/** The part of an answer that says what it belongs to. */
export interface AnswerHead {
  id: number;
  /** RCODE, 0 to 15. */
  code: number;
  truncated: boolean;
  /** Null when the code says that the question may be missing (FORMERR, and codes over 5). */
  question: { name: string; type: number; answers: number; offset: number } | null;
}

export interface SrvTarget {
  priority: number;
  weight: number;
  port: number;
  /** Lower-case, without final dot; empty for the root, "no such service" (RFC 2782). */
  target: string;
}

/** The answer section, read for one type of query. */
export interface AnswerSection {
  /** Of A or AAAA records. */
  addresses: string[];
  /** Of SRV records. */
  targets: SrvTarget[];
  /** Where the name in the last CNAME record begins; -1: there was none. Read with `readName`, only when needed. */
  cnameOffset: number;
  /** Lowest time to live of all records, seconds; Infinity when there are none. */
  ttlSec: number;
  /** Log lines about records that were passed over. */
  notes: string[];
}

/**
 * In: a name as written by a user or a name server. Out: the form it is looked up by (lower case, no final dot),
 * or null for what cannot be a name: empty, an empty label or one over 63 octets, white space or control characters.
 */
export function normalizeName(name: string): string | null {
  let text = name.toLowerCase();
  if (text.endsWith('.')) {
    text = text.slice(0, -1);
  }
  // Control characters are exactly what is looked for
  if (text.length === 0 || text.length > MAX_NAME_BYTES || /[\0-\x20\x7f]/.test(text)) {
    return null;
  }
  for (const label of text.split('.')) {
    const bytes = Buffer.byteLength(label);
    if (bytes === 0 || bytes > 63) {
      return null;
    }
  }
  return text;
}

/** Loaded with the first query. */
const dnsPacket = (): typeof DnsPacket => createRequire(import.meta.url)('dns-packet') as typeof DnsPacket;

/** In: a normalized name, a query type, an id of 16 bits. Out: a standard query with recursion desired. */
export function encodeQuery(name: string, type: QueryType, id: number): Buffer {
  const packet = dnsPacket();
  return packet.encode({
    type: 'query',
    id,
    flags: packet.RECURSION_DESIRED,
    questions: [{ name, type: TYPE_NAMES[type], class: 'IN' }],
  });
}

/**
 * Reads header and question of an answer.
 *
 * @throws BadMessage what nginx logs for a message it does not use.
 */
export function readHead(message: Buffer, tcp: boolean): AnswerHead {
  if (message.length < HEADER_BYTES) {
    throw new BadMessage('short DNS response');
  }
  const id = message.readUInt16BE(0);
  const flags = message.readUInt16BE(2);
  const truncated = (flags & 0x0200) !== 0;
  // A response to a standard query, nothing set that we did not ask for; over TCP nothing is ever cut off.
  if ((flags & 0xf870) !== 0x8000 || (truncated && tcp)) {
    const hex = flags.toString(16).toUpperCase().padStart(4, '0');
    throw new BadMessage(`invalid ${tcp ? 'TCP' : 'UDP'} DNS response ${id} fl:${hex}`);
  }
  const code = flags & 0xf;
  if (code === 1 || code > 5) {
    return { id, code, truncated, question: null };
  }
  if (message.readUInt16BE(4) !== 1) {
    throw new BadMessage('invalid number of questions in DNS response');
  }
  let at = HEADER_BYTES;
  for (;;) {
    const length = message[at];
    if (length === undefined) {
      throw new BadMessage('short DNS response');
    }
    if (length & 0xc0) {
      throw new BadMessage('unexpected compression pointer in DNS response');
    }
    at += 1;
    if (length === 0) {
      break;
    }
    at += length;
  }
  if (at === HEADER_BYTES + 1) {
    throw new BadMessage('zero-length domain name in DNS response');
  }
  const answers = message.readUInt16BE(6);
  // A record takes 2 octets of name at least.
  if (at + QUESTION_BYTES + answers * (2 + RECORD_BYTES) > message.length) {
    throw new BadMessage('short DNS response');
  }
  const type = message.readUInt16BE(at);
  const questionClass = message.readUInt16BE(at + 2);
  if (questionClass !== CLASS_IN) {
    throw new BadMessage(`unknown query class ${questionClass} in DNS response`);
  }
  if (type !== TYPE_A && type !== TYPE_AAAA && type !== TYPE_SRV) {
    throw new BadMessage(`unknown query type ${type} in DNS response`);
  }
  const name = readName(message, HEADER_BYTES);
  return { id, code, truncated, question: { name, type, answers, offset: at + QUESTION_BYTES } };
}

/**
 * Reads the records of the answer section. The owner names are not compared with the question, as in nginx: an
 * answer may bring a CNAME and the records of its target.
 *
 * @throws BadMessage what nginx logs for an answer it does not use.
 */
export function readAnswers(message: Buffer, type: QueryType, count: number, offset: number): AnswerSection {
  const section: AnswerSection = { addresses: [], targets: [], cnameOffset: -1, ttlSec: Infinity, notes: [] };
  let at = offset;
  for (let i = 0; i < count; i++) {
    at = skipName(message, at);
    if (at + RECORD_BYTES >= message.length) {
      throw new BadMessage('short DNS response');
    }
    const recordType = message.readUInt16BE(at);
    const recordClass = message.readUInt16BE(at + 2);
    const ttl = message.readInt32BE(at + 4);
    const length = message.readUInt16BE(at + 8);
    at += RECORD_BYTES;
    if (recordClass !== CLASS_IN) {
      throw new BadMessage(`unexpected RR class ${recordClass} in DNS response`);
    }
    // A time to live with the highest bit set counts as 0 (RFC 2181, section 8).
    section.ttlSec = Math.min(section.ttlSec, Math.max(ttl, 0));
    if (recordType === TYPE_SRV && type === TYPE_SRV) {
      section.targets.push(readSrv(message, at));
    } else if ((recordType === TYPE_A || recordType === TYPE_AAAA) && type !== TYPE_SRV) {
      section.addresses.push(readAddress(message, at, length, recordType, type));
    } else if (recordType === TYPE_CNAME) {
      section.cnameOffset = at;
    } else if (recordType !== TYPE_DNAME && section.notes.length === 0) {
      section.notes.push(`unexpected RR type ${recordType} in DNS response`);
    }
    at += length;
  }
  return section;
}

/**
 * Reads a name, following compression pointers. Out: lower case, labels joined by dots, no final dot; empty for
 * the root.
 *
 * @throws BadMessage when it leaves the message, loops, or is too long.
 */
export function readName(message: Buffer, offset: number): string {
  const labels: string[] = [];
  let at = offset;
  let bytes = 0;
  for (let step = 0; step < MAX_NAME_STEPS; step++) {
    const length = message[at];
    if (length === undefined) {
      throw new BadMessage('name is out of DNS response');
    }
    if (length === 0) {
      return labels.join('.').toLowerCase();
    }
    if ((length & 0xc0) === 0xc0) {
      const low = message[at + 1];
      if (low === undefined) {
        throw new BadMessage('name is out of DNS response');
      }
      at = ((length & 0x3f) << 8) | low;
      continue;
    }
    if (length & 0xc0) {
      throw new BadMessage('invalid label type in DNS response');
    }
    bytes += length + 1;
    if (at + 1 + length >= message.length || bytes > MAX_NAME_BYTES) {
      throw new BadMessage('name is out of DNS response');
    }
    labels.push(message.toString('utf8', at + 1, at + 1 + length));
    at += 1 + length;
  }
  throw new BadMessage('compression pointers loop in DNS response');
}

/** Out: the offset after the name at `offset`. */
function skipName(message: Buffer, offset: number): number {
  let at = offset;
  for (;;) {
    const length = message[at];
    if (length === undefined) {
      throw new BadMessage('short DNS response');
    }
    if (length & 0xc0) {
      return at + 2;
    }
    if (length === 0) {
      if (at === offset) {
        throw new BadMessage('invalid name in DNS response');
      }
      return at + 1;
    }
    at += 1 + length;
  }
}

function readAddress(message: Buffer, at: number, length: number, recordType: number, type: QueryType): string {
  const label = recordType === TYPE_A ? 'A' : 'AAAA';
  if (recordType !== type) {
    throw new BadMessage(`unexpected ${label} record in DNS response`);
  }
  const size = recordType === TYPE_A ? 4 : 16;
  if (length !== size) {
    throw new BadMessage(`invalid ${label} record in DNS response`);
  }
  if (at + size > message.length) {
    throw new BadMessage('short DNS response');
  }
  return size === 4 ? message.subarray(at, at + 4).join('.') : formatIPv6(message, at);
}

function readSrv(message: Buffer, at: number): SrvTarget {
  if (at + 6 >= message.length) {
    throw new BadMessage('short DNS response');
  }
  return {
    priority: message.readUInt16BE(at),
    // nginx reads weight 0 as 1: its balancers know no weight 0.
    weight: message.readUInt16BE(at + 2) || 1,
    port: message.readUInt16BE(at + 4),
    target: readName(message, at + 6),
  };
}

/** Out: the text of RFC 5952: the first longest run of zero groups (two at least) as `::`, lower case. */
function formatIPv6(message: Buffer, at: number): string {
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) {
    groups.push(message.readUInt16BE(at + i));
  }
  let best = -1;
  let bestLength = 1;
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && groups[end] === 0) {
      end++;
    }
    if (end - i > bestLength) {
      best = i;
      bestLength = end - i;
    }
  }
  const hex = groups.map((group) => group.toString(16));
  if (best === -1) {
    return hex.join(':');
  }
  return `${hex.slice(0, best).join(':')}::${hex.slice(best + bestLength).join(':')}`;
}

/** In: a name or a literal address, IPv6 with or without brackets. Out: the address, or null when it is a name. */
export function literalAddress(name: string): { family: 4 | 6; address: string } | null {
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(name)) {
    const octets = name.split('.').map(Number);
    // Written anew: `010.0.0.1` is 10.0.0.1 here as in nginx, while a socket would take it for a host name.
    return octets.every((octet) => octet < 256) ? { family: 4, address: octets.join('.') } : null;
  }
  const inner = name.startsWith('[') && name.endsWith(']') ? name.slice(1, -1) : name;
  return isIPv6(inner) ? { family: 6, address: inner } : null;
}
