/**
 * Names of targets, as Kong resolves them: the hosts file, then DNS; the kind of record that answered last, then SRV, A, AAAA.
 * Without a name server of its own, or when none answers, the system is asked.
 */
import { getServers } from 'node:dns';
import { lookup } from 'node:dns/promises';
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { Resolver } from '../../discovery/resolver.ts';
import type { Log, ServiceRecord } from '../../discovery/types.ts';
import { describeError } from '../../observe/errno.ts';

export interface NameRecord {
  host: string;
  family: 4 | 6;
  /** 0: the target's own. */
  port: number;
  weight: number;
  /** Name in the SRV record; the name itself otherwise. */
  target: string;
}

export interface NameAnswer {
  dns: 'A' | 'AAAA' | 'SRV';
  records: NameRecord[];
  /** For how long it is good. */
  validMs: number;
}

export interface NameServer {
  host: string;
  port: number;
}

/** The system does not say for how long its answers are good. */
const SYSTEM_VALID_MS = 5000;
/** Names are not asked for more often than this, whatever their records say. */
const SHORTEST_MS = 1000;
const LONGEST_MS = 24 * 60 * 60 * 1000;
const TIMEOUT_MS = 2000;
/** How long the hosts file is not read again. */
const HOSTS_MS = 5000;

const now = (): number => performance.now();

export class Names {
  readonly #resolver: Resolver | null;
  readonly #last = new Map<string, NameAnswer['dns']>();
  #hosts = new Map<string, string[]>();
  #hostsReadAt = -Infinity;

  /** @param servers none: only the system is asked */
  constructor(servers: readonly NameServer[], log: Log) {
    const config = { addresses: [...servers], validMs: null, ipv4: true, ipv6: true, statusZone: null };
    this.#resolver = servers.length === 0 ? null : new Resolver(config, { clock: { ms: now }, log });
  }

  /** @throws {Error} why the name has no address, for the log and the health endpoint */
  async resolve(name: string): Promise<NameAnswer> {
    const listed = this.#listed(name);
    if (listed !== null) return answerOf(name, listed, SYSTEM_VALID_MS);
    const answer = this.#resolver === null ? null : await this.#ask(this.#resolver, name);
    if (answer !== null) {
      this.#last.set(name, answer.dns);
      return answer;
    }
    try {
      const found = await lookup(name, { all: true, order: 'ipv4first' });
      return answerOf(
        name,
        found.map(({ address }) => address),
        SYSTEM_VALID_MS,
      );
    } catch (error) {
      throw new Error(`dns server error: ${reasonOf(error)}`, { cause: error });
    }
  }

  async #ask(resolver: Resolver, name: string): Promise<NameAnswer | null> {
    const serviceFirst = (this.#last.get(name) ?? 'SRV') === 'SRV';
    const kinds = serviceFirst ? [this.#service, this.#addresses] : [this.#addresses, this.#service];
    for (const kind of kinds) {
      const answer = await kind(resolver, name);
      if (answer !== null) return answer;
    }
    return null;
  }

  readonly #service = async (resolver: Resolver, name: string): Promise<NameAnswer | null> => {
    // The client knows services as a service of a host: what stands before the second dot, and the rest.
    const parts = /^([^.]+\.[^.]+)\.(.+)$/.exec(name);
    if (parts === null) return null;
    const answer = await resolver.resolveService(parts[1]!, parts[2]!, TIMEOUT_MS);
    if (!answer.ok) return null;
    const first = Math.min(...answer.records.map(({ priority }) => priority));
    const best = answer.records.filter(({ priority }) => priority === first);
    const records = best.map(({ address, family, port, weight, target }: ServiceRecord) => {
      return { host: address, family, port, weight: Math.max(1, weight), target };
    });
    return { dns: 'SRV', records, validMs: validFor(answer.validUntilMs) };
  };

  readonly #addresses = async (resolver: Resolver, name: string): Promise<NameAnswer | null> => {
    const answer = await resolver.resolve(name, TIMEOUT_MS);
    if (!answer.ok) return null;
    return answerOf(
      name,
      answer.addresses.map(({ address }) => address),
      validFor(answer.validUntilMs),
    );
  };

  /** Addresses in the hosts file, or null. */
  #listed(name: string): string[] | null {
    if (now() - this.#hostsReadAt > HOSTS_MS) {
      this.#hosts = readHosts();
      this.#hostsReadAt = now();
    }
    return this.#hosts.get(name.toLowerCase()) ?? null;
  }

  close(): void {
    this.#resolver?.close();
  }
}

/** The system's reasons as DNS has them (RFC 1035 section 4.1.1), in Kong's words. */
const REASONS: Readonly<Record<string, string>> = {
  ENOTFOUND: '3 name error',
  ENODATA: '3 name error',
  EAI_AGAIN: '2 server failure',
};

function reasonOf(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  return REASONS[code] ?? (code === '' ? describeError(error) : code);
}

/** Those of the system. */
export function systemNameServers(): NameServer[] {
  return getServers().flatMap((text) => {
    const match = /^\[?([^\]]+?)\]?(?::(\d+))?$/.exec(text);
    const host = isIP(text) === 6 ? text : (match?.[1] ?? '');
    return isIP(host) === 0 ? [] : [{ host, port: isIP(text) === 6 ? 53 : Number(match?.[2] ?? 53) }];
  });
}

const validFor = (untilMs: number): number => Math.min(Math.max(untilMs - now(), SHORTEST_MS), LONGEST_MS);

/** IPv4 where there is any: the order of records in Kong is A, then AAAA. */
function answerOf(name: string, addresses: readonly string[], validMs: number): NameAnswer {
  const four = addresses.filter((address) => isIP(address) === 4);
  const family = four.length > 0 ? 4 : 6;
  const chosen = [...new Set(family === 4 ? four : addresses)].toSorted();
  const records = chosen.map((host) => ({ host, family, port: 0, weight: 1, target: name }) as const);
  return { dns: family === 4 ? 'A' : 'AAAA', records, validMs };
}

function readHosts(): Map<string, string[]> {
  const hosts = new Map<string, string[]>();
  let text = '';
  try {
    text = readFileSync('/etc/hosts', 'utf8');
  } catch {
    // There need not be one.
  }
  for (const line of text.split('\n')) {
    const [address = '', ...names] = line.replace(/#.*/, '').trim().split(/\s+/);
    if (isIP(address) === 0) continue;
    for (const name of names) {
      const key = name.toLowerCase();
      hosts.set(key, [...(hosts.get(key) ?? []), address]);
    }
  }
  return hosts;
}
