/** http core: settings of locations that are one value each, and how they are inherited. */
import { decodeText } from '../../bytes.ts';
import type { CoreConfig, ErrorPage } from '../../model.ts';
import { parseNumber, parseTime } from '../../units.ts';
import { hasVariables } from '../../value.ts';
import { Args, Context, HTTP_ALL } from '../context.ts';
import { table } from '../directive.ts';
import { finishErrorLog, readErrorLog } from '../logging.ts';
import type { RawErrorLog } from '../logging.ts';
import { locationPart } from '../module.ts';
import { nodeSlot } from '../nodes.ts';
import type { LocationNode } from '../nodes.ts';
import type { Conf } from '../parser.ts';
import { finishResolver, readResolver } from '../resolver.ts';
import type { RawResolver } from '../resolver.ts';
import { inherit, slot } from '../scope.ts';
import { checkValue } from '../variables.ts';

type Simple = Omit<
  CoreConfig,
  'root' | 'alias' | 'aliasLength' | 'tryFiles' | 'resolver' | 'errorLog' | 'disableSymlinks'
>;

export interface CoreRaw extends Partial<Simple> {
  /** `root` and `alias` are one setting: a location has either. */
  documentRoot?: { text: string; alias: boolean; aliasLength: number | null };
  tryFiles?: NonNullable<CoreConfig['tryFiles']>;
  resolver?: RawResolver;
  /** Null: `off`. */
  symlinks?: CoreConfig['disableSymlinks'] | null;
  errorLogs?: RawErrorLog[];
}

export const coreSlot = slot<CoreRaw>('http_core.loc', () => ({}));
const loc = table<CoreRaw>((cf) => cf.scope.loc.get(coreSlot));
const { location: LOCATION, server: SERVER, ifInLocation: LIF } = Context;

function rootOrAlias(alias: boolean) {
  return (cf: Conf, raw: CoreRaw): string | void => {
    const name = cf.args[0] as string;
    if (raw.documentRoot !== undefined) {
      if (raw.documentRoot.alias === alias) return 'is duplicate';
      const earlier = raw.documentRoot.alias ? 'alias' : 'root';
      throw cf.error(`"${name}" directive is duplicate, "${earlier}" directive was specified earlier`);
    }
    const node = cf.scope.loc.get(nodeSlot);
    if (node.match.kind === 'named' && alias) {
      throw cf.error('the "alias" directive cannot be used inside the named location');
    }
    let text = cf.args[1] as string;
    for (const variable of ['document_root', 'realpath_root']) {
      if (text.includes(`$${variable}`) || text.includes(`\${${variable}}`)) {
        throw cf.error(`the $${variable} variable cannot be used in the "${name}" directive`);
      }
    }
    if (!alias && text.endsWith('/')) text = text.slice(0, -1);
    if (!text.startsWith('$')) text = cf.cycle.fullName(text);
    checkValue(cf, text);
    const aliasLength = alias && node.match.kind !== 'regex' ? node.name.length : null;
    raw.documentRoot = { text, alias, aliasLength };
  };
}

function disableSymlinks(cf: Conf, raw: CoreRaw): string | void {
  if (raw.symlinks !== undefined) return 'is duplicate';
  const [, first = '', second] = cf.args;
  const modes = ['off', 'if_not_owner', 'on'];
  for (const arg of cf.args.slice(1)) {
    if (arg.startsWith('from=')) checkValue(cf, arg.slice('from='.length));
    else if (!modes.includes(arg)) throw cf.error(`invalid parameter "${arg}"`);
  }
  if (!cf.args.some((arg) => modes.includes(arg))) {
    throw cf.error('"disable_symlinks" must have "off", "on" or "if_not_owner" parameter');
  }
  const from = cf.args.slice(1).find((arg) => arg.startsWith('from='));
  const mode = cf.args.slice(1).find((arg) => modes.includes(arg)) as string;
  const part = from === undefined ? null : from.slice('from='.length);
  raw.symlinks = mode === 'off' ? null : { owned: mode === 'if_not_owner', from: part };
  if (second === undefined) return;
  if (!first.startsWith('from=') && !second.startsWith('from=')) {
    throw cf.error(`duplicate parameters "${first} ${second}"`);
  }
  if (cf.args.includes('off')) throw cf.error('"from=" cannot be used with "off" parameter');
}

