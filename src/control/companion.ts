/**
 * What lives in the main thread beside the workers and comes and goes with the configuration: the Admin API. It is given to
 * the main thread by the command line, as it stands on a floor above.
 */
import type { KongDataPlane } from '../config/kong/model.ts';
import type { AdminConfig } from '../config/kong/settings.ts';
import type { Config } from '../config/model.ts';
import type { TrafficTotals } from '../observe/traffic.ts';

/** What of the node it may look at. */
export interface NodeView {
  traffic(): TrafficTotals;
  /** The process was told to end: nothing more is waited for. */
  readonly ending: AbortSignal;
  /** Who balances by Kong's entities: made when it is first asked for. */
  kong(settings: AdminConfig): Promise<KongDataPlane>;
}

export interface Companion {
  /**
   * Gets ready for a configuration, so that nothing can fail any more; what runs goes on as it is.
   *
   * @returns why it cannot; null: it can
   */
  prepare(config: Config): Promise<string | null>;
  /** The configuration that was prepared last runs from now on. */
  commit(): Promise<void>;
  /** It does not: what was made ready is let go. */
  abandon(): Promise<void>;
  close(): Promise<void>;
  /** The process ends at once: what would be lost is written. */
  leave(): void;
}
