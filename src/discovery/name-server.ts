/**
 * The connections to one name server: a connected UDP socket, and a TCP connection for answers that were cut off.
 *
 * The UDP socket is connected, so that the system drops datagrams from any other address and reports refusals.
 * Neither keeps the process alive. What comes in is not looked into here.
 */
import dgram from 'node:dgram';
import net from 'node:net';
import type { Timers } from './types.ts';

/** A TCP connection that has sent nothing for this long is closed, as in nginx. */
const TCP_IDLE_MS = 5000;
/** Queries kept while the sockets are being set up; more are dropped, the resend brings them back. */
const MAX_QUEUED = 4096;
/** Length prefix and the longest message. */
const MAX_FRAME = 2 + 65535;

export interface NameServerEvents {
  onMessage(server: NameServer, message: Buffer, tcp: boolean): void;
  /** A socket failed; its queries are lost. `call` names the system call for the log. */
  onFailure(server: NameServer, call: string, error: NodeJS.ErrnoException): void;
}

export class NameServer {
  /** `127.0.0.1:53`, `[::1]:53`. */
  readonly text: string;
  readonly #host: string;
  readonly #family: 4 | 6;
  readonly #port: number;
  readonly #events: NameServerEvents;
  readonly #timers: Timers;
  #udp: dgram.Socket | null = null;
  /** Queries waiting for the UDP socket; null once it is connected. */
  #udpQueue: Buffer[] | null = null;
  #tcp: net.Socket | null = null;
  #tcpInput: Buffer = Buffer.alloc(0);
  #stopTcpTimer: (() => void) | null = null;

  constructor(host: string, port: number, events: NameServerEvents, timers: Timers) {
    const address = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host;
    this.#host = address;
    this.#family = net.isIPv6(address) ? 6 : 4;
    this.#port = port;
    this.#events = events;
    this.#timers = timers;
    this.text = `${this.#family === 6 ? `[${address}]` : address}:${port}`;
  }

  /** Sends a query in one datagram. Failures come as `onFailure`, never before this returns. */
  sendUdp(query: Buffer): void {
    const socket = this.#udp ?? this.#openUdp();
    if (this.#udpQueue !== null) {
      if (this.#udpQueue.length < MAX_QUEUED) {
        this.#udpQueue.push(query);
      }
      return;
    }
    this.#sendNow(socket, query);
  }

  /** Sends a query over the TCP connection, which is made when there is none. Failures come as `onFailure`. */
  sendTcp(query: Buffer): void {
    const socket = this.#tcp ?? this.#openTcp();
    if (socket.writableLength > MAX_QUEUED * 64) {
      return;
    }
    const prefix = Buffer.allocUnsafe(2);
    prefix.writeUInt16BE(query.length, 0);
    socket.write(Buffer.concat([prefix, query]));
    this.#armTcpTimer(socket);
  }

  /** Closes both sockets; the next query opens them again. No event comes from closed sockets. */
  close(): void {
    this.#closeUdp();
    this.#closeTcp();
  }

  #openUdp(): dgram.Socket {
    const family = this.#family;
    const socket = dgram.createSocket({
      type: family === 6 ? 'udp6' : 'udp4',
      // Only literal addresses come here. Without this every socket would pass through `dns.lookup`.
      lookup: (hostname, _options, callback) => callback(null, hostname, family),
    });
    this.#udp = socket;
    this.#udpQueue = [];
    socket.unref();
    socket.on('message', (message) => {
      if (this.#udp === socket) {
        this.#events.onMessage(this, message, false);
      }
    });
    socket.on('error', (error) => this.#udpFailed(socket, error));
    socket.on('connect', () => {
      const queue = this.#udpQueue ?? [];
      if (this.#udp !== socket) {
        return;
      }
      this.#udpQueue = null;
      for (const query of queue) {
        this.#sendNow(socket, query);
      }
    });
    try {
      socket.connect(this.#port, this.#host);
    } catch (error) {
      queueMicrotask(() => this.#udpFailed(socket, error as NodeJS.ErrnoException));
    }
    return socket;
  }

  #sendNow(socket: dgram.Socket, query: Buffer): void {
    if (this.#udp !== socket) {
      return;
    }
    const done = (error: Error | null): void => {
      if (error !== null) {
        this.#udpFailed(socket, error);
      }
    };
    try {
      socket.send(query, done);
    } catch (error) {
      queueMicrotask(() => this.#udpFailed(socket, error as NodeJS.ErrnoException));
    }
  }

  #udpFailed(socket: dgram.Socket, error: NodeJS.ErrnoException): void {
    if (this.#udp !== socket) {
      return;
    }
    this.#closeUdp();
    this.#events.onFailure(this, callName(error), error);
  }

  #closeUdp(): void {
    const socket = this.#udp;
    this.#udp = null;
    this.#udpQueue = null;
    if (socket !== null) {
      try {
        socket.close();
      } catch {
        // Already closed by its own failure.
      }
    }
  }

  #openTcp(): net.Socket {
    const socket = net.connect({ host: this.#host, port: this.#port, noDelay: true });
    this.#tcp = socket;
    this.#tcpInput = Buffer.alloc(0);
    socket.unref();
    socket.on('data', (chunk: Buffer) => this.#readTcp(socket, chunk));
    // nginx closes the connection silently when the server does; the queries go out again with the next resend.
    socket.on('end', () => this.#dropTcp(socket));
    socket.on('close', () => this.#dropTcp(socket));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (this.#dropTcp(socket)) {
        this.#events.onFailure(
          this,
          `${callName(error)}${error.syscall === 'connect' ? ` to ${this.text}` : ''}`,
          error,
        );
      }
    });
    return socket;
  }

  #readTcp(socket: net.Socket, chunk: Buffer): void {
    let input = this.#tcpInput.length === 0 ? chunk : Buffer.concat([this.#tcpInput, chunk]);
    while (input.length >= 2 && this.#tcp === socket) {
      const end = 2 + input.readUInt16BE(0);
      if (input.length < end) {
        break;
      }
      const message = input.subarray(2, end);
      input = input.subarray(end);
      this.#events.onMessage(this, message, true);
    }
    if (this.#tcp === socket) {
      // Less than one frame is left; copied, so that the rest does not hold on to a large chunk.
      this.#tcpInput = input.length > 0 && input.length < MAX_FRAME ? Buffer.from(input) : Buffer.alloc(0);
    }
  }

  #armTcpTimer(socket: net.Socket): void {
    this.#stopTcpTimer?.();
    this.#stopTcpTimer = this.#timers.after(TCP_IDLE_MS, () => this.#dropTcp(socket));
  }

  /** Out: whether the socket was still in use. */
  #dropTcp(socket: net.Socket): boolean {
    if (this.#tcp !== socket) {
      return false;
    }
    this.#closeTcp();
    return true;
  }

  #closeTcp(): void {
    const socket = this.#tcp;
    this.#tcp = null;
    this.#tcpInput = Buffer.alloc(0);
    this.#stopTcpTimer?.();
    this.#stopTcpTimer = null;
    socket?.destroy();
  }
}

/** In: an error of a socket. Out: the system call as nginx names it: `connect()`, `send()`, `recv()`. */
function callName(error: NodeJS.ErrnoException): string {
  switch (error.syscall) {
    case 'connect':
      return 'connect()';
    case 'recvmsg':
    case 'read':
      return 'recv()';
    default:
      return 'send()';
  }
}