/** 494 to 497: nginx's own causes of a 400. */
const BAD_REQUEST_CAUSES = [494, 495, 496, 497];

function errorPage(cf: Conf, raw: CoreRaw): void {
  const args = cf.args.slice(1);
  const uri = args.pop() as string;
  let overwrite = -1;
  const mark = args[args.length - 1] as string;
  if (mark.startsWith('=')) {
    if (args.length === 1) throw cf.error(`invalid value "${mark}"`);
    const status = mark === '=' ? 0 : parseNumber(mark.slice(1));
    if (status === null) throw cf.error(`invalid value "${mark}"`);
    overwrite = status;
    args.pop();
  }
  checkValue(cf, uri);

  const statuses = args.map((arg) => {
    const status = parseNumber(arg);
    if (status === null || status === 499) throw cf.error(`invalid value "${arg}"`);
    if (status < 300 || status > 599) throw cf.error(`value "${arg}" must be between 300 and 599`);
    return status;
  });
  const plain = statuses.filter((status) => overwrite !== -1 || !BAD_REQUEST_CAUSES.includes(status));
  const special = statuses.filter((status) => !plain.includes(status));
  const pages: ErrorPage[] = [];
  if (plain.length > 0) pages.push({ statuses: plain, overwrite, uri });
  if (special.length > 0) pages.push({ statuses: special, overwrite: 400, uri });
  raw.errorPages = [...(raw.errorPages ?? []), ...pages];
}

function keepaliveTimeout(cf: Conf, raw: CoreRaw): string | void {
  if (raw.keepaliveTimeoutMs !== undefined) return 'is duplicate';
  const timeout = parseTime(cf.args[1] as string, 'ms');
  if (timeout === null) return 'invalid value';
  raw.keepaliveTimeoutMs = timeout;
  if (cf.args[2] === undefined) return;
  const header = parseTime(cf.args[2], 's');
  if (header === null) return 'invalid value';
  raw.keepaliveHeaderSec = header;
}

function index(cf: Conf, raw: CoreRaw): void {
  const args = cf.args.slice(1);
  args.forEach((arg, i) => {
    if (arg.startsWith('/') && i !== args.length - 1) {
      cf.warn('only the last index in "index" directive should be absolute');
    }
    if (arg === '') throw cf.error(`index "${arg}" in "index" directive is invalid`);
    checkValue(cf, arg);
  });
  raw.index = [...(raw.index ?? []), ...args];
}

function tryFiles(cf: Conf, raw: CoreRaw): string | void {
  if (raw.tryFiles !== undefined) return 'is duplicate';
  const paths = cf.args.slice(1);
  for (const path of paths) checkValue(cf, path);
  const fallback = paths.pop() as string;
  let status = 0;
  if (fallback.startsWith('=') && !hasVariables(fallback)) {
    const code = parseNumber(fallback.slice(1));
    if (code === null || code > 999) throw cf.error(`invalid code "${fallback}"`);
    status = code;
  }
  raw.tryFiles = { paths, fallback, status };
}

function types(cf: Conf, raw: CoreRaw): void {
  const known: Record<string, string> = raw.types ?? {};
  raw.types = known;
  cf.lines((line) => {
    const [type = '', ...extensions] = line.args;
    if (type === 'include') {
      if (extensions.length !== 1) throw line.error('invalid number of arguments in "include" directive');
      line.include();
      return;
    }
    for (const arg of extensions) {
      const extension = arg.toLowerCase();
      const old = Object.hasOwn(known, extension) ? known[extension] : undefined;
      if (old !== undefined) {
        line.warn(`duplicate extension "${extension}", content type: "${type}", previous content type: "${old}"`);
      }
      known[extension] = type;
    }
  });
}

