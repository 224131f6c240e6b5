/**
 * Checks of locations with `fastcgi_pass`, `scgi_pass`, `uwsgi_pass` and `memcached_pass`: in the location's own protocol, with
 * its parameters. What comes back is an answer like any other.
 */
import type { CheckedLocation } from '../../config/health-checks.ts';
import type { HealthCheckConfig, UpstreamSettings } from '../../config/model.ts';
import type { Matcher } from '../../health/match.ts';
import type { ProbeKind } from '../../health/probe.ts';
import { FastcgiPlan } from '../proxy/cgi/fastcgi-plan.ts';
import { ScgiPlan } from '../proxy/cgi/scgi-plan.ts';
import { UwsgiPlan } from '../proxy/cgi/uwsgi-plan.ts';
import { MemcachedPlan } from '../proxy/memcached/memcached-plan.ts';
import type { UpstreamPlan } from '../proxy/upstream-plan.ts';
import { HttpProbeKind } from './http-probe.ts';
import { CheckMaker, type MakerEnv } from './maker.ts';

export class CgiChecks extends CheckMaker {
  protected readonly settings: UpstreamSettings;
  protected readonly identity: unknown;
  readonly #plan: UpstreamPlan;

  constructor(env: MakerEnv, checked: CheckedLocation) {
    super(env, checked);
    this.#plan = this.#makePlan();
    this.settings = this.#plan.config;
    const { location } = this;
    this.identity = [location.handler.kind, location.rewrite, 'params' in this.settings ? this.settings.params : null];
  }

  #makePlan(): UpstreamPlan {
    const { location } = this;
    switch (location.handler.kind) {
      case 'fastcgi':
        return new FastcgiPlan(location.fastcgi!, this.parts(null));
      case 'scgi':
        return new ScgiPlan(location.scgi!, this.parts(null));
      case 'uwsgi':
        return new UwsgiPlan(location.uwsgi!, this.parts(location.uwsgi!.ssl));
      case 'memcached':
        return new MemcachedPlan(location.memcached!, this.parts(null));
      default:
        throw new TypeError(`no checks in locations of kind ${location.handler.kind}`);
    }
  }

  protected kind(check: HealthCheckConfig, matcher: Matcher): ProbeKind {
    const request = this.request(check.uri);
    const settings = this.common(check, matcher, request);
    return new HttpProbeKind({ ...settings, request, plan: this.#plan });
  }
}
