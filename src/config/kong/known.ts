/**
 * What a runtime of a worker knows of Kong's entities, with the groups and plans that it has made of them. A change of an upstream
 * drops its group and the plans that lead to it; the next request or session makes them anew. Pure.
 */
import { hostKey, type KongChange, type KongGroup, upstreamKey } from './groups.ts';
import type { ProxySslConfig } from '../model.ts';
import type { KongCaCertificate, KongCertificate, KongService } from './model.ts';

/** How a service is reached. */
export interface Planned<Group> {
  readonly service: KongService;
  readonly upstream: Group;
}

const byId = <T extends { id: string }>(list: readonly T[]): Map<string, T> =>
  new Map(list.map((one) => [one.id, one]));

/** By id. */
export interface KnownCertificates {
  readonly certificates: ReadonlyMap<string, KongCertificate>;
  readonly caCertificates: ReadonlyMap<string, KongCaCertificate>;
}

/** TLS towards a service. @param ssl what services do not say. @param upstream null: a plain host */
export function serviceSsl(
  ssl: ProxySslConfig,
  service: KongService,
  upstream: KongGroup['upstream'],
  { certificates, caCertificates }: KnownCertificates,
): ProxySslConfig {
  const certificate = service.clientCertificate ?? upstream?.clientCertificate ?? null;
  const own = certificate === null ? undefined : certificates.get(certificate);
  const trusted = service.caCertificates.flatMap((id) => caCertificates.get(id)?.cert ?? []);
  return {
    ...ssl,
    name: '$kong_host',
    serverName: true,
    verify: service.tlsVerify ?? false,
    verifyDepth: service.tlsVerifyDepth ?? ssl.verifyDepth,
    trustedCertificate: trusted.length === 0 ? null : trusted.join('\n'),
    certificatePem: own?.cert ?? null,
    certificateKeyPem: own?.key ?? null,
  };
}

export class KnownEntities<Group, Plan extends Planned<Group>> implements KnownCertificates {
  services: ReadonlyMap<string, KongService> = new Map();
  certificates: ReadonlyMap<string, KongCertificate> = new Map();
  caCertificates: ReadonlyMap<string, KongCaCertificate> = new Map();
  /** By the user's own keys: a service, and what else its plans differ by. */
  readonly plans = new Map<string, Plan>();
  readonly #data = new Map<string, KongGroup>();
  readonly #groups = new Map<string, Group>();
  readonly #make: (data: KongGroup) => Group;
  readonly #dropped: (group: Group) => void;

  /**
   * @param make a group, when it is first asked for
   * @param dropped is told of groups that nobody will ask for any more; what is under way goes on with them
   */
  constructor(make: (data: KongGroup) => Group, dropped: (group: Group) => void) {
    this.#make = make;
    this.#dropped = dropped;
  }

  take({ services, certificates, caCertificates, groups }: Omit<KongChange, 'serial'>): void {
    if (services !== undefined) this.services = byId(services);
    if (certificates !== undefined) this.certificates = byId(certificates);
    if (caCertificates !== undefined) this.caCertificates = byId(caCertificates);
    if (services ?? certificates ?? caCertificates) this.plans.clear();
    for (const key of groups?.removed ?? []) {
      this.#data.delete(key);
      this.#drop(key);
    }
    for (const data of groups?.set ?? []) {
      this.#data.set(data.key, data);
      this.#drop(data.key);
    }
  }

  #drop(key: string): void {
    const known = this.#groups.get(key);
    // An upstream may take the place of a plain host, or leave it.
    for (const [id, { service, upstream }] of this.plans) {
      if (upstreamKey(service.host) === key || upstream === known) this.plans.delete(id);
    }
    if (known === undefined) return;
    this.#groups.delete(key);
    this.#dropped(known);
  }

  /** Where a service leads; null: that is not known (yet). */
  groupFor({ host, port }: KongService): Group | null {
    return this.#group(upstreamKey(host)) ?? this.#group(hostKey(host, port));
  }

  #group(key: string): Group | null {
    const known = this.#groups.get(key);
    if (known !== undefined) return known;
    const data = this.#data.get(key);
    if (data === undefined) return null;
    const group = this.#make(data);
    this.#groups.set(key, group);
    return group;
  }

  /** The generation has ended. */
  close(): void {
    for (const group of this.#groups.values()) this.#dropped(group);
  }
}
