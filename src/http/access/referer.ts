/** `valid_referers`: whether the page that led here is one of ours (`$invalid_referer`). */
import type { ServerConfig } from '../../config/model.ts';
import type { RefererConfig } from '../../config/model-access.ts';
import { HostMatcher } from '../../variables/host-match.ts';
import { CaptureRegex } from '../../variables/regex.ts';
import type { CaptureSlots } from '../../variables/regex.ts';

const SCHEME = /^https?:\/\//i;
/** Shorter than `http://i.ru`: no scheme is looked for. */
const SHORTEST = 11;
const LONGEST_HOST = 256;

export class RefererMatcher {
  readonly #none: boolean;
  readonly #blocked: boolean;
  /** Hosts, with how the path must begin; '': any. */
  readonly #hosts = new HostMatcher<string>();
  readonly #serverNames: CaptureRegex[] = [];
  readonly #regexes: CaptureRegex[];

  constructor(config: RefererConfig, server: ServerConfig, slots: CaptureSlots) {
    this.#none = config.none;
    this.#blocked = config.blocked;
    for (const { kind, name, uri } of config.names) this.#add(kind, name, uri);
    for (const name of config.serverNames ? server.names : []) {
      if (name.kind === 'regex') this.#serverNames.push(new CaptureRegex(name.regex, slots));
      else this.#add(name.kind, name.name, '');
    }
    this.#regexes = config.regexes.map((regex) => new CaptureRegex(regex, slots));
  }

  #add(kind: 'exact' | 'suffix' | 'prefix', name: string, uri: string): void {
    if (kind === 'exact') this.#hosts.addExact(name, uri);
    else if (kind === 'suffix') this.#hosts.addSuffix(name, uri);
    else this.#hosts.addPrefix(name, uri);
  }

  /** @param referer the field's value; null: not sent */
  valid(referer: string | null): boolean {
    if (referer === null) return this.#none;
    const scheme = referer.length < SHORTEST ? null : SCHEME.exec(referer);
    if (scheme === null) return this.#blocked;
    const rest = referer.slice(scheme[0].length);
    const hostLength = /^[^/:]*/.exec(rest)![0].length;
    if (hostLength > LONGEST_HOST) return false;
    const host = rest.slice(0, hostLength).toLowerCase();
    const uri = this.#hosts.find(host);
    if (uri !== undefined) {
      const slash = rest.indexOf('/', hostLength);
      return uri === '' || (slash >= 0 && rest.startsWith(uri, slash));
    }
    return this.#serverNames.some((regex) => regex.test(host)) || this.#regexes.some((regex) => regex.test(rest));
  }
}
