/** What `proxy_pass` and `proxy_*` of a server come to: decided when the configuration is loaded. */
import type { ProxySslConfig } from '../../config/model.ts';
import type { StreamProxyConfig } from '../../config/stream-model.ts';
import type { TargetBook } from '../../upstream/target-book.ts';
import type { Value } from '../../variables/value.ts';
import { writeHello } from '../../net/anyproxy/packet.ts';
import type { Via } from '../../net/via.ts';
import { ClientTls } from '../../net/tls-client.ts';
import { parseAddress } from '../../net/networks.ts';
import { helloOf } from '../opening.ts';
import type { Session } from '../session.ts';
import type { StreamVariables } from '../variables/table.ts';
import type { StreamGroup } from './group.ts';

/** TLS towards servers, with names and certificates that may be made of variables. */
export class StreamTls extends ClientTls {
  readonly #name: Value<Session> | null;
  readonly #certificate: Value<Session> | null;
  readonly #certificateKey: Value<Session> | null;
  readonly #alpn: Value<Session>[];

  constructor(config: ProxySslConfig, alpn: readonly string[], variables: StreamVariables, directory: string) {
    super(config, directory);
    this.#name = config.name === null ? null : variables.compile(config.name);
    const named = config.certificatePem === null && config.certificate !== null;
    this.#certificate = named ? variables.compile(config.certificate!) : null;
    this.#certificateKey = named ? variables.compileOptional(config.certificateKey) : null;
    this.#alpn = alpn.map((text) => variables.compile(text));
  }

  /** The name asked for and checked, without port. @param host what proxy_pass names */
  nameOf(s: Session, host: string): string {
    const name = this.#name === null ? host : this.#name.get(s);
    return name.startsWith('[') ? name.slice(1, name.indexOf(']')) : name.replace(/:.*$/s, '');
  }

  /** What a session's own certificate is called; empty: it has none of its own. */
  credentialsOf(s: Session): string {
    const certificate = this.#certificate?.get(s) ?? '';
    return certificate === '' ? '' : `${certificate}\n${this.#certificateKey?.get(s) ?? ''}`;
  }

  alpnOf(s: Session): string[] {
    return this.#alpn.map((value) => value.get(s)).filter((name) => name !== '' && name.length <= 255);
  }
}

export class ProxyPlan {
  readonly config: StreamProxyConfig;
  /** Null: `target` says per session. */
  readonly group: StreamGroup | null;
  readonly target: Value<Session> | null;
  readonly book: TargetBook<StreamGroup>;
  readonly tls: StreamTls | null;
  /** Rates are not limited, whatever the session. */
  readonly unpaced: boolean;
  readonly #uploadRate: Value<Session>;
  readonly #downloadRate: Value<Session>;
  /** Null: the name that the client asked for. */
  readonly #helloDomain: Value<Session> | null;
  readonly #bind: Value<Session> | null;

  constructor(
    config: StreamProxyConfig,
    group: StreamGroup | null,
    target: Value<Session> | null,
    book: TargetBook<StreamGroup>,
    variables: StreamVariables,
    directory: string,
  ) {
    this.config = config;
    this.group = group;
    this.target = target;
    this.book = book;
    this.tls = config.ssl === null ? null : new StreamTls(config.ssl, config.alpn, variables, directory);
    this.#uploadRate = variables.compile(config.uploadRate);
    this.#downloadRate = variables.compile(config.downloadRate);
    this.unpaced = this.#uploadRate.constant === '0' && this.#downloadRate.constant === '0';
    this.#helloDomain = variables.compileOptional(config.hello.domain);
    this.#bind = config.bind === null ? null : variables.compile(config.bind.address);
  }

  /** Bytes a second; 0: no limit. */
  uploadRate(s: Session): number {
    return rate(this.#uploadRate.get(s));
  }

  downloadRate(s: Session): number {
    return rate(this.#downloadRate.get(s));
  }

  /** What is sent to a server first; null: nothing. @throws {RangeError} when it cannot be written */
  helloFor(s: Session, via: Via | null): Buffer | null {
    const { hello } = this.config;
    if (!(via?.config.hello ?? hello.on)) return null;
    return writeHello(helloOf(s, this.#helloDomain === null ? '' : this.#helloDomain.get(s)), hello.magic);
  }

  /** The address to connect from; null: any. */
  localAddress(s: Session): { text: string; port: number } | null {
    const text = this.#bind === null ? '' : this.#bind.get(s);
    if (text === '' || text === 'off') return null;
    const address = parseAddress(text);
    if (address === null) s.log('error', `invalid local address "${text}"`);
    return address;
  }
}

/** What nginx makes of a size in a variable: a malformed one is no limit. */
function rate(text: string): number {
  const match = /^(\d+)([kKmM]?)$/.exec(text);
  if (match === null) return 0;
  const unit = match[2]!.toLowerCase();
  return Number(match[1]) * (unit === 'k' ? 1024 : unit === 'm' ? 1024 * 1024 : 1);
}
