/**
 * Messages to a syslog server as nginx sends them (RFC 3164), over UDP or a unix datagram socket.
 *
 * One sender a thread and server line, shared by all logs that name it. Datagrams are sent and forgotten: a server
 * that is away costs lines, never time.
 */
import { hostname } from 'node:os';
import type { Socket } from 'node:dgram';
import type { SyslogTarget } from '../config/model.ts';
import { errnoText } from './errno.ts';
import { syslogTime } from './log-time.ts';
import { openUnixDatagram } from './unix-datagram.ts';

/** RFC 3164, 4.1.1, in order of their numbers, with the names that nginx takes. */
const FACILITIES = [
  'kern',
  'user',
  'mail',
  'daemon',
  'auth',
  'intern',
  'lpr',
  'news',
  'uucp',
  'clock',
  'authpriv',
  'ftp',
  'ntp',
  'audit',
  'alert',
  'cron',
  'local0',
  'local1',
  'local2',
  'local3',
  'local4',
  'local5',
  'local6',
  'local7',
];
const SEVERITIES = ['emerg', 'alert', 'crit', 'error', 'warn', 'notice', 'info', 'debug'];

/** nginx: header and message together fit into this. */
const MAX_MESSAGE = 2048;
/** Messages held while the server's name is looked up. */
const MAX_WAITING = 1024;

/** Severity of an error log level (1: emerg … 8: debug). nginx takes the message's own, not `severity=`. */
export function severityOfLevel(level: number): number {
  return level - 1;
}

/** `<PRI>`'s number. Unknown names fall back to nginx's defaults, local7 and info. */
export function priority(facility: string, severity: number): number {
  const index = FACILITIES.indexOf(facility);
  return (index < 0 ? 23 : index) * 8 + severity;
}

/**
 * @param severity 0 to 7
 * @param nowMs time of day
 * @returns `<191>Nov 21 13:35:00 host nginx: text`
 */
export function formatSyslog(
  target: SyslogTarget,
  severity: number,
  text: string,
  host: string,
  nowMs?: number,
): string {
  const head = `<${priority(target.facility, severity)}>${syslogTime(nowMs)} `;
  const line = `${head}${target.hostname ? `${host} ` : ''}${target.tag || 'nginx'}: ${text}`;
  return line.length > MAX_MESSAGE ? line.slice(0, MAX_MESSAGE) : line;
}

/** `host:port`, `[::1]:514`, `host` (port 514) -> parts. */
export function splitServer(server: string): { host: string; port: number } {
  const bracketed = /^\[([^\]]*)\](?::(\d+))?$/.exec(server);
  if (bracketed !== null) return { host: bracketed[1] ?? '', port: Number(bracketed[2] ?? 514) };
  const colon = server.lastIndexOf(':');
  if (colon < 0 || server.indexOf(':') !== colon) return { host: server, port: 514 };
  return { host: server.slice(0, colon), port: Number(server.slice(colon + 1)) };
}

interface Transport {
  send(message: Buffer): void;
  close(): void;
}

export class SyslogSender {
  readonly key: string;
  /** Messages that were not sent. */
  lost = 0;
  /** The last failure; null after none. */
  failure: string | null = null;
  readonly #target: SyslogTarget;
  readonly #host = hostname().toLowerCase();
  readonly #severity: number;
  #transport: Transport | null = null;
  #users = 0;

  constructor(target: SyslogTarget, key: string) {
    this.#target = target;
    this.key = key;
    const severity = SEVERITIES.indexOf(target.severity);
    this.#severity = severity < 0 ? 6 : severity;
  }

  /**
   * @param severity 0 to 7; null: the target's own (`severity=`, access logs)
   * @param text one line, without line feed
   */
  send(severity: number | null, text: string): void {
    const message = formatSyslog(this.#target, severity ?? this.#severity, text, this.#host);
    try {
      this.#transport ??= this.#open();
      this.#transport.send(Buffer.from(message, 'utf8'));
    } catch (error) {
      this.#failed(error);
    }
  }

  #failed(error: unknown): void {
    this.lost++;
    this.failure = `send() to syslog server ${this.#target.server} failed (${errnoText(error)})`;
  }

  #open(): Transport {
    const { server } = this.#target;
    const path = server.startsWith('unix:') ? server.slice(5) : server.startsWith('/') ? server : null;
    const onError = (error: unknown): void => this.#failed(error);
    return path === null ? openUdp(splitServer(server), onError) : openUnixDatagram(path);
  }

  retain(): this {
    this.#users++;
    return this;
  }

  release(): void {
    if (--this.#users > 0) return;
    if (senders.get(this.key) === this) senders.delete(this.key);
    this.#transport?.close();
    this.#transport = null;
  }
}

/** Node's modules are loaded only when a configuration logs to syslog: they are not free at start. */
function openUdp(server: { host: string; port: number }, onError: (error: unknown) => void): Transport {
  const dgram = process.getBuiltinModule('node:dgram');
  const literal = process.getBuiltinModule('node:net').isIP(server.host);
  const type = literal === 6 ? 'udp6' : 'udp4';
  // An address needs no look-up: answering at once makes even a line written just before the end go out.
  const socket: Socket =
    literal === 0
      ? dgram.createSocket({ type })
      : dgram.createSocket({ type, lookup: (_name, _options, done) => done(null, server.host, literal) });
  let waiting: Buffer[] | null = [];
  let open = true;
  socket.on('error', onError);
  // Never a reason for the process to stay.
  socket.unref();
  const sent = (error: Error | null): void => {
    if (error !== null) onError(error);
  };
  socket.connect(server.port, server.host, () => {
    const messages = waiting ?? [];
    waiting = null;
    if (open) for (const message of messages) socket.send(message, sent);
  });
  return {
    send(message) {
      if (waiting === null) socket.send(message, sent);
      else if (waiting.length < MAX_WAITING) waiting.push(message);
      else onError(new Error('too many messages wait for the name to be resolved'));
    },
    close() {
      open = false;
      socket.close();
    },
  };
}

const senders = new Map<string, SyslogSender>();

/** The sender for this target in this thread. Pair with `release()`. Nothing is opened before the first message. */
export function openSyslog(target: SyslogTarget): SyslogSender {
  const key = JSON.stringify([target.server, target.facility, target.severity, target.tag, target.hostname]);
  let sender = senders.get(key);
  if (sender === undefined) senders.set(key, (sender = new SyslogSender(target, key)));
  return sender.retain();
}
