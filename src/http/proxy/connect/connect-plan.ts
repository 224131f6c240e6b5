/** The plan of a location that opens tunnels (`tunnel_pass`). */
import type { UpstreamSettings } from '../../../config/model.ts';
import type { HttpRequest } from '../../request.ts';
import { UpstreamPlan } from '../upstream-plan.ts';
import type { CommonParts } from '../upstream-plan.ts';
import { ConnectChannel } from './connect-channel.ts';

export class ConnectPlan extends UpstreamPlan {
  override readonly tunnels = true;

  constructor(config: UpstreamSettings, parts: CommonParts) {
    super({ ...parts, settings: config, protocol: 'tunnel', hidden: [] });
  }

  /** Nothing goes out by itself. */
  compose(): void {}

  newChannel(): ConnectChannel {
    return new ConnectChannel();
  }

  /** A tunnel is never kept for another client. */
  override take(): null {
    return null;
  }

  override uriOf(_r: HttpRequest): string {
    return '';
  }
}
