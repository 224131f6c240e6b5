/** TLS to upstream servers: `proxy_ssl_…` and the like of other families. */
import { ConfigError, at } from '../../errors.ts';
import type { CertificateCacheConfig, PassKind, Place, ProxySslConfig } from '../../model.ts';
import { hasVariables } from '../../value.ts';
import { Args, HTTP_ALL } from '../context.ts';
import { table } from '../directive.ts';
import type { Directive } from '../directive.ts';
import type { Build } from '../module.ts';
import { effectiveHandler } from '../nodes.ts';
import type { LocationNode } from '../nodes.ts';
import type { Conf } from '../parser.ts';
import { sslCommands } from '../ssl-commands.ts';
import {
  DEFAULT_TLS_PROTOCOLS,
  TLS_PROTOCOLS,
  certificateCache,
  checkPair,
  loadCertificates,
  loadCrl,
  readCertificate,
  readKey,
  readPasswords,
  readShared,
} from '../tls.ts';

/** What these directives of one block said. */
export interface SslRaw {
  sslVerify?: boolean;
  sslVerifyDepth?: number;
  sslTrustedCertificate?: string;
  sslCrl?: string;
  sslName?: string;
  sslServerName?: boolean;
  sslCertificate?: string;
  sslCertificateKey?: string;
  sslCertificateCache?: CertificateCacheConfig | 'off';
  sslPasswords?: string[];
  sslProtocols?: string[];
  sslCiphers?: string;
  sslSessionReuse?: boolean;
  sslCommands?: [name: string, value: string][];
}

function keepCertificates(cf: Conf, raw: SslRaw): string | void {
  if (raw.sslCertificateCache !== undefined) return 'is duplicate';
  raw.sslCertificateCache = certificateCache(cf) ?? 'off';
}

/** @param prefix `proxy_`; `contexts`: `proxy_ssl_…` may stand in stream, too */
export function sslDirectives(prefix: string, pick: (cf: Conf) => SslRaw, contexts = HTTP_ALL): Directive[] {
  const loc = table<SslRaw>(pick);
  return [
    loc.flag(`${prefix}ssl_session_reuse`, contexts, 'sslSessionReuse'),
    loc.words(`${prefix}ssl_protocols`, contexts, Args.oneOrMore, 'sslProtocols', TLS_PROTOCOLS),
    loc.text(`${prefix}ssl_ciphers`, contexts, 'sslCiphers'),
    loc.value(`${prefix}ssl_name`, contexts, 'sslName'),
    loc.flag(`${prefix}ssl_server_name`, contexts, 'sslServerName'),
    loc.flag(`${prefix}ssl_verify`, contexts, 'sslVerify'),
    loc.number(`${prefix}ssl_verify_depth`, contexts, 'sslVerifyDepth'),
    loc.text(`${prefix}ssl_trusted_certificate`, contexts, 'sslTrustedCertificate'),
    loc.text(`${prefix}ssl_crl`, contexts, 'sslCrl'),
    loc.value(`${prefix}ssl_certificate`, contexts, 'sslCertificate'),
    loc.value(`${prefix}ssl_certificate_key`, contexts, 'sslCertificateKey'),
    loc.custom(`${prefix}ssl_certificate_cache`, contexts, Args.oneToThree, keepCertificates),
    loc.custom(`${prefix}ssl_password_file`, contexts, Args.one, (cf, raw): string | void => {
      if (raw.sslPasswords !== undefined) return 'is duplicate';
      raw.sslPasswords = readPasswords(cf, cf.args[1] as string);
    }),
    loc.custom(`${prefix}ssl_conf_command`, contexts, Args.two, (cf, raw) => {
      raw.sslCommands = [...(raw.sslCommands ?? []), [cf.args[1] as string, cf.args[2] as string]];
    }),
  ];
}

/** Whether requests of a location may go out by TLS. @param kind of the family */
export function usesTls(node: LocationNode, kind: PassKind): boolean {
  const handler = effectiveHandler(node);
  if (handler?.kind !== kind) return false;
  const { scheme, variableTarget } = handler.pass;
  return scheme === 'https' || scheme === 'grpcs' || scheme === 'suwsgi' || variableTarget !== null;
}

/** Files are read only where they are used: where a request may go out by TLS. */
export function finishUpstreamSsl(
  raw: SslRaw,
  prefix: string,
  used: boolean,
  place: Place,
  { cycle }: Build,
): ProxySslConfig {
  const { sslCertificate: certificate = '', sslCertificateKey: key = '', sslPasswords: passwords = [] } = raw;

  const config: ProxySslConfig = {
    verify: raw.sslVerify ?? false,
    verifyDepth: raw.sslVerifyDepth ?? 1,
    trustedCertificate: null,
    crl: null,
    name: raw.sslName ?? null,
    serverName: raw.sslServerName ?? false,
    certificate: certificate === '' ? null : certificate,
    certificateKey: key === '' ? null : key,
    certificatePem: null,
    certificateKeyPem: null,
    passphrases: passwords,
    protocols: raw.sslProtocols ?? DEFAULT_TLS_PROTOCOLS,
    ciphers: raw.sslCiphers ?? 'DEFAULT',
    sessionReuse: raw.sslSessionReuse ?? true,
    certificateCache: raw.sslCertificateCache === 'off' ? null : (raw.sslCertificateCache ?? null),
    commands: {},
  };
  if (!used) return config;

  config.commands = sslCommands(raw.sslCommands ?? [], { cycle, place, passwords });
  const fail = (text: string) => new ConfigError(text, place, at(place));
  if (certificate !== '') {
    if (raw.sslCertificateKey === undefined) {
      throw fail(`no "${prefix}ssl_certificate_key" is defined for certificate "${certificate}"`);
    }
    if (!hasVariables(certificate) && !hasVariables(key)) {
      const certificatePem = readCertificate(cycle, certificate, place);
      const keyPem = readKey(cycle, key, passwords, place);
      checkPair(certificatePem, keyPem, passwords, place);
      config.certificatePem = certificatePem.text;
      config.certificateKeyPem = keyPem.text;
    }
  }
  if (config.verify) {
    if (!raw.sslTrustedCertificate) throw fail(`no ${prefix}ssl_trusted_certificate for ${prefix}ssl_verify`);
    config.trustedCertificate = readShared(cycle, raw.sslTrustedCertificate, loadCertificates, place);
    config.crl = readShared(cycle, raw.sslCrl, loadCrl, place);
  }
  return config;
}
