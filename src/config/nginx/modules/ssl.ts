/** TLS to clients: `ssl_*` of servers. */
import { ConfigError, at } from '../../errors.ts';
import { certificatesOf, isResponder, issuerOf, responderOf } from '../../certificates.ts';
import type { OcspConfig, StaplingConfig } from '../../model-tls.ts';
import type { CertificateCacheConfig, Place, ServerConfig, SslServerConfig } from '../../model.ts';
import { parseNumber, parseSize } from '../../units.ts';
import { ALL_SERVERS, Args, STREAM_ALL, isStream } from '../context.ts';
import { table } from '../directive.ts';
import { serverPart, streamPart } from '../module.ts';
import type { Build, ModuleDef } from '../module.ts';
import type { ServerBlock } from '../nodes.ts';
import type { Conf } from '../parser.ts';
import { slot } from '../scope.ts';
import { sslCommands } from '../ssl-commands.ts';
import {
  DEFAULT_TLS_PROTOCOLS,
  TLS_PROTOCOLS,
  certificateCache,
  checkPair,
  loadCertificates,
  loadCrl,
  loadParameters,
  openBio,
  openFile,
  readCertificate,
  readKey,
  readPasswords,
  readPlain,
  readShared,
} from '../tls.ts';
import { MIN_ZONE_SIZE } from '../upstreams.ts';
import { checkValue } from '../variables.ts';

interface SslRaw {
  certificates?: string[];
  keys?: string[];
  passwords?: string[];
  certificateCompression?: boolean;
  certificateCache?: CertificateCacheConfig | 'off';
  dhparam?: string;
  ecdhCurve?: string;
  protocols?: string[];
  ciphers?: string;
  bufferSize?: number;
  verify?: 'off' | 'on' | 'optional' | 'optional_no_ca';
  verifyDepth?: number;
  clientCertificate?: string;
  trustedCertificate?: string;
  preferServerCiphers?: boolean;
  sessionCache?: SslServerConfig['sessionCache'];
  sessionTickets?: boolean;
  ticketKeys?: string[];
  sessionTimeoutSec?: number;
  crl?: string;
  ocsp?: 'off' | 'on' | 'leaf';
  ocspResponder?: string;
  ocspCache?: boolean;
  stapling?: boolean;
  staplingFile?: string;
  staplingResponder?: string;
  staplingVerify?: boolean;
  earlyData?: boolean;
  commands?: [name: string, value: string][];
  rejectHandshake?: boolean;
  /** Of stream alone. */
  handshakeTimeoutMs?: number;
  alpn?: string[];
}

export const sslSlot = slot<SslRaw>('ssl', () => ({}));
const srv = table<SslRaw>((cf) => cf.scope.srv.get(sslSlot));

function sharedZone(cf: Conf, text: string, what: string, tag: string): void {
  const match = /^shared:([^:]+):(.*)$/s.exec(text);
  const size = match === null ? null : parseSize(match[2] as string);
  if (match === null || size === null) throw cf.error(`invalid ${what} "${text}"`);
  if (size < MIN_ZONE_SIZE) throw cf.error(`${what} "${text}" is too small`);
  cf.addZone(match[1] as string, size, `${isStream(cf.context) ? 'stream' : 'http'}_${tag}`);
}

function sessionCache(cf: Conf, raw: SslRaw): void {
  for (const arg of cf.args.slice(1)) {
    if (arg === 'off' || arg === 'none' || arg === 'builtin') raw.sessionCache = arg;
    else if (arg.startsWith('builtin:')) {
      if (parseNumber(arg.slice('builtin:'.length)) === null) throw cf.error(`invalid session cache "${arg}"`);
      raw.sessionCache = 'builtin';
    } else if (arg.startsWith('shared:')) {
      sharedZone(cf, arg, 'session cache', 'ssl');
      raw.sessionCache = 'shared';
    } else throw cf.error(`invalid session cache "${arg}"`);
  }
}

