/** Parameters of `server` lines beyond nginx: how a server is reached, and how it is watched. */
import { decodeText } from '../bytes.ts';
import type { Place, UpstreamServerConfig } from '../model.ts';
import { parseNumber, parseTime } from '../units.ts';
import type { HeartbeatConfig, TunnelKeyConfig, TunnelWire, ViaConfig, ViaTransport } from '../via-model.ts';
import { isStream } from './context.ts';
import type { Build } from './module.ts';
import { finishUpstreamSsl } from './modules/upstream-ssl.ts';
import type { SslRaw } from './modules/upstream-ssl.ts';
import type { Conf } from './parser.ts';
import { loadCertificates, readPlain } from './tls.ts';

/** What a line said. */
export interface RawVia {
  transport?: ViaTransport;
  tunnelled?: boolean;
  sslName?: string;
  sslVerify?: boolean;
  sslTrusted?: string;
  maxStreams?: number;
  startStreams?: number;
  minIdle?: number;
  channel?: number;
  wire?: TunnelWire;
  hello?: boolean;
  connectTimeoutMs?: number;
}

/** What the block says for its lines. */
export interface ViaDefaults {
  ssl: SslRaw;
  keys: TunnelKeyConfig[];
  heartbeat: HeartbeatConfig | null;
}

export const MAX_STREAMS = 5;
export const MIN_IDLE = 50;
export const CHANNEL = 64;
/** A tunnel of more is a mistake: each costs a connection, and the other side has limits of its own. */
const MOST_STREAMS = 64;
const MOST_CHANNEL = 4096;

interface Options {
  via?: RawVia;
  heartbeat?: HeartbeatConfig;
  lookup?: UpstreamServerConfig['lookup'] & object;
}

const VIAS: Readonly<Record<string, [ViaTransport, boolean]>> = {
  tcp: ['tcp', false],
  tls: ['tls', false],
  quic: ['quic', false],
  'tunnel+tcp': ['tcp', true],
  'tunnel+tls': ['tls', true],
  'tunnel+quic': ['quic', true],
};

function within(cf: Conf, arg: string, value: string, least: number, most: number): number {
  const number = parseNumber(value);
  if (number === null || number < least || number > most) {
    throw cf.error(`invalid parameter "${arg}", it must be between ${least} and ${most}`);
  }
  return number;
}

function onOff(cf: Conf, arg: string, value: string): boolean {
  if (value !== 'on' && value !== 'off') throw cf.error(`invalid parameter "${arg}", it must be "on" or "off"`);
  return value === 'on';
}

function time(cf: Conf, arg: string, value: string): number {
  const ms = parseTime(value, 'ms');
  if (ms === null || ms === 0) throw cf.error(`invalid parameter "${arg}"`);
  return ms;
}

/** Reads `key=value` into a line's options. @returns false: it is another parameter @throws {ConfigError} */
export function readViaOption(cf: Conf, options: Options, key: string, value: string): boolean {
  const arg = `${key}=${value}`;
  const via = (): RawVia => (options.via ??= {});
  switch (key) {
    case 'via': {
      const found = VIAS[value];
      if (found === undefined) {
        throw cf.error(`invalid parameter "${arg}", it must be one of ${Object.keys(VIAS).join(', ')}`);
      }
      via().transport = found[0];
      via().tunnelled = found[1];
      return true;
    }
    case 'ssl_name':
      if (value === '') throw cf.error('ssl_name is empty');
      via().sslName = value;
      return true;
    case 'ssl_verify':
      via().sslVerify = onOff(cf, arg, value);
      return true;
    case 'ssl_trusted':
      via().sslTrusted = value;
      return true;
    case 'tunnel_max_streams':
      via().maxStreams = within(cf, arg, value, 1, MOST_STREAMS);
      return true;
    case 'tunnel_start_streams':
      via().startStreams = within(cf, arg, value, 1, MOST_STREAMS);
      return true;
    case 'tunnel_min_idle':
      via().minIdle = within(cf, arg, value, 0, 100_000);
      return true;
    case 'tunnel_channel':
      via().channel = within(cf, arg, value, 1, MOST_CHANNEL);
      return true;
    case 'tunnel_wire':
      if (value !== 'headrace' && value !== 'anyproxy') {
        throw cf.error(`invalid parameter "${arg}", it must be "headrace" or "anyproxy"`);
      }
      via().wire = value;
      return true;
    case 'hello':
      // Connections of http are kept for other clients.
      if (!isStream(cf.context)) return false;
      via().hello = onOff(cf, arg, value);
      return true;
    case 'connect_timeout':
      via().connectTimeoutMs = time(cf, arg, value);
      return true;
    case 'heartbeat':
      options.heartbeat = value === 'off' ? OFF : readHeartbeat(cf, value.split(','));
      return true;
    case 'lookup':
      options.lookup = { timeoutMs: 10_000, ...options.lookup, intervalMs: time(cf, arg, value) };
      return true;
    case 'lookup_timeout':
      options.lookup = { intervalMs: 10_000, ...options.lookup, timeoutMs: time(cf, arg, value) };
      return true;
    default:
      return false;
  }
}

/** Stands for `heartbeat=off` until the block's own is known. */
const OFF: HeartbeatConfig = {
  place: { file: '', line: 0 },
  intervalMs: 0,
  timeoutMs: 0,
  fails: 0,
  type: 'connect',
  port: null,
  uri: '',
};

