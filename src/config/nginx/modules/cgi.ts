/**
 * `fastcgi_pass`, `scgi_pass` and `uwsgi_pass` and what goes with them (ngx_http_fastcgi_module, ngx_http_scgi_module,
 * ngx_http_uwsgi_module): three protocols, one family.
 */
import type { FastcgiConfig, ParamConfig, RegexText, ScgiConfig, UwsgiConfig } from '../../model.ts';
import { compilePattern } from '../../pcre.ts';
import { Args, Context, HTTP_ALL } from '../context.ts';
import { bounds, table } from '../directive.ts';
import type { Directive } from '../directive.ts';
import { locationPart } from '../module.ts';
import type { ModuleDef } from '../module.ts';
import { effectiveHandler } from '../nodes.ts';
import type { Conf } from '../parser.ts';
import { slot } from '../scope.ts';
import { checkValue } from '../variables.ts';
import { NEXT_UPSTREAM, passSetter, passSettings, peerDirectives, relayDirectives } from './upstream-pass.ts';
import type { PassRaw } from './upstream-pass.ts';
import { finishUpstreamSsl, sslDirectives, usesTls } from './upstream-ssl.ts';
import type { SslRaw } from './upstream-ssl.ts';

interface CgiRaw extends PassRaw {
  params?: ParamConfig[];
}

interface FastcgiRaw extends CgiRaw {
  index?: string;
  splitPathInfo?: RegexText;
  catchStderr?: string[];
  keepConn?: boolean;
}

interface UwsgiRaw extends CgiRaw, SslRaw {
  modifier1?: number;
  modifier2?: number;
  string?: string;
}

const fastcgiSlot = slot<FastcgiRaw>('fastcgi', () => ({}));
const scgiSlot = slot<CgiRaw>('scgi', () => ({}));
const uwsgiSlot = slot<UwsgiRaw>('uwsgi', () => ({}));
const pickFastcgi = (cf: Conf): FastcgiRaw => cf.scope.loc.get(fastcgiSlot);
const pickScgi = (cf: Conf): CgiRaw => cf.scope.loc.get(scgiSlot);
const pickUwsgi = (cf: Conf): UwsgiRaw => cf.scope.loc.get(uwsgiSlot);

/** What the three have in common. @param prefix `fastcgi_` */
function cgiDirectives(prefix: string, pick: (cf: Conf) => CgiRaw): Directive[] {
  return [
    table<CgiRaw>(pick).custom(`${prefix}param`, HTTP_ALL, Args.twoOrThree, (cf, raw) => {
      const [, name = '', value = '', option] = cf.args;
      if (option !== undefined && option !== 'if_not_empty') throw cf.error(`invalid parameter "${option}"`);
      const param = { name, value: checkValue(cf, value), skipEmpty: option !== undefined };
      raw.params = [...(raw.params ?? []), param];
    }),
    ...peerDirectives(prefix, pick, NEXT_UPSTREAM),
    ...relayDirectives(prefix, pick),
  ];
}

const PASS = Context.location | Context.ifInLocation;
const fastcgi = table<FastcgiRaw>(pickFastcgi);
const scgi = table<CgiRaw>(pickScgi);
const uwsgi = table<UwsgiRaw>(pickUwsgi);

function splitPathInfo(cf: Conf, raw: FastcgiRaw): void {
  const regex = { pattern: cf.args[1] as string, caseless: false };
  const result = compilePattern(regex);
  if (!result.ok) throw cf.error(result.error);
  if (result.captures !== 2) throw cf.error(`pattern "${regex.pattern}" must have 2 captures`);
  raw.splitPathInfo = regex;
}

export const fastcgiModule: ModuleDef = {
  name: 'fastcgi',
  directives: [
    fastcgi.custom('fastcgi_pass', PASS, Args.one, passSetter('fastcgi', ['fastcgi'])),
    fastcgi.text('fastcgi_index', HTTP_ALL, 'index'),
    fastcgi.custom('fastcgi_split_path_info', HTTP_ALL, Args.one, splitPathInfo),
    fastcgi.list('fastcgi_catch_stderr', HTTP_ALL, 'catchStderr'),
    fastcgi.flag('fastcgi_keep_conn', HTTP_ALL, 'keepConn'),
    ...cgiDirectives('fastcgi_', pickFastcgi),
  ],
  location: locationPart<FastcgiRaw>({
    slot: fastcgiSlot,
    result(raw, node, build) {
      const passes = effectiveHandler(node)?.kind === 'fastcgi';
      // $fastcgi_script_name and $fastcgi_path_info may be asked for anywhere.
      if (!passes && raw.index === undefined && raw.splitPathInfo === undefined) return {};
      const config: FastcgiConfig = {
        ...passSettings(raw, 'fastcgi_', node, build),
        params: raw.params ?? [],
        index: raw.index ?? '',
        splitPathInfo: raw.splitPathInfo ?? null,
        catchStderr: raw.catchStderr ?? [],
        keepConn: raw.keepConn ?? false,
      };
      return { fastcgi: config };
    },
  }),
};

export const scgiModule: ModuleDef = {
  name: 'scgi',
  directives: [
    scgi.custom('scgi_pass', PASS, Args.one, passSetter('scgi', ['scgi'])),
    ...cgiDirectives('scgi_', pickScgi),
  ],
  location: locationPart<CgiRaw>({
    slot: scgiSlot,
    result(raw, node, build) {
      if (effectiveHandler(node)?.kind !== 'scgi') return {};
      const config: ScgiConfig = { ...passSettings(raw, 'scgi_', node, build), params: raw.params ?? [] };
      return { scgi: config };
    },
  }),
};

export const uwsgiModule: ModuleDef = {
  name: 'uwsgi',
  directives: [
    uwsgi.custom('uwsgi_pass', PASS, Args.one, passSetter('uwsgi', ['uwsgi', 'suwsgi'])),
    uwsgi.number('uwsgi_modifier1', HTTP_ALL, 'modifier1', bounds(0, 255)),
    uwsgi.number('uwsgi_modifier2', HTTP_ALL, 'modifier2', bounds(0, 255)),
    uwsgi.text('uwsgi_string', HTTP_ALL, 'string'),
    ...cgiDirectives('uwsgi_', pickUwsgi),
    ...sslDirectives('uwsgi_', pickUwsgi),
  ],
  location: locationPart<UwsgiRaw>({
    slot: uwsgiSlot,
    result(raw, node, build) {
      if (effectiveHandler(node)?.kind !== 'uwsgi') return {};
      const config: UwsgiConfig = {
        ...passSettings(raw, 'uwsgi_', node, build),
        params: raw.params ?? [],
        modifier1: raw.modifier1 ?? 0,
        modifier2: raw.modifier2 ?? 0,
        string: raw.string ?? '',
        ssl: finishUpstreamSsl(raw, 'uwsgi_', usesTls(node, 'uwsgi'), node.place, build),
      };
      return { uwsgi: config };
    },
  }),
};