function ocspCache(cf: Conf, raw: SslRaw): string | void {
  if (raw.ocspCache !== undefined) return 'is duplicate';
  const text = cf.args[1] as string;
  raw.ocspCache = text !== 'off';
  if (!raw.ocspCache) return;
  if (!text.startsWith('shared:')) throw cf.error(`invalid OCSP cache "${text}"`);
  sharedZone(cf, text, 'OCSP cache', 'ssl_ocsp');
}

function keepCertificates(cf: Conf, raw: SslRaw): string | void {
  if (raw.certificateCache !== undefined) return 'is duplicate';
  raw.certificateCache = certificateCache(cf) ?? 'off';
}

/** Names may hold variables: then each connection reads its own. */
function certificateName(key: 'certificates' | 'keys') {
  return (cf: Conf, raw: SslRaw): void => {
    const name = cf.args[1] as string;
    checkValue(cf, name);
    raw[key] = [...(raw[key] ?? []), name];
  };
}

const notBuilt = (cf: Conf, value: unknown): void => {
  if (value !== false && value !== 'off') cf.warn(`the "${cf.args[0]}" directive is not supported yet, ignored`);
};

function passwordFile(cf: Conf, raw: SslRaw): string | void {
  if (raw.passwords !== undefined) return 'is duplicate';
  raw.passwords = readPasswords(cf, cf.args[1] as string);
}

/** In nginx's words what cannot be had is told, and the rest goes on. */
function stapling(raw: SslRaw, ssl: SslServerConfig, place: Place, cycle: Build['cycle']): StaplingConfig {
  const file = raw.staplingFile ? readPlain(cycle, raw.staplingFile, openBio, place) : null;
  if (file !== null && file.charCodeAt(0) !== DER_SEQUENCE) {
    const text = `d2i_OCSP_RESPONSE_bio("${cycle.fullName(raw.staplingFile!, 'conf')}") failed`;
    throw new ConfigError(text, place, at(place));
  }
  const known = certificatesOf(`${ssl.trustedCertificate ?? ''}\n${ssl.clientCertificate ?? ''}`);
  const certificates = ssl.certificates.map(({ certificate, certificateFile }) => {
    // Names of variables, and answers from a file: nobody is asked.
    if (file !== null || certificate === '') return null;
    const [own, ...chain] = certificatesOf(certificate);
    const ignored = (why: string): null => {
      cycle.warn(`"ssl_stapling" ignored, ${why} certificate "${certificateFile}"`, place, 'warn', '');
      return null;
    };
    const issuer = own === undefined ? null : issuerOf(own, [...chain, ...known]);
    if (issuer === null) return ignored('issuer certificate not found for');
    const responder = raw.staplingResponder || responderOf(own!);
    if (responder === null) return ignored('no OCSP responder URL in the');
    if (!isResponder(responder)) return ignored(`invalid URL prefix in OCSP responder "${responder}" in the`);
    return { issuer: issuer.toString(), responder };
  });
  const trusted = raw.staplingVerify === true ? (ssl.trustedCertificate ?? '') : null;
  return { file, certificates, trusted };
}

const DER_SEQUENCE = 0x30;

function ocsp(raw: SslRaw, place: Place): OcspConfig {
  const { ocspResponder: responder } = raw;
  const fail = (text: string): ConfigError => new ConfigError(text, place, at(place));
  if (raw.verify === 'optional_no_ca') throw fail('"ssl_ocsp" is incompatible with "ssl_verify_client optional_no_ca"');
  if (responder !== undefined && !isResponder(responder))
    throw fail(`invalid URL prefix in OCSP responder "${responder}" in "ssl_ocsp_responder"`);
  return { chain: raw.ocsp === 'on', responder: responder ?? null, cache: raw.ocspCache === true };
}