export const coreLocDirectives = [
  loc.custom('root', HTTP_ALL | LIF, Args.one, rootOrAlias(false)),
  loc.custom('alias', LOCATION, Args.one, rootOrAlias(true)),
  loc.custom('index', HTTP_ALL, Args.oneOrMore, index),
  loc.custom('try_files', SERVER | LOCATION, Args.twoOrMore, tryFiles),
  loc.block('types', HTTP_ALL, Args.none, types),
  loc.text('default_type', HTTP_ALL, 'defaultType'),
  loc.custom('internal', LOCATION, Args.none, (_cf, raw): string | void => {
    if (raw.internal !== undefined) return 'is duplicate';
    raw.internal = true;
  }),
  loc.offset('client_max_body_size', HTTP_ALL, 'clientMaxBodySize'),
  loc.size('client_body_buffer_size', HTTP_ALL, 'clientBodyBufferSize'),
  loc.msec('client_body_timeout', HTTP_ALL, 'clientBodyTimeoutMs'),
  loc.tempPath('client_body_temp_path', HTTP_ALL, 'clientBodyTempPath'),
  loc.choice('client_body_in_file_only', HTTP_ALL, 'clientBodyInFileOnly', ['off', 'on', 'clean']),
  loc.custom('keepalive_timeout', HTTP_ALL, Args.oneOrTwo, keepaliveTimeout),
  loc.number('keepalive_requests', HTTP_ALL, 'keepaliveRequests'),
  loc.words('keepalive_disable', HTTP_ALL, Args.oneOrTwo, 'keepaliveDisable', ['none', 'msie6', 'safari']),
  loc.msec('keepalive_time', HTTP_ALL, 'keepaliveTimeMs'),
  loc.msec('keepalive_min_timeout', HTTP_ALL, 'keepaliveMinTimeoutMs'),
  loc.msec('send_timeout', HTTP_ALL, 'sendTimeoutMs'),
  loc.choice('lingering_close', HTTP_ALL, 'lingeringClose', ['off', 'on', 'always']),
  loc.msec('lingering_time', HTTP_ALL, 'lingeringTimeMs'),
  loc.msec('lingering_timeout', HTTP_ALL, 'lingeringTimeoutMs'),
  loc.flag('reset_timedout_connection', HTTP_ALL, 'resetTimedoutConnection'),
  loc.sizeValue('limit_rate', HTTP_ALL | LIF, 'limitRate'),
  loc.sizeValue('limit_rate_after', HTTP_ALL | LIF, 'limitRateAfter'),
  loc.choice('satisfy', HTTP_ALL, 'satisfy', ['all', 'any']),
  loc.msec('auth_delay', HTTP_ALL, 'authDelayMs'),
  loc.custom('disable_symlinks', HTTP_ALL, Args.oneOrTwo, disableSymlinks),
  loc.custom('early_hints', HTTP_ALL, Args.oneOrMore, (cf, raw) => {
    raw.earlyHints = [...(raw.earlyHints ?? []), ...cf.args.slice(1).map((arg) => checkValue(cf, arg))];
  }),
  loc.custom('error_page', HTTP_ALL | LIF, Args.twoOrMore, errorPage),
  loc.choice('server_tokens', HTTP_ALL, 'serverTokens', ['off', 'on', 'build']),
  loc.flag('server_name_in_redirect', HTTP_ALL, 'serverNameInRedirect'),
  loc.flag('port_in_redirect', HTTP_ALL, 'portInRedirect'),
  loc.flag('absolute_redirect', HTTP_ALL, 'absoluteRedirect'),
  loc.flag('recursive_error_pages', HTTP_ALL, 'recursiveErrorPages'),
  loc.flag('chunked_transfer_encoding', HTTP_ALL, 'chunkedTransferEncoding'),
  loc.flag('etag', HTTP_ALL, 'etag'),
  loc.choice('if_modified_since', HTTP_ALL, 'ifModifiedSince', ['off', 'exact', 'before']),
  loc.number('max_ranges', HTTP_ALL, 'maxRanges'),
  loc.flag('log_not_found', HTTP_ALL, 'logNotFound'),
  loc.flag('log_subrequest', HTTP_ALL, 'logSubrequest'),
  loc.text('post_action', HTTP_ALL | LIF, 'postAction'),
  loc.size('subrequest_output_buffer_size', HTTP_ALL, 'subrequestOutputBufferSize'),
  loc.flag('msie_padding', HTTP_ALL, 'msiePadding'),
  loc.flag('tcp_nodelay', HTTP_ALL, 'tcpNodelay'),
  loc.custom('resolver', HTTP_ALL, Args.oneOrMore, (cf, raw): string | void => {
    if (raw.resolver !== undefined) return 'is duplicate';
    raw.resolver = readResolver(cf);
  }),
  loc.msec('resolver_timeout', HTTP_ALL, 'resolverTimeoutMs'),
  loc.custom('error_log', HTTP_ALL, Args.oneOrMore, (cf, raw) => {
    raw.errorLogs = [...(raw.errorLogs ?? []), readErrorLog(cf)];
  }),
];

