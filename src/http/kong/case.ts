/** What the Kong door keeps of a request. */
import type { KongRoute, KongService } from '../../config/kong/model.ts';

export interface KongCase {
  route: KongRoute;
  service: KongService;
  /** Host field for the servers of an upstream; null: the server's own name. */
  hostHeader: string | null;
  /** Path and query at the service; null: as the client sent them. */
  uri: string | null;
  /** What the route's path has taken. */
  prefix: string;
  captures: Readonly<Record<string, string | undefined>> | null;
  /** The client is a proxy whose word counts: `X-Forwarded-…` of its own go on. */
  trusted: boolean;
  /** Goes to the server and to the client, and stands in errors. */
  id: string;
  /** Text of the error that is answered; empty: the status' own. */
  message: string;
}
