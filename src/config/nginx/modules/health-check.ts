/** `health_check` of a location and the `match` blocks that it names (spec 1.6). */
import type { HealthCheckConfig, MatchConfig } from '../../model.ts';
import { Args, Context } from '../context.ts';
import { directive } from '../directive.ts';
import type { Build, ModuleDef } from '../module.ts';
import { locationPart } from '../module.ts';
import { effectiveHandler } from '../nodes.ts';
import type { LocationNode } from '../nodes.ts';
import type { Conf } from '../parser.ts';
import { slot } from '../scope.ts';
import { checkRegex, useVariable } from '../variables.ts';
import type { RawUpstream } from '../upstreams.ts';
import { type CheckOption, fault, needZone, readOptions, usualRules } from './health-check-options.ts';

const matchesSlot = slot<{ list: MatchConfig[] }>('matches', () => ({ list: [] }));
const checksSlot = slot<{ list?: HealthCheckConfig[] }>('health_check', () => ({}));

// ---------------------------------------------------------------------------------------------- match

function match(cf: Conf): string | void {
  const name = cf.args[1] as string;
  const { list } = cf.scope.main.get(matchesSlot);
  if (list.some((known) => known.name === name)) return `"${name}" is duplicate`;
  const config: MatchConfig = { name, place: cf.blockPlace, status: null, headers: [], body: null, require: [] };
  list.push(config);
  cf.lines((line) => condition(line, config));
}

function condition(cf: Conf, config: MatchConfig): void {
  const [kind = '', ...rest] = cf.args;
  switch (kind) {
    case 'status':
      if (config.status !== null) throw cf.error('duplicate "status" condition');
      config.status = status(cf, rest);
      return;
    case 'header':
      config.headers.push(header(cf, rest));
      return;
    case 'body':
      if (config.body !== null) throw cf.error('duplicate "body" condition');
      config.body = body(cf, rest);
      return;
    case 'require':
      if (rest.length === 0) throw cf.error('no variables in the "require" condition');
      for (const arg of rest) {
        if (!arg.startsWith('$') || arg.length === 1) throw cf.error(`invalid variable name "${arg}"`);
        config.require.push(useVariable(cf, arg.slice(1)));
      }
      return;
    default:
      throw cf.error(`unknown match condition "${kind}", it must be "status", "header", "body" or "require"`);
  }
}

function status(cf: Conf, args: string[]): MatchConfig['status'] {
  const negate = args[0] === '!';
  const codes = negate ? args.slice(1) : args;
  if (codes.length === 0) throw cf.error('no codes in the "status" condition');
  const ranges = codes.map((text): [number, number] => {
    const found = /^(\d{3})(?:-(\d{3}))?$/.exec(text);
    const from = Number(found?.[1]);
    const to = Number(found?.[2] ?? found?.[1]);
    if (found === null || from > to) throw cf.error(`invalid status "${text}", it must be like 200 or 200-399`);
    return [from, to];
  });
  return { negate, ranges };
}

function header(cf: Conf, args: string[]): MatchConfig['headers'][number] {
  if (args.length === 1 && args[0] !== '!') return { name: args[0] as string, test: 'present', negate: false };
  if (args.length === 2 && args[0] === '!') return { name: args[1] as string, test: 'present', negate: true };
  const [name = '', operator = '', value = ''] = args;
  if (args.length !== 3) throw cf.error('invalid number of arguments in the "header" condition');
  switch (operator) {
    case '=':
    case '!=':
      return { name, test: 'equal', negate: operator === '!=', value };
    case '~':
    case '!~':
      return { name, test: 'regex', negate: operator === '!~', regex: checkRegex(cf, value, false) };
    default:
      throw cf.error(`invalid operator "${operator}" in the "header" condition, it must be "=", "!=", "~" or "!~"`);
  }
}

