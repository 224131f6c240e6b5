/**
 * Directives that tune nginx's machinery and have nothing to tune here: checked as nginx checks them, then ignored.
 *
 * One table: name, blocks, kind of argument. A `warn` kind does have a meaning that is not built yet.
 */
import { parseNumber, parseOffset, parseSize, parseTime } from '../../units.ts';
import { Args, Context, HTTP_ALL, HTTP_SERVER } from '../context.ts';
import { directive, onOff, oneOf, tempPath } from '../directive.ts';
import type { Directive } from '../directive.ts';
import type { ModuleDef } from '../module.ts';
import type { Conf } from '../parser.ts';
import { slot } from '../scope.ts';
import type { Slots } from '../scope.ts';
import { checkValue } from '../variables.ts';

const { main: MAIN, events: EVENTS, http: HTTP, stream: STREAM, ifInLocation: LIF } = Context;

type Kind =
  | 'flag'
  | 'number'
  | 'size'
  | 'offset'
  | 'msec'
  | 'sec'
  | 'text'
  | 'buffers'
  | 'values'
  | 'path'
  | readonly string[]
  | ((cf: Conf) => string | void);

/** Names seen in a block, for "is duplicate". */
const seenSlot = slot<{ names: Set<string> }>('accepted', () => ({ names: new Set<string>() }));

/** The level at which nginx keeps the directive's value: the innermost that it may stand in. */
function level(cf: Conf, contexts: number): Slots {
  if ((contexts & (MAIN | EVENTS)) !== 0) return cf.cycle.core;
  if ((contexts & Context.location) !== 0) return cf.scope.loc;
  return (contexts & Context.server) !== 0 ? cf.scope.srv : cf.scope.main;
}

function check(cf: Conf, kind: Kind): string | void {
  const text = cf.args[1] as string;
  if (typeof kind === 'function') return kind(cf);
  if (typeof kind !== 'string') {
    oneOf(cf, text, kind);
    return;
  }
  switch (kind) {
    case 'flag':
      onOff(cf, text);
      return;
    case 'number':
      return parseNumber(text) === null ? 'invalid number' : undefined;
    case 'size':
      return parseSize(text) === null ? 'invalid value' : undefined;
    case 'offset':
      return parseOffset(text) === null ? 'invalid value' : undefined;
    case 'msec':
      return parseTime(text, 'ms') === null ? 'invalid value' : undefined;
    case 'sec':
      return parseTime(text, 's') === null ? 'invalid value' : undefined;
    case 'path':
      return tempPath(cf) === null ? 'invalid value' : undefined;
    case 'buffers':
      return !parseNumber(text) || !parseSize(cf.args[2] as string) ? 'invalid value' : undefined;
    case 'values':
      for (const arg of cf.args.slice(1)) checkValue(cf, arg);
      return;
    default:
  }
}

function accept(name: string, contexts: number, kind: Kind, args?: number, repeatable = false): Directive {
  const count = args ?? (kind === 'buffers' ? Args.two : kind === 'path' ? Args.oneToFour : Args.one);
  return directive(name, contexts, count, (cf): string | void => {
    const { names } = level(cf, contexts).get(seenSlot);
    if (!repeatable && names.has(name)) return 'is duplicate';
    const text = check(cf, kind);
    if (typeof text === 'string') return text;
    names.add(name);
  });
}

/** A switch that must be off: without it answers would be wrong. */
function mustBeOff(name: string, contexts: number): Directive {
  return directive(name, contexts, Args.one, (cf) => {
    if (onOff(cf, cf.args[1] as string)) throw cf.error(`"${name} on" is not supported`);
  });
}

function poolSize(cf: Conf): string | void {
  const size = parseSize(cf.args[1] as string);
  if (size === null) return 'invalid value';
  if (size < 96) throw cf.error('the pool size must be no less than 96');
  if (size % 16 !== 0) throw cf.error('the pool size must be a multiple of 16');
}

function aio(cf: Conf): string | void {
  const text = cf.args[1] as string;
  if (!/^(on|off|threads(=.*)?)$/s.test(text)) return 'invalid value';
  checkValue(cf, text);
}

function openFileCache(cf: Conf): void {
  for (const arg of cf.args.slice(1)) {
    const max = arg.startsWith('max=') ? parseNumber(arg.slice(4)) : null;
    const time = arg.startsWith('inactive=') ? parseTime(arg.slice(9), 's') : null;
    if (arg !== 'off' && !max && time === null) throw cf.error(`invalid "open_file_cache" parameter "${arg}"`);
  }
  if (!cf.args.includes('off') && !cf.args.some((arg) => arg.startsWith('max='))) {
    throw cf.error('"open_file_cache" must have the "max" parameter');
  }
}

