/** What the Kong door keeps of a session. */
import type { KongRoute, KongService } from '../../config/kong/model.ts';

export interface KongCase {
  route: KongRoute;
  service: KongService;
  /** `host_header` of the upstream; null: the target's own name. */
  hostHeader: string | null;
}