function body(cf: Conf, [operator = '', pattern]: string[]): MatchConfig['body'] {
  if (operator !== '~' && operator !== '!~') {
    throw cf.error(`invalid operator "${operator}" in the "body" condition, it must be "~" or "!~"`);
  }
  if (pattern === undefined || cf.args.length !== 3) {
    throw cf.error('invalid number of arguments in the "body" condition');
  }
  return { negate: operator === '!~', regex: checkRegex(cf, pattern, false) };
}

// ---------------------------------------------------------------------------------------------- health_check

function healthCheck(cf: Conf): void {
  const raw = cf.scope.loc.get(checksSlot);
  const check: HealthCheckConfig = {
    ...usualRules(cf),
    uri: '/',
    keepaliveTimeMs: 0,
    type: 'http',
    grpcService: '',
    grpcStatus: null,
  };
  const seen = readOptions(cf, check, (option) => readOwn(cf, check, option));
  if (check.type === 'grpc' && (seen.has('uri') || seen.has('match'))) {
    throw cf.error('"type=grpc" cannot be used together with "uri" or "match"');
  }
  raw.list = [...(raw.list ?? []), check];
}

function readOwn(cf: Conf, check: HealthCheckConfig, option: CheckOption): boolean {
  const { key, value, form, arg } = option;
  switch (form) {
    case 'keepalive_time=':
      check.keepaliveTimeMs = option.time(0);
      return true;
    case 'uri=':
      // it stands in the request line as it is
      if (!/^\/[\x21-\x7e\x80-\xff]*$/.test(value)) throw option.invalid();
      check.uri = value;
      return true;
    case 'type=':
      if (value !== 'grpc') throw cf.error(`invalid parameter "${arg}", the type must be "grpc"`);
      check.type = 'grpc';
      return true;
    case 'grpc_service=':
    case 'grpc_status=':
      if (check.type !== 'grpc') throw cf.error(`"${key}" requires "type=grpc" before it`);
      if (key === 'grpc_service') check.grpcService = value;
      else check.grpcStatus = option.number(0, 16);
      return true;
    default:
      return false;
  }
}

/** What can only be seen when all is read: what the location does, the group's zone, the match block. */
function finish(check: HealthCheckConfig, node: LocationNode, build: Build): HealthCheckConfig {
  const { place } = check;
  const handler = effectiveHandler(node);
  const group: RawUpstream | null = handler !== null && 'pass' in handler ? handler.pass.upstream : null;
  if (handler?.kind === 'grpc' && check.type !== 'grpc') {
    throw fault('"health_check" of a location with "grpc_pass" needs "type=grpc"', place);
  }
  if (handler?.kind === 'tunnel') throw fault('"health_check" cannot be in a location with "tunnel_pass"', place);
  if (group !== null && check.type === 'grpc' && handler!.kind !== 'proxy' && handler!.kind !== 'grpc') {
    throw fault(`"type=grpc" of "health_check" needs "grpc_pass" or "proxy_pass"`, place);
  }
  if (group === null) {
    throw fault('"health_check" needs a location that passes requests to a group: "proxy_pass http://name"', place);
  }
  needZone(group, place);
  if (check.match !== null) {
    const known = build.block.main.get(matchesSlot).list;
    if (!known.some(({ name }) => name === check.match)) throw fault(`unknown match "${check.match}"`, place);
  }
  return check;
}

export const healthCheckModule: ModuleDef = {
  name: 'health_check',
  directives: [
    directive('match', Context.http, Args.one, match, true),
    directive('health_check', Context.location, Args.none | Args.oneOrMore, healthCheck),
  ],
  location: locationPart<{ list?: HealthCheckConfig[] }>({
    slot: checksSlot,
    // a nested location has its own checks or none
    merge: (_parent, child) => child,
    result: (raw, node, build) =>
      raw.list === undefined ? {} : { healthChecks: raw.list.map((check) => finish(check, node, build)) },
  }),
  http: (build) => ({ matches: build.block.main.get(matchesSlot).list }),
};