function sendLowat(cf: Conf): string | void {
  if (parseSize(cf.args[1] as string) === null) return 'invalid value';
  cf.warn(`"${cf.args[0]}" is not supported, ignored`);
}

function priority(cf: Conf): string | void {
  return /^[-+]?[0-9]+$/.test(cf.args[1] as string) ? undefined : 'invalid number';
}

export const accepted: ModuleDef = {
  name: 'accepted',
  directives: [
    accept('worker_rlimit_nofile', MAIN, 'number'),
    accept('worker_rlimit_core', MAIN, 'offset'),
    accept('worker_priority', MAIN, priority),
    accept('worker_cpu_affinity', MAIN, 'text', Args.oneOrMore),
    accept('working_directory', MAIN, 'text'),
    accept('lock_file', MAIN, 'text'),
    accept('debug_points', MAIN, ['stop', 'abort']),
    accept('env', MAIN, 'text', Args.one, true),
    accept('thread_pool', MAIN, 'text', Args.oneOrMore, true),
    accept('pcre_jit', MAIN, 'flag'),
    accept('ssl_engine', MAIN, 'text'),
    accept('multi_accept', EVENTS, 'flag'),
    accept('accept_mutex', EVENTS, 'flag'),
    accept('accept_mutex_delay', EVENTS, 'msec'),
    accept('worker_aio_requests', EVENTS, 'number'),
    accept('epoll_events', EVENTS, 'number'),

    accept('variables_hash_max_size', HTTP | STREAM, 'number'),
    accept('variables_hash_bucket_size', HTTP | STREAM, 'number'),
    accept('server_names_hash_max_size', HTTP | STREAM, 'number'),
    accept('server_names_hash_bucket_size', HTTP | STREAM, 'number'),
    accept('map_hash_max_size', HTTP | STREAM, 'number'),
    accept('map_hash_bucket_size', HTTP | STREAM, 'number'),
    accept('types_hash_max_size', HTTP_ALL, 'number'),
    accept('types_hash_bucket_size', HTTP_ALL, 'number'),
    accept('proxy_headers_hash_max_size', HTTP_ALL, 'number'),
    accept('proxy_headers_hash_bucket_size', HTTP_ALL, 'number'),
    accept('connection_pool_size', HTTP_SERVER, poolSize),
    accept('request_pool_size', HTTP_SERVER, poolSize),
    accept('client_body_in_single_buffer', HTTP_ALL, 'flag'),
    accept('client_body_early_read', HTTP_SERVER, 'values', Args.oneOrMore, true),
    accept('sendfile', HTTP_ALL | LIF, 'flag'),
    accept('sendfile_max_chunk', HTTP_ALL, 'size'),
    accept('aio', HTTP_ALL, aio),
    accept('aio_write', HTTP_ALL, 'flag'),
    accept('read_ahead', HTTP_ALL, 'size'),
    accept('directio', HTTP_ALL, (cf) =>
      cf.args[1] !== 'off' && parseOffset(cf.args[1] as string) === null ? 'invalid value' : undefined,
    ),
    accept('directio_alignment', HTTP_ALL, 'offset'),
    accept('tcp_nopush', HTTP_ALL, 'flag'),
    accept('send_lowat', HTTP_ALL, sendLowat),
    accept('postpone_output', HTTP_ALL, 'size'),
    accept('output_buffers', HTTP_ALL, 'buffers'),
    accept('msie_refresh', HTTP_ALL, 'flag'),
    accept('open_file_cache', HTTP_ALL, openFileCache, Args.oneOrTwo),
    accept('open_file_cache_valid', HTTP_ALL, 'sec'),
    accept('open_file_cache_min_uses', HTTP_ALL, 'number'),
    accept('open_file_cache_errors', HTTP_ALL, 'flag'),
    accept('open_file_cache_events', HTTP_ALL, 'flag'),
    accept('proxy_send_lowat', HTTP_ALL, sendLowat),

    accept('gzip_buffers', HTTP_ALL, 'buffers'),
    accept('gzip_window', HTTP_ALL, 'size'),
    accept('gzip_hash', HTTP_ALL, 'size'),
    accept('gunzip_buffers', HTTP_ALL, 'buffers'),
    accept('gzip_no_buffer', HTTP_ALL, 'flag'),
    mustBeOff('autoindex', HTTP_ALL),
  ],
};
