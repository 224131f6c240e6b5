/** stream: `health_check`, `health_check_timeout` and the `match` blocks that checks name (spec 1.6). */
import type { StreamCheckConfig, StreamMatchConfig } from '../../model.ts';
import { Args, Context, STREAM_ALL } from '../context.ts';
import { directive, table } from '../directive.ts';
import { inherit, slot } from '../scope.ts';
import type { Build, ModuleDef } from '../module.ts';
import { streamPart } from '../module.ts';
import type { StreamServerNode } from '../nodes.ts';
import type { Conf } from '../parser.ts';
import { checkRegex } from '../variables.ts';
import { fault, needZone, readOptions, usualRules } from './health-check-options.ts';

interface ChecksRaw {
  list?: StreamCheckConfig[];
  timeoutMs?: number;
}

const matchesSlot = slot<{ list: StreamMatchConfig[] }>('stream matches', () => ({ list: [] }));
const checksSlot = slot<ChecksRaw>('stream health_check', () => ({}));
const srv = table<ChecksRaw>((cf) => cf.scope.srv.get(checksSlot));

function match(cf: Conf): string | void {
  const name = cf.args[1] as string;
  const { list } = cf.scope.main.get(matchesSlot);
  if (list.some((known) => known.name === name)) return `"${name}" is duplicate`;
  const config: StreamMatchConfig = { name, place: cf.blockPlace, send: null, expect: null };
  list.push(config);
  cf.lines((line) => condition(line, config));
}

function condition(cf: Conf, config: StreamMatchConfig): void {
  const [kind = '', ...rest] = cf.args;
  switch (kind) {
    case 'send':
      if (config.send !== null) throw cf.error('duplicate "send" condition');
      if (rest.length !== 1) throw cf.error('invalid number of arguments in the "send" condition');
      config.send = withBytes(cf, rest[0] as string);
      return;
    case 'expect':
      if (config.expect !== null) throw cf.error('duplicate "expect" condition');
      config.expect = expectation(cf, rest);
      return;
    default:
      throw cf.error(`unknown match condition "${kind}", it must be "send" or "expect"`);
  }
}

function expectation(cf: Conf, [first = '', second, ...more]: string[]): StreamMatchConfig['expect'] {
  const regex = first === '~' || first === '~*';
  if (more.length > 0 || regex !== (second !== undefined)) {
    throw cf.error('invalid number of arguments in the "expect" condition, it must be a text, or "~" and a regex');
  }
  // in a regular expression \x80 is a byte already, and \x2e no metacharacter
  if (regex) return { kind: 'regex', regex: checkRegex(cf, second as string, first === '~*') };
  if (first === '') throw cf.error('empty text in the "expect" condition');
  return { kind: 'text', text: withBytes(cf, first) };
}

/** Puts bytes in place of `\xNN`. */
function withBytes(cf: Conf, text: string): string {
  return text.replace(/\\x(..?)?/gis, (escape, digits: string | undefined) => {
    if (digits === undefined || !/^[\da-f]{2}$/i.test(digits)) {
      throw cf.error(`invalid escape "${escape}", it must be like \\x80`);
    }
    return String.fromCharCode(Number.parseInt(digits, 16));
  });
}

function healthCheck(cf: Conf, raw: ChecksRaw): void {
  const check: StreamCheckConfig = { ...usualRules(cf), udp: false };
  readOptions(cf, check, ({ form }) => {
    if (form !== 'udp') return false;
    check.udp = true;
    return true;
  });
  raw.list = [...(raw.list ?? []), check];
}

/** What can only be seen when all is read. */
function finish(check: StreamCheckConfig, { handler }: StreamServerNode, build: Build): StreamCheckConfig {
  const { place } = check;
  if (handler.kind !== 'proxy' || handler.upstream === null) {
    throw fault('"health_check" needs a server that passes sessions to a group: "proxy_pass name"', place);
  }
  needZone(handler.upstream, place);
  if (check.match !== null) {
    const known = build.block.main.get(matchesSlot).list;
    if (!known.some(({ name }) => name === check.match)) throw fault(`unknown match "${check.match}"`, place);
  }
  return check;
}

export const streamHealthCheckModule: ModuleDef = {
  name: 'stream_health_check',
  directives: [
    directive('match', Context.stream, Args.one, match, true),
    srv.custom('health_check', Context.streamServer, Args.none | Args.oneOrMore, healthCheck),
    srv.msec('health_check_timeout', STREAM_ALL, 'timeoutMs'),
  ],
  streamServer: streamPart<ChecksRaw>({
    slot: checksSlot,
    merge: inherit,
    result: (raw, node, build) => ({
      healthChecks: (raw.list ?? []).map((check) => finish(check, node, build)),
      healthTimeoutMs: raw.timeoutMs ?? 5000,
    }),
  }),
  stream: (build) => ({ matches: build.block.main.get(matchesSlot).list }),
};
