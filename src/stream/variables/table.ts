/** The variables of one generation of stream. */
import { Buffer } from 'node:buffer';
import type { LogLevel } from '../../config/model.ts';
import type { StreamConfig } from '../../config/stream-model.ts';
import { clock } from '../../net/clock.ts';
import type { ClientAddress } from '../../net/client-address.ts';
import type { ProxyProtocolInfo } from '../../net/proxy-protocol.ts';
import type { VariableEnvironment } from '../../variables/environment.ts';
import { tlsVariables } from '../../variables/ssl.ts';
import { Variables } from '../../variables/table.ts';
import { seconds } from '../../variables/times.ts';
import type { Getter } from '../../variables/value.ts';
import { kongHost } from '../kong/host.ts';
import { domainOf, requestIdOf } from '../opening.ts';
import type { Session, UpstreamAttempt } from '../session.ts';

type SessionGetter = Getter<Session>;

export class StreamVariables extends Variables<Session> {
  constructor(
    config: Pick<StreamConfig, 'maps' | 'geos' | 'splits' | 'keyvals' | 'servers'>,
    environment: Partial<VariableEnvironment> = {},
  ) {
    super(config.maps, environment);
    this.define({ ...SESSION_VARIABLES, ...UPSTREAM_VARIABLES, ...tlsVariables((s: Session) => s.tls) });
    this.defineChosen(config.geos, config.splits, {
      clientAddress: (s) => s.client.bytes,
      // There are no fields that could tell of another address.
      forwardedAddress: (_s, address) => address,
    });
    this.defineKeyvals(config.keyvals);
    for (const server of config.servers) for (const { variable } of server.sets) this.noteSet(variable.toLowerCase());
  }

  report(s: Session, level: LogLevel, message: string): void {
    s.log(level, message);
  }

  protected family(name: string): SessionGetter | null {
    if (!name.startsWith('proxy_protocol_tlv_')) return null;
    const tlv = name.slice('proxy_protocol_tlv_'.length);
    return (s) => s.proxyProtocol?.tlv(tlv) ?? null;
  }
}

function portText(port: number): string {
  return port > 0 ? String(port) : '';
}

function binary({ bytes, text }: ClientAddress): string {
  return bytes.length === 0 ? text : Buffer.from(bytes).latin1Slice();
}

function ofHeader(text: (info: ProxyProtocolInfo) => string): SessionGetter {
  return (s) => (s.proxyProtocol === null ? null : text(s.proxyProtocol));
}

const SESSION_VARIABLES: Record<string, SessionGetter> = {
  remote_addr: (s) => s.client.text,
  remote_port: (s) => portText(s.client.port),
  binary_remote_addr: (s) => binary(s.client),
  realip_remote_addr: (s) => s.peer.text,
  realip_remote_port: (s) => portText(s.peer.port),
  proxy_protocol_addr: ofHeader((info) => info.sourceAddress),
  proxy_protocol_port: ofHeader((info) => portText(info.sourcePort)),
  proxy_protocol_server_addr: ofHeader((info) => info.destinationAddress),
  proxy_protocol_server_port: ofHeader((info) => portText(info.destinationPort)),
  server_addr: (s) => s.localAddress(),
  server_port: (s) => portText(s.localPort()),
  server_name: (s) => s.server.config.serverName,
  protocol: (s) => (s.udp ? 'UDP' : 'TCP'),
  connection: (s) => String(s.serial),
  bytes_received: (s) => String(s.received),
  bytes_sent: (s) => String(s.sent),
  session_time: (s) => seconds(clock.now - s.startedAt),
  status: (s) => String(s.status).padStart(3, '0'),
  ssl_preread_protocol: (s) => (s.hello === null ? null : s.hello.version),
  ssl_preread_server_name: (s) => (s.hello === null ? null : s.hello.serverName),
  ssl_preread_alpn_protocols: (s) => (s.hello === null ? null : s.hello.alpn),
  limit_conn_status: (s) => s.limitStatus,
  kong_host: kongHost,
  // Beyond nginx.
  hello_domain: (s) => domainOf(s) || null,
  hello_request_id: (s) => requestIdOf(s),
  preread_data: (s) => s.firstBytes,
};

/** One value for each attempt; not found when no server was asked. */
function each(text: (attempt: UpstreamAttempt) => string): SessionGetter {
  return ({ attempts }) => (attempts === null ? null : attempts.map(text).join(', '));
}

const time = (ms: number): string => (ms < 0 ? '-' : seconds(ms));

const UPSTREAM_VARIABLES: Record<string, SessionGetter> = {
  upstream_addr: each((a) => a.address),
  upstream_connect_time: each((a) => time(a.connectMs)),
  upstream_first_byte_time: each((a) => time(a.firstByteMs)),
  upstream_session_time: each((a) => time(a.sessionMs)),
  upstream_bytes_received: each((a) => String(a.bytesReceived)),
  upstream_bytes_sent: each((a) => String(a.bytesSent)),
  upstream_last_addr: (s) => s.attempt?.address ?? null,
  upstream_last_server_name: (s) => s.lastServerName || null,
};