function finish(raw: SslRaw, { place }: ServerBlock, { cycle }: Build): Pick<ServerConfig, 'ssl'> {
  const { certificates = [], keys = [], passwords = [] } = raw;
  if (certificates.length > keys.length) {
    const last = certificates[certificates.length - 1];
    const text = `no "ssl_certificate_key" is defined for certificate "${last}"`;
    throw new ConfigError(text, place, at(place));
  }
  const handshakes = certificates.length > 0 || raw.rejectHandshake === true;
  // Without a certificate the default server's is shown; who is let in is still this server's to say.
  if (!handshakes && (raw.verify ?? 'off') === 'off') return { ssl: null };
  if (handshakes) checkVerify(raw, place);

  const ssl: SslServerConfig = {
    certificates: certificates.map((name, i) => {
      const certificate = readCertificate(cycle, name, place);
      const key = readKey(cycle, keys[i] as string, passwords, place);
      checkPair(certificate, key, passwords, place);
      return { certificateFile: certificate.file, keyFile: key.file, certificate: certificate.text, key: key.text };
    }),
    passphrases: passwords,
    protocols: raw.protocols ?? DEFAULT_TLS_PROTOCOLS,
    ciphers: raw.ciphers ?? 'HIGH:!aNULL:!MD5',
    preferServerCiphers: raw.preferServerCiphers ?? false,
    ecdhCurve: raw.ecdhCurve ?? 'auto',
    dhparam: readPlain(cycle, raw.dhparam, loadParameters, place),
    verifyClient: raw.verify ?? 'off',
    verifyDepth: raw.verifyDepth ?? 1,
    clientCertificate: readShared(cycle, raw.clientCertificate, loadCertificates, place),
    trustedCertificate: readShared(cycle, raw.trustedCertificate, loadCertificates, place),
    crl: readShared(cycle, raw.crl, loadCrl, place),
    sessionTimeoutSec: raw.sessionTimeoutSec ?? 300,
    sessionTickets: raw.sessionTickets ?? true,
    sessionCache: raw.sessionCache ?? 'none',
    sessionTicketKeys: (raw.ticketKeys ?? []).map((name) => ticketKey(name, place, cycle)),
    rejectHandshake: raw.rejectHandshake ?? false,
    certificateCompression: raw.certificateCompression ?? false,
    certificateCache: raw.certificateCache === 'off' ? null : (raw.certificateCache ?? null),
    commands: sslCommands(raw.commands ?? [], { cycle, place, passwords }),
  };
  if (raw.stapling === true && handshakes) ssl.stapling = stapling(raw, ssl, place, cycle);
  if (raw.ocsp !== undefined && raw.ocsp !== 'off') ssl.ocsp = ocsp(raw, place);
  return { ssl };
}

function checkVerify(raw: SslRaw, place: Place): void {
  const needs = raw.verify === 'on' || raw.verify === 'optional';
  if (needs && !raw.clientCertificate && !raw.trustedCertificate) {
    const text = 'no ssl_client_certificate or ssl_trusted_certificate for ssl_verify_client';
    throw new ConfigError(text, place, at(place));
  }
  if (raw.stapling === true && raw.certificateCompression === true) {
    const text = '"ssl_stapling" is incompatible with "ssl_certificate_compression"';
    throw new ConfigError(text, place, at(place));
  }
}

/** Ticket keys are 48 or 80 random bytes. */
function ticketKey(name: string, place: Place, cycle: Build['cycle']): string {
  const file = cycle.fullName(name, 'conf');
  const text = readPlain(cycle, name, openFile, place) ?? '';
  if (text.length !== 48 && text.length !== 80) {
    throw new ConfigError(`"${file}" must be 48 or 80 bytes`, place, at(place));
  }
  return text;
}

