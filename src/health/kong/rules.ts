/** What follows from the health of targets for their upstream, by Kong's rules. Pure. */
import type { KongHealthchecks } from '../../config/kong/model.ts';

/** Which health checks are configured. */
export function checksOf({ active, passive }: KongHealthchecks): { active: boolean; passive: boolean; any: boolean } {
  const probes = active.healthy.intervalMs > 0 || active.unhealthy.intervalMs > 0;
  const { tcpFailures, timeouts, httpFailures } = passive.unhealthy;
  const failures = tcpFailures + timeouts + httpFailures > 0;
  const any = probes || failures;
  return { active: probes, passive: failures || (any && passive.healthy.successes > 0), any };
}

/** Weights of a group's peers. */
export interface Share {
  total: number;
  available: number;
}

/** A peer as snapshots show it. */
interface Weighed {
  weight: number;
  state: string;
}

/** Those that drain have no weight. */
export function shareOf(peers: readonly Weighed[]): Share {
  const share = { total: 0, available: 0 };
  for (const { weight, state } of peers) {
    if (state === 'draining') continue;
    share.total += weight;
    if (state !== 'unhealthy' && state !== 'down') share.available += weight;
  }
  return share;
}

/**
 * Why an upstream gets no requests at all; null: it does.
 *
 * @param threshold percent of the weight that has to be available: more than that, at 100 all of it
 * @param targets how many are configured
 */
export function unavailable({ total, available }: Share, threshold: number, targets: number): string | null {
  if (total === 0) return targets === 0 ? 'no targets' : 'no addresses';
  if (available === 0) return 'all targets unhealthy';
  const percent = (available / total) * 100;
  return percent > threshold || available === total ? null : 'below threshold';
}

/** Peers whose states can be counted anew when they have changed. */
interface Watched {
  readonly version: number;
  snapshot(): readonly Weighed[];
}

/** The weights of a group, counted again only when something has changed. */
export class ShareWatch {
  readonly #peers: Watched;
  #share: Share = { total: 0, available: 0 };
  #version = -1;

  constructor(peers: Watched) {
    this.#peers = peers;
  }

  /** As the function of this name. */
  unavailable(threshold: number, targets: number): string | null {
    const { version } = this.#peers;
    if (version !== this.#version) {
      this.#share = shareOf(this.#peers.snapshot());
      this.#version = version;
    }
    return unavailable(this.#share, threshold, targets);
  }
}
