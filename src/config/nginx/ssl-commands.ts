/**
 * `ssl_conf_command NAME VALUE`: OpenSSL's own configuration commands (SSL_CONF_cmd(3)), as far as `node:tls` lets them
 * be done. One that cannot be is an error, never something that is silently something else.
 */
import { constants } from 'node:crypto';
import { ConfigError, at } from '../errors.ts';
import type { Place, SslCommands } from '../model.ts';
import type { Cycle } from './cycle.ts';
import { TLS_PROTOCOLS, loadParameters, readCertificate, readKey, readPlain } from './tls.ts';

/** What `Options` may name: bits, and whether naming them clears these. */
const OPTIONS: Readonly<Record<string, { bits: number; inverted?: boolean }>> = {
  sessionticket: { bits: constants.SSL_OP_NO_TICKET, inverted: true },
  emptyfragments: { bits: constants.SSL_OP_DONT_INSERT_EMPTY_FRAGMENTS, inverted: true },
  bugs: { bits: constants.SSL_OP_ALL },
  compression: { bits: constants.SSL_OP_NO_COMPRESSION, inverted: true },
  serverpreference: { bits: constants.SSL_OP_CIPHER_SERVER_PREFERENCE },
  noresumptiononrenegotiation: { bits: constants.SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION },
  unsafelegacyrenegotiation: { bits: constants.SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION },
  unsafelegacyserverconnect: { bits: constants.SSL_OP_LEGACY_SERVER_CONNECT },
  encryptthenmac: { bits: constants.SSL_OP_NO_ENCRYPT_THEN_MAC, inverted: true },
  norenegotiation: { bits: constants.SSL_OP_NO_RENEGOTIATION },
  allownodhekex: { bits: constants.SSL_OP_ALLOW_NO_DHE_KEX },
  prioritizechacha: { bits: constants.SSL_OP_PRIORITIZE_CHACHA },
  // Always so in the OpenSSL of today.
  ecdhsingle: { bits: 0 },
  dhsingle: { bits: 0 },
};

/** Where the commands of a block stand, and whose they are. */
export interface CommandContext {
  cycle: Cycle;
  place: Place;
  passwords: readonly string[];
}

/**
 * @param commands pairs of name and value, in order: the last one of a name counts
 * @throws {ConfigError} `SSL_CONF_cmd("NAME", "VALUE") failed`
 */
export function sslCommands(commands: readonly (readonly [string, string])[], context: CommandContext): SslCommands {
  const result: SslCommands = {};
  for (const [name, value] of commands) {
    const why = apply(result, name, value, context);
    if (why !== null) {
      const { place } = context;
      throw new ConfigError(`SSL_CONF_cmd("${name}", "${value}") failed (${why})`, place, at(place));
    }
  }
  return result;
}

/** @returns what is wrong, or null */
function apply(result: SslCommands, name: string, value: string, context: CommandContext): string | null {
  const { cycle, place, passwords } = context;
  switch (name.toLowerCase()) {
    case 'certificate':
      result.certificate = readCertificate(cycle, value, place).text;
      return null;
    case 'privatekey':
      result.key = readKey(cycle, value, passwords, place).text;
      return null;
    case 'dhparameters':
      result.dhparam = readPlain(cycle, value, loadParameters, place) ?? '';
      return null;
    case 'cipherstring':
      result.ciphers = value;
      return null;
    case 'ciphersuites':
      result.ciphersuites = value;
      return null;
    case 'groups':
    case 'curves':
      result.groups = value;
      return null;
    case 'signaturealgorithms':
      result.signatureAlgorithms = value;
      return null;
    case 'minprotocol':
    case 'maxprotocol':
    case 'protocol':
      return protocol(result, name.toLowerCase(), value);
    case 'options':
      return options(result, value);
    default:
      return 'SSL: unknown command, or one that cannot be given to node:tls';
  }
}

function protocol(result: SslCommands, name: string, value: string): string | null {
  const listed = result.protocols ?? TLS_PROTOCOLS;
  if (name !== 'protocol') {
    const index = TLS_PROTOCOLS.indexOf(value);
    if (value === 'None') return null;
    if (index < 0) return 'SSL: bad value';
    result.protocols = listed.filter((v) =>
      name === 'minprotocol' ? TLS_PROTOCOLS.indexOf(v) >= index : TLS_PROTOCOLS.indexOf(v) <= index,
    );
    return null;
  }
  let chosen: readonly string[] = listed;
  for (const word of value.split(',')) {
    const off = word.startsWith('-');
    const version = word.replace(/^[+-]/, '');
    if (version !== 'ALL' && !TLS_PROTOCOLS.includes(version)) return 'SSL: bad value';
    const named = version === 'ALL' ? TLS_PROTOCOLS : [version];
    chosen = off
      ? chosen.filter((v) => !named.includes(v))
      : TLS_PROTOCOLS.filter((v) => chosen.includes(v) || named.includes(v));
  }
  result.protocols = [...chosen];
  return null;
}

function options(result: SslCommands, value: string): string | null {
  for (const word of value.split(',')) {
    const off = word.startsWith('-');
    const option = OPTIONS[word.replace(/^[+-]/, '').toLowerCase()];
    if (option === undefined) return 'SSL: bad value';
    const set = off === (option.inverted ?? false);
    result.set = set ? (result.set ?? 0) | option.bits : (result.set ?? 0) & ~option.bits;
    result.clear = set ? (result.clear ?? 0) & ~option.bits : (result.clear ?? 0) | option.bits;
  }
  return null;
}
