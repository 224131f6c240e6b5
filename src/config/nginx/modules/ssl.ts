/** TLS to clients: `ssl_*` of servers. */
import { ConfigError, at } from '../../errors.ts';
import type { Place, ServerConfig, SslServerConfig } from '../../model.ts';
import { parseNumber, parseSize } from '../../units.ts';
import { Args, HTTP_SERVER } from '../context.ts';
import { parameterList, table } from '../directive.ts';
import { serverPart } from '../module.ts';
import type { Build, ModuleDef } from '../module.ts';
import type { ServerNode } from '../nodes.ts';
import type { Conf } from '../parser.ts';
import { slot } from '../scope.ts';
import {
  DEFAULT_TLS_PROTOCOLS,
  TLS_PROTOCOLS,
  checkPair,
  loadCertificates,
  loadCrl,
  loadParameters,
  openFile,
  readCertificate,
  readKey,
  readPasswords,
  readPlain,
} from '../tls.ts';
import { MIN_ZONE_SIZE } from '../upstreams.ts';
import { checkValue } from '../variables.ts';

interface SslRaw {
  certificates?: string[];
  keys?: string[];
  passwords?: string[];
  certificateCompression?: boolean;
  certificateCache?: boolean;
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
}

export const sslSlot = slot<SslRaw>('ssl', () => ({}));
const srv = table<SslRaw>((cf) => cf.scope.srv.get(sslSlot));

function sharedZone(cf: Conf, text: string, what: string, tag: string): void {
  const match = /^shared:([^:]+):(.*)$/s.exec(text);
  const size = match === null ? null : parseSize(match[2] as string);
  if (match === null || size === null) throw cf.error(`invalid ${what} "${text}"`);
  if (size < MIN_ZONE_SIZE) throw cf.error(`${what} "${text}" is too small`);
  cf.addZone(match[1] as string, size, tag);
}

function sessionCache(cf: Conf, raw: SslRaw): void {
  for (const arg of cf.args.slice(1)) {
    if (arg === 'off' || arg === 'none' || arg === 'builtin') raw.sessionCache = arg;
    else if (arg.startsWith('builtin:')) {
      if (parseNumber(arg.slice('builtin:'.length)) === null) throw cf.error(`invalid session cache "${arg}"`);
      raw.sessionCache = 'builtin';
    } else if (arg.startsWith('shared:')) {
      sharedZone(cf, arg, 'session cache', 'http_ssl');
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
  sharedZone(cf, text, 'OCSP cache', 'http_ssl_ocsp');
}

function certificateCache(cf: Conf, raw: SslRaw): string | void {
  if (raw.certificateCache !== undefined) return 'is duplicate';
  raw.certificateCache = true;
  parameterList(
    cf,
    { 'max=': 'number', 'inactive=': 'time', 'valid=': 'time', off: 'word' },
    (arg) => `invalid parameter "${arg}"`,
  );
  if (!cf.args.includes('off') && !cf.args.some((arg) => arg.startsWith('max='))) {
    throw cf.error('"ssl_certificate_cache" must have the "max" parameter');
  }
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

function finish(raw: SslRaw, server: ServerNode, { cycle }: Build): Partial<ServerConfig> {
  const { place } = server;
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
    clientCertificate: readPlain(cycle, raw.clientCertificate, loadCertificates, place),
    trustedCertificate: readPlain(cycle, raw.trustedCertificate, loadCertificates, place),
    crl: readPlain(cycle, raw.crl, loadCrl, place),
    sessionTimeoutSec: raw.sessionTimeoutSec ?? 300,
    sessionTickets: raw.sessionTickets ?? true,
    sessionCache: raw.sessionCache ?? 'none',
    sessionTicketKeys: (raw.ticketKeys ?? []).map((name) => ticketKey(name, place, cycle)),
    rejectHandshake: raw.rejectHandshake ?? false,
  };
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
    srv.custom('ssl_certificate', HTTP_SERVER, Args.one, certificateName('certificates')),
    srv.custom('ssl_certificate_key', HTTP_SERVER, Args.one, certificateName('keys')),
    srv.custom('ssl_certificate_cache', HTTP_SERVER, Args.oneToThree, certificateCache),
    srv.custom('ssl_password_file', HTTP_SERVER, Args.one, passwordFile),
    srv.flag('ssl_certificate_compression', HTTP_SERVER, 'certificateCompression', notBuilt),
    srv.text('ssl_dhparam', HTTP_SERVER, 'dhparam'),
    srv.text('ssl_ecdh_curve', HTTP_SERVER, 'ecdhCurve'),
    srv.words('ssl_protocols', HTTP_SERVER, Args.oneOrMore, 'protocols', TLS_PROTOCOLS),
    srv.text('ssl_ciphers', HTTP_SERVER, 'ciphers'),
    srv.size('ssl_buffer_size', HTTP_SERVER, 'bufferSize'),
    srv.choice('ssl_verify_client', HTTP_SERVER, 'verify', ['off', 'on', 'optional', 'optional_no_ca']),
    srv.number('ssl_verify_depth', HTTP_SERVER, 'verifyDepth'),
    srv.text('ssl_client_certificate', HTTP_SERVER, 'clientCertificate'),
    srv.text('ssl_trusted_certificate', HTTP_SERVER, 'trustedCertificate'),
    srv.flag('ssl_prefer_server_ciphers', HTTP_SERVER, 'preferServerCiphers'),
    srv.custom('ssl_session_cache', HTTP_SERVER, Args.oneOrTwo, sessionCache),
    srv.flag('ssl_session_tickets', HTTP_SERVER, 'sessionTickets'),
    srv.list('ssl_session_ticket_key', HTTP_SERVER, 'ticketKeys'),
    srv.sec('ssl_session_timeout', HTTP_SERVER, 'sessionTimeoutSec'),
    srv.text('ssl_crl', HTTP_SERVER, 'crl'),
    srv.choice('ssl_ocsp', HTTP_SERVER, 'ocsp', ['off', 'on', 'leaf'], notBuilt),
    srv.text('ssl_ocsp_responder', HTTP_SERVER, 'ocspResponder'),
    srv.custom('ssl_ocsp_cache', HTTP_SERVER, Args.one, ocspCache),
    srv.flag('ssl_stapling', HTTP_SERVER, 'stapling', notBuilt),
    srv.text('ssl_stapling_file', HTTP_SERVER, 'staplingFile'),
    srv.text('ssl_stapling_responder', HTTP_SERVER, 'staplingResponder'),
    srv.flag('ssl_stapling_verify', HTTP_SERVER, 'staplingVerify'),
    srv.flag('ssl_early_data', HTTP_SERVER, 'earlyData', notBuilt),
    srv.custom('ssl_conf_command', HTTP_SERVER, Args.two, (cf, raw) => {
      raw.commands = [...(raw.commands ?? []), [cf.args[1] as string, cf.args[2] as string]];
      notBuilt(cf, true);
    }),
    srv.flag('ssl_reject_handshake', HTTP_SERVER, 'rejectHandshake'),
  ],
  server: serverPart<SslRaw>({ slot: sslSlot, result: finish }),
};