const MAX_INT32 = 2147483647;

const DEFAULTS: Omit<Simple, 'clientBodyTempPath'> = {
  index: ['index.html'],
  types: { html: 'text/html', gif: 'image/gif', jpg: 'image/jpeg' },
  defaultType: 'text/plain',
  internal: false,
  clientMaxBodySize: 1024 * 1024,
  clientBodyBufferSize: 8192,
  clientBodyTimeoutMs: 60_000,
  clientBodyInFileOnly: 'off',
  keepaliveTimeoutMs: 75_000,
  keepaliveHeaderSec: 0,
  keepaliveRequests: 1000,
  keepaliveTimeMs: 3_600_000,
  keepaliveMinTimeoutMs: 0,
  sendTimeoutMs: 60_000,
  lingeringClose: 'on',
  lingeringTimeMs: 30_000,
  lingeringTimeoutMs: 5_000,
  resetTimedoutConnection: false,
  limitRate: '0',
  limitRateAfter: '0',
  satisfy: 'all',
  authDelayMs: 0,
  errorPages: [],
  serverTokens: 'on',
  serverNameInRedirect: false,
  portInRedirect: true,
  absoluteRedirect: true,
  recursiveErrorPages: false,
  chunkedTransferEncoding: true,
  etag: true,
  ifModifiedSince: 'exact',
  maxRanges: MAX_INT32,
  logNotFound: true,
  logSubrequest: false,
  msiePadding: true,
  tcpNodelay: true,
  resolverTimeoutMs: 30_000,
};

export const coreLocation = locationPart<CoreRaw>({
  slot: coreSlot,

  merge(parent, child) {
    const merged = inherit(parent, child);
    // Only the block that has `try_files` tries them.
    if (child.tryFiles === undefined) delete merged.tryFiles;
    return merged;
  },

  result(raw, _node: LocationNode, build) {
    const { documentRoot, tryFiles: tries, resolver, errorLogs, symlinks = null, ...simple } = raw;
    const { cycle } = build;
    const core: CoreConfig = {
      ...DEFAULTS,
      clientBodyTempPath: decodeText(cycle.fullName('client_body_temp')),
      ...(inherit(null, simple) as Partial<Simple>),
      root: documentRoot?.text ?? cycle.fullName('html'),
      alias: documentRoot?.alias === true ? documentRoot.text : null,
      tryFiles: tries ?? null,
      resolver: finishResolver(resolver),
      errorLog: errorLogs === undefined ? null : errorLogs.map(finishErrorLog),
    };
    if (symlinks !== null) core.disableSymlinks = symlinks;
    if (documentRoot?.alias === true && documentRoot.aliasLength !== null) core.aliasLength = documentRoot.aliasLength;
    if (core.postAction === 'off') delete core.postAction;
    return { core };
  },
});
