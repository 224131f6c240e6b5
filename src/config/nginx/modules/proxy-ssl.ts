/** TLS to upstream servers: `proxy_ssl_*`. */
import { ConfigError, at } from '../../errors.ts';
import type { Place, ProxySslConfig } from '../../model.ts';
import { hasVariables } from '../../value.ts';
import { ALL, Args } from '../context.ts';
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
  readPlain,
} from '../tls.ts';
import { proxySlot } from './proxy-raw.ts';
import type { ProxyRaw } from './proxy-raw.ts';

const loc = table<ProxyRaw>((cf) => cf.scope.loc.get(proxySlot));

function keepCertificates(cf: Conf, raw: ProxyRaw): string | void {
  if (raw.sslCertificateCache !== undefined) return 'is duplicate';
  raw.sslCertificateCache = certificateCache(cf) ?? 'off';
}

export const proxySslDirectives: readonly Directive[] = [
  loc.flag('proxy_ssl_session_reuse', ALL, 'sslSessionReuse'),
  loc.words('proxy_ssl_protocols', ALL, Args.oneOrMore, 'sslProtocols', TLS_PROTOCOLS),
  loc.text('proxy_ssl_ciphers', ALL, 'sslCiphers'),
  loc.value('proxy_ssl_name', ALL, 'sslName'),
  loc.flag('proxy_ssl_server_name', ALL, 'sslServerName'),
  loc.flag('proxy_ssl_verify', ALL, 'sslVerify'),
  loc.number('proxy_ssl_verify_depth', ALL, 'sslVerifyDepth'),
  loc.text('proxy_ssl_trusted_certificate', ALL, 'sslTrustedCertificate'),
  loc.text('proxy_ssl_crl', ALL, 'sslCrl'),
  loc.value('proxy_ssl_certificate', ALL, 'sslCertificate'),
  loc.value('proxy_ssl_certificate_key', ALL, 'sslCertificateKey'),
  loc.custom('proxy_ssl_certificate_cache', ALL, Args.oneToThree, keepCertificates),
  loc.custom('proxy_ssl_password_file', ALL, Args.one, (cf, raw): string | void => {
    if (raw.sslPasswords !== undefined) return 'is duplicate';
    raw.sslPasswords = readPasswords(cf, cf.args[1] as string);
  }),
  loc.custom('proxy_ssl_conf_command', ALL, Args.two, (cf, raw) => {
    raw.sslCommands = [...(raw.sslCommands ?? []), [cf.args[1] as string, cf.args[2] as string]];
  }),
];

/** Files are read only where they are used: where a request may go out by TLS. */
export function finishProxySsl(raw: ProxyRaw, node: LocationNode, build: Build): ProxySslConfig {
  const handler = effectiveHandler(node);
  const pass = handler?.kind === 'proxy' ? handler.pass : null;
  const used = pass !== null && (pass.scheme === 'https' || pass.variableTarget !== null);
  return proxySslConfig(raw, node.place, used, build);
}

/** @param used false: no file is read */
export function proxySslConfig(raw: ProxyRaw, place: Place, used: boolean, { cycle }: Build): ProxySslConfig {
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
      throw fail(`no "proxy_ssl_certificate_key" is defined for certificate "${certificate}"`);
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
    if (!raw.sslTrustedCertificate) throw fail('no proxy_ssl_trusted_certificate for proxy_ssl_verify');
    config.trustedCertificate = readPlain(cycle, raw.sslTrustedCertificate, loadCertificates, place);
    config.crl = readPlain(cycle, raw.sslCrl, loadCrl, place);
  }
  return config;
}