/** `interval=10s timeout=10s fails=3 type=hello port=80 uri=/`. @throws {ConfigError} */
export function readHeartbeat(cf: Conf, parts: readonly string[]): HeartbeatConfig {
  const heartbeat: HeartbeatConfig = {
    place: cf.blockPlace,
    intervalMs: 10_000,
    timeoutMs: 10_000,
    fails: 3,
    type: 'hello',
    port: null,
    uri: '/',
  };
  for (const part of parts) {
    const [key = '', value = ''] = part.split(/=(.*)/s);
    if (key === 'interval') heartbeat.intervalMs = time(cf, part, value);
    else if (key === 'timeout') heartbeat.timeoutMs = time(cf, part, value);
    else if (key === 'fails') heartbeat.fails = within(cf, part, value, 1, 1000);
    else if (key === 'port') heartbeat.port = within(cf, part, value, 1, 65_535);
    else if (key === 'uri' && value.startsWith('/')) heartbeat.uri = value;
    else if (key === 'type' && (value === 'hello' || value === 'connect' || value === 'http')) heartbeat.type = value;
    else throw cf.error(`invalid parameter "${part}" of heartbeat`);
  }
  if (heartbeat.type === 'hello' && heartbeat.port !== null) {
    throw cf.error('heartbeats of type "hello" go to the port of the server');
  }
  return heartbeat;
}

/** What does not fit together. @throws {ConfigError} */
export function checkViaOptions(cf: Conf, { via }: Options, stateful: boolean): void {
  if (via === undefined) return;
  if (stateful) throw cf.error('"via" and what belongs to it cannot be used with "state"');
  const { transport = 'tcp', tunnelled = false } = via;
  const tls = via.sslName ?? via.sslVerify ?? via.sslTrusted;
  if (transport === 'tcp' && tls !== undefined) throw cf.error('"ssl_…" parameters need "via" with tls or quic');
  const tunnel = via.maxStreams ?? via.startStreams ?? via.minIdle ?? via.channel ?? via.wire;
  if ((via.startStreams ?? 1) > (via.maxStreams ?? MAX_STREAMS)) {
    throw cf.error('"tunnel_start_streams" is more than "tunnel_max_streams"');
  }
  if (!tunnelled && tunnel !== undefined) throw cf.error('"tunnel_…" parameters need "via=tunnel+…"');
}

/** What a server is called: addresses that are reached in two ways are two servers. */
export function viaName(via: RawVia | undefined, text: string): string {
  if (via === undefined) return text;
  const { transport = 'tcp', tunnelled = false } = via;
  return transport === 'tcp' && !tunnelled ? text : `${tunnelled ? 'tunnel+' : ''}${transport}://${text}`;
}

/** Files are read now. @throws {ConfigError} */
export function finishExtras(
  group: { viaDefaults: ViaDefaults; balancer: { kind: string } | null; explicit: boolean },
  via: RawVia | undefined,
  own: HeartbeatConfig | undefined,
  server: { place: Place; host: string },
  build: Build,
): Pick<UpstreamServerConfig, 'via' | 'heartbeat'> {
  const { viaDefaults, balancer } = group;
  // `fair` goes by what heartbeats take: without any it would never change its mind.
  const fallback = balancer?.kind === 'fair' ? { ...MEASURING, place: server.place } : null;
  const heartbeat = own ?? viaDefaults.heartbeat ?? fallback;
  return {
    ...(via === undefined ? null : { via: viaConfig(viaDefaults, via, server, build) }),
    ...(heartbeat === null || heartbeat === OFF ? null : { heartbeat }),
  };
}

const MEASURING: HeartbeatConfig = { ...OFF, intervalMs: 10_000, timeoutMs: 10_000, fails: 3, uri: '/' };

function viaConfig(
  { ssl, keys }: ViaDefaults,
  via: RawVia,
  { place, host }: { place: Place; host: string },
  build: Build,
): ViaConfig {
  const { transport = 'tcp', tunnelled = false } = via;
  return {
    transport,
    tunnel: tunnelled
      ? {
          maxStreams: via.maxStreams ?? MAX_STREAMS,
          startStreams: via.startStreams ?? 1,
          minIdle: via.minIdle ?? MIN_IDLE,
          channel: via.channel ?? CHANNEL,
          wire: via.wire ?? 'headrace',
          // Those frames know none.
          keys: via.wire === 'anyproxy' ? [] : keys,
        }
      : null,
    ssl: transport === 'tcp' ? null : viaSsl(ssl, via, place, host, build),
    hello: via.hello ?? null,
    connectTimeoutMs: via.connectTimeoutMs ?? 0,
  };
}

/** Unless the configuration says otherwise servers are verified, by the authorities of the system if it names none. */
function viaSsl(defaults: SslRaw, via: RawVia, place: Place, host: string, build: Build): ViaConfig['ssl'] {
  const verify = via.sslVerify ?? defaults.sslVerify ?? true;
  const config = finishUpstreamSsl({ ...defaults, sslVerify: false }, 'via_', true, place, build);
  config.verify = verify;
  config.verifyDepth = defaults.sslVerifyDepth ?? 10;
  config.serverName = true;
  config.name = via.sslName ?? defaults.sslName ?? decodeText(host);
  const trusted = via.sslTrusted ?? defaults.sslTrustedCertificate;
  if (verify) config.trustedCertificate = readPlain(build.cycle, trusted, loadCertificates, place);
  return config;
}