export const sslModule: ModuleDef = {
  name: 'ssl',
  directives: [
    srv.custom('ssl_certificate', ALL_SERVERS, Args.one, certificateName('certificates')),
    srv.custom('ssl_certificate_key', ALL_SERVERS, Args.one, certificateName('keys')),
    srv.custom('ssl_certificate_cache', ALL_SERVERS, Args.oneToThree, keepCertificates),
    srv.custom('ssl_password_file', ALL_SERVERS, Args.one, passwordFile),
    srv.flag('ssl_certificate_compression', ALL_SERVERS, 'certificateCompression'),
    srv.text('ssl_dhparam', ALL_SERVERS, 'dhparam'),
    srv.text('ssl_ecdh_curve', ALL_SERVERS, 'ecdhCurve'),
    srv.words('ssl_protocols', ALL_SERVERS, Args.oneOrMore, 'protocols', TLS_PROTOCOLS),
    srv.text('ssl_ciphers', ALL_SERVERS, 'ciphers'),
    srv.size('ssl_buffer_size', ALL_SERVERS, 'bufferSize'),
    srv.choice('ssl_verify_client', ALL_SERVERS, 'verify', ['off', 'on', 'optional', 'optional_no_ca']),
    srv.number('ssl_verify_depth', ALL_SERVERS, 'verifyDepth'),
    srv.text('ssl_client_certificate', ALL_SERVERS, 'clientCertificate'),
    srv.text('ssl_trusted_certificate', ALL_SERVERS, 'trustedCertificate'),
    srv.flag('ssl_prefer_server_ciphers', ALL_SERVERS, 'preferServerCiphers'),
    srv.custom('ssl_session_cache', ALL_SERVERS, Args.oneOrTwo, sessionCache),
    srv.flag('ssl_session_tickets', ALL_SERVERS, 'sessionTickets'),
    srv.list('ssl_session_ticket_key', ALL_SERVERS, 'ticketKeys'),
    srv.sec('ssl_session_timeout', ALL_SERVERS, 'sessionTimeoutSec'),
    srv.text('ssl_crl', ALL_SERVERS, 'crl'),
    srv.choice('ssl_ocsp', ALL_SERVERS, 'ocsp', ['off', 'on', 'leaf']),
    srv.text('ssl_ocsp_responder', ALL_SERVERS, 'ocspResponder'),
    srv.custom('ssl_ocsp_cache', ALL_SERVERS, Args.one, ocspCache),
    srv.flag('ssl_stapling', ALL_SERVERS, 'stapling'),
    srv.text('ssl_stapling_file', ALL_SERVERS, 'staplingFile'),
    srv.text('ssl_stapling_responder', ALL_SERVERS, 'staplingResponder'),
    srv.flag('ssl_stapling_verify', ALL_SERVERS, 'staplingVerify'),
    srv.flag('ssl_early_data', ALL_SERVERS, 'earlyData', notBuilt),
    srv.custom('ssl_conf_command', ALL_SERVERS, Args.two, (cf, raw) => {
      raw.commands = [...(raw.commands ?? []), [cf.args[1] as string, cf.args[2] as string]];
    }),
    srv.flag('ssl_reject_handshake', ALL_SERVERS, 'rejectHandshake'),
    srv.msec('ssl_handshake_timeout', STREAM_ALL, 'handshakeTimeoutMs'),
    srv.custom('ssl_alpn', STREAM_ALL, Args.oneOrMore, (cf, raw): string | void => {
      if (raw.alpn !== undefined) return 'is duplicate';
      raw.alpn = cf.args.slice(1);
      if (raw.alpn.some((name) => name.length > 255)) return 'protocol too long';
    }),
  ],
  server: serverPart<SslRaw>({ slot: sslSlot, result: finish }),
  streamServer: streamPart<SslRaw>({
    slot: sslSlot,
    result: (raw, server, build) => ({
      ...finish(raw, server, build),
      handshakeTimeoutMs: raw.handshakeTimeoutMs ?? 60_000,
      alpn: raw.alpn ?? [],
    }),
  }),
};
