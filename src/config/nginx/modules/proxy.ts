/** `proxy_pass` and what HTTP alone has of the `proxy_` family. Rewriting of answers: `proxy-rewrites.ts`. */
import type { ProxyConfig } from '../../model.ts';
import { hasVariables } from '../../value.ts';
import { ALL, Args, Context, HTTP_ALL } from '../context.ts';
import { table } from '../directive.ts';
import { locationPart } from '../module.ts';
import type { ModuleDef } from '../module.ts';
import { nodeSlot } from '../nodes.ts';
import type { LocationNode } from '../nodes.ts';
import type { Conf } from '../parser.ts';
import { useUpstream } from '../upstreams.ts';
import { checkValue } from '../variables.ts';
import { cachesSlot } from './cache-path.ts';
import { proxySlot } from './proxy-raw.ts';
import type { ProxyRaw } from './proxy-raw.ts';
import { rewriteDirectives } from './proxy-rewrites.ts';
import { NEXT_UPSTREAM, USE_STALE, passSettings, peerDirectives, relayDirectives } from './upstream-pass.ts';
import { finishUpstreamSsl, sslDirectives, usesTls } from './upstream-ssl.ts';

const pick = (cf: Conf): ProxyRaw => cf.scope.loc.get(proxySlot);
const loc = table<ProxyRaw>(pick);
const { location: LOCATION, ifInLocation: LIF, limitExcept: LMT } = Context;

/** Whether a URI part has a place to be put: nginx must know which part of the request's URI it replaces. */
function hasPlainPath(node: LocationNode): boolean {
  return node.match.kind === 'prefix' || node.match.kind === 'exact';
}

function proxyPass(cf: Conf): string | void {
  const node = cf.scope.loc.get(nodeSlot);
  if (node.handler?.kind === 'proxy') return 'is duplicate';
  const target = cf.args[1] as string;
  if (node.match.kind === 'prefix') node.match.autoRedirect = node.name.endsWith('/');

  if (hasVariables(target)) {
    checkValue(cf, target);
    const pass = {
      scheme: 'http' as const,
      upstream: null,
      variableTarget: target,
      hostHeader: '',
      port: '',
      uri: null,
    };
    node.handler = { kind: 'proxy', pass };
    return;
  }

  const match = /^(https?):\/\//i.exec(target);
  if (match === null) throw cf.error('invalid URL prefix');
  const scheme = (match[1] as string).toLowerCase() as 'http' | 'https';
  const defaultPort = scheme === 'http' ? 80 : 443;
  const { upstream, url } = useUpstream(cf, target.slice(match[0].length), defaultPort);
  if (url.uri !== '' && !hasPlainPath(node)) {
    throw cf.error(
      '"proxy_pass" cannot have URI part in location given by regular expression, or inside named location, ' +
        'or inside "if" statement, or inside "limit_except" block',
    );
  }
  const plainPort = url.noPort || url.port === defaultPort;
  node.handler = {
    kind: 'proxy',
    pass: {
      scheme,
      upstream,
      variableTarget: null,
      hostHeader: url.kind === 'unix' ? 'localhost' : plainPort ? url.host : `${url.host}:${url.portText}`,
      port: url.kind === 'unix' ? '' : plainPort ? String(defaultPort) : url.portText,
      uri: url.uri === '' ? null : url.uri,
    },
  };
}

/** HTTP servers answer with two statuses more. */
const NEXT = [...NEXT_UPSTREAM, 'http_502', 'http_504'];
const STALE = [...USE_STALE, 'http_502', 'http_504'];

export const proxyModule: ModuleDef = {
  name: 'proxy',
  directives: [
    loc.custom('proxy_pass', LOCATION | LIF | LMT, Args.one, proxyPass),
    loc.custom('proxy_set_header', HTTP_ALL, Args.two, (cf, raw) => {
      const [, name = '', value = ''] = cf.args;
      raw.setHeaders = [...(raw.setHeaders ?? []), { name, value: checkValue(cf, value) }];
    }),
    loc.value('proxy_set_body', HTTP_ALL, 'setBody'),
    loc.value('proxy_method', HTTP_ALL, 'method'),
    loc.choice('proxy_http_version', HTTP_ALL, 'httpVersion', ['1.0', '1.1', '2']),
    loc.flag('proxy_pass_trailers', HTTP_ALL, 'passTrailers'),
    ...peerDirectives('proxy_', pick, NEXT),
    ...relayDirectives('proxy_', pick, STALE),
    ...rewriteDirectives,
    ...sslDirectives('proxy_', pick, ALL),
  ],
  http: (build) => ({ caches: build.block.main.get(cachesSlot).caches }),
  location: locationPart<ProxyRaw>({
    slot: proxySlot,

    result(raw, node, build) {
      const proxy: ProxyConfig = {
        ...passSettings(raw, 'proxy_', node, build),
        httpVersion: raw.httpVersion ?? '1.1',
        method: raw.method ?? null,
        setHeaders: raw.setHeaders ?? [],
        setBody: raw.setBody ?? null,
        redirects: raw.redirects ?? [{ kind: 'default' }],
        cookieDomains: raw.cookieDomains ?? [],
        cookiePaths: raw.cookiePaths ?? [],
        cookieFlags: raw.cookieFlags ?? [],
        ssl: finishUpstreamSsl(raw, 'proxy_', usesTls(node, 'proxy'), node.place, build),
      };
      return { proxy };
    },
  }),
};
