/** A `server` line that says nothing but an address. */
import type { ServerParameters, UpstreamServerConfig } from './model-upstream.ts';

export const DEFAULT_PARAMETERS: Readonly<ServerParameters> = {
  weight: 1,
  maxConns: 0,
  maxFails: 1,
  failTimeoutSec: 10,
  slowStartMs: 0,
  down: false,
  drain: false,
};

type Unsaid = ServerParameters & Pick<UpstreamServerConfig, 'backup' | 'route' | 'resolve' | 'service'>;

export const DEFAULT_SERVER: Readonly<Unsaid> = {
  ...DEFAULT_PARAMETERS,
  backup: false,
  route: null,
  resolve: false,
  service: null,
};
