/** TLS towards servers: names and certificates that may be made of variables. */
import { checkServerIdentity } from 'node:tls';
import type { ConnectionOptions } from 'node:tls';
import type { ProxySslConfig } from '../../config/model.ts';
import { ClientTls, digest, isLiteral } from '../../net/tls-client.ts';
import type { HttpRequest } from '../request.ts';
import type { Value } from '../variables/value.ts';
import type { VariableTable } from '../variables/table.ts';

export class UpstreamTls extends ClientTls {
  /** What must be equal for a connection to be used again: same trust, same credentials, same protocol. */
  readonly key: string;
  readonly name: Value | null;
  /** With variables in their names certificates are read when they are first asked for. */
  readonly #certificate: Value | null;
  readonly #certificateKey: Value | null;

  /** @param directory of the configuration file: what names of files are relative to */
  constructor(config: ProxySslConfig, variables: VariableTable, directory: string) {
    super(config, directory);
    this.name = config.name === null ? null : variables.compile(config.name);
    const named = config.certificatePem === null && config.certificate !== null;
    this.#certificate = named ? variables.compile(config.certificate!) : null;
    this.#certificateKey = named ? variables.compileOptional(config.certificateKey) : null;
    this.key = [
      'tls',
      config.verify
        ? `verify:${digest(config.trustedCertificate ?? '')}:${digest(config.crl ?? '')}:${config.verifyDepth}`
        : 'any',
      config.serverName ? 'sni' : '',
      digest(config.certificatePem ?? ''),
      config.protocols.join(','),
      config.ciphers,
      digest(JSON.stringify(config.commands)),
    ].join(' ');
  }

  /** The name asked for and checked (proxy_ssl_name), without port. */
  nameOf(r: HttpRequest, proxyHost: string): string {
    const name = this.name === null ? proxyHost : this.name.get(r);
    return name.startsWith('[') ? name.slice(1, name.indexOf(']')) : name.replace(/:\d+$/, '');
  }

  /** What a request's own certificate is called; empty: it has none of its own. */
  credentialsOf(r: HttpRequest): string {
    if (this.#certificate === null) return '';
    const certificate = this.#certificate.get(r);
    return certificate === '' ? '' : `${certificate}\n${this.#certificateKey?.get(r) ?? ''}`;
  }

  /** What a client of Node's own that speaks TLS (HTTP/2) needs to connect as requests do; throws when it cannot. */
  connectOptions(r: HttpRequest, proxyHost: string): ConnectionOptions {
    const name = this.nameOf(r, proxyHost);
    const context = this.contextOf(this.credentialsOf(r));
    if (typeof context === 'string') throw new Error(context);
    return {
      secureContext: context,
      rejectUnauthorized: this.config.verify,
      checkServerIdentity: (_host, certificate) => checkServerIdentity(name, certificate),
      ...(this.config.serverName && !isLiteral(name) ? { servername: name } : { servername: '' }),
    };
  }
}
