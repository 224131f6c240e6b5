/**
 * The QUIC helper: a process of its own, run by Deno, whose QUIC is quinn. A worker starts it and talks to it by standard
 * input and output (../protocol.ts); each stream is a unix socket between them. It ends when its worker does.
 *
 * Arguments: the unix socket that it listens on for streams to open, and the one where streams that come are taken.
 */
import type { QuicCommand, QuicDial, QuicNotice } from '../protocol.ts';
import { deno } from './deno.ts';
import type { DenoConn, DenoQuicConn, DenoQuicEndpoint, DenoQuicListener, DenoQuicStream } from './deno.ts';
import { ConnReader, lineOf, relay, writeAll } from './relay.ts';

const [openPath = '', arrivalPath = ''] = deno.args;

/** Handshakes at a time: nobody knows yet whether these addresses are real. */
const HANDSHAKES_MAX = 1000;
/** Application error code of a connection whose stream was cut. */
const CUT = 1;
/** How long a connection whose stream has ended may still repeat what was lost. */
const LINGER_MS = 10_000;

/** A UDP port that is listened on, or was, and still has connections. */
interface Port {
  endpoint: DenoQuicEndpoint;
  connections: number;
  /** Who listens at present, and gets new streams, those of older connections too; -1: nobody. */
  listener: number;
}

/** How long a port is kept for whoever listens on it next, with another certificate. */
const KEEP_MS = 1000;

const ports = new Map<string, Port>();
const listeners = new Map<number, { port: Port; listener: DenoQuicListener }>();
const trusted = new Map<number, string>();
/** Dials whose certificates have not come: commands and streams take different ways here. */
const waiting = new Map<number, ((pem: string) => void)[]>();
/** For dialling, by local address. */
const endpoints = new Map<string, DenoQuicEndpoint>();

function notify(notice: QuicNotice): void {
  deno.stdout.write(lineOf(notice)).catch(() => {});
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

// ------------------------------------------------------------------------------------------------ accepting

type ListenCommand = Extract<QuicCommand, { op: 'listen' }>;

/** One that listened there before goes on with its connections. */
function portOf(host: string, port: number): Port {
  let found = port === 0 ? undefined : ports.get(`${host} ${port}`);
  if (found === undefined) {
    const endpoint = new deno.QuicEndpoint({ hostname: host, port });
    found = { endpoint, connections: 0, listener: -1 };
    ports.set(`${host} ${endpoint.addr.port}`, found);
  }
  return found;
}

/** Nobody listens on it, and nobody is connected. */
function letGo(port: Port): void {
  if (port.listener >= 0 || port.connections > 0) return;
  for (const [key, other] of ports) if (other === port) ports.delete(key);
  port.endpoint.close();
  // Deno gives the socket back when nothing holds the endpoint any more.
  setTimeout(() => deno.collectGarbage?.(), KEEP_MS);
}

function listen(command: ListenCommand): void {
  const { id, host, certificate, key, alpn, idleMs, keepAliveMs } = command;
  try {
    const port = portOf(host, command.port);
    const transport = { maxIdleTimeout: idleMs, keepAliveInterval: keepAliveMs, maxConcurrentUnidirectionalStreams: 0 };
    const listener = port.endpoint.listen({ cert: certificate, key, alpnProtocols: alpn, ...transport });
    port.listener = id;
    listeners.set(id, { port, listener });
    notify({ op: 'listening', id, port: port.endpoint.addr.port });
    acceptAll(command, port, listener).catch((error: unknown) => {
      if (listeners.delete(id)) notify({ op: 'failed', id, message: messageOf(error) });
    });
  } catch (error) {
    notify({ op: 'failed', id, message: messageOf(error) });
  }
}

async function acceptAll({ id, maxConnections }: ListenCommand, port: Port, listener: DenoQuicListener): Promise<void> {
  let handshakes = 0;
  while (listeners.has(id)) {
    // What this one waits for may come to it after another has taken its place.
    const incoming = await listener.incoming();
    if (port.connections >= maxConnections || handshakes >= HANDSHAKES_MAX) {
      incoming.refuse();
      continue;
    }
    port.connections++;
    handshakes++;
    incoming
      .accept()
      .finally(() => handshakes--)
      .then((conn) => serve(port, conn))
      .catch(() => {})
      .finally(() => {
        port.connections--;
        letGo(port);
      });
  }
}

async function serve(port: Port, conn: DenoQuicConn): Promise<void> {
  const streams = conn.incomingBidirectionalStreams.getReader();
  let open = 0;
  // Others may have streams on it: then the one that is cut stays without an end until the connection has one.
  const cut = (): void => {
    if (open === 1) conn.close({ closeCode: CUT, reason: 'cut' });
  };
  for (;;) {
    const { value, done } = await streams.read();
    if (done) return;
    open++;
    arrive(port, conn, value, cut)
      .catch(cut)
      .finally(() => open--);
  }
}

async function arrive(port: Port, conn: DenoQuicConn, stream: DenoQuicStream, cut: () => void): Promise<void> {
  const { hostname: remoteAddress, port: remotePort } = conn.remoteAddr;
  const { hostname: localAddress, port: localPort } = port.endpoint.addr;
  const socket = await deno.connect({ transport: 'unix', path: arrivalPath });
  const alpn = conn.protocol ?? '';
  const serverName = conn.serverName ?? '';
  const { listener } = port;
  const arrival = { listener, alpn, serverName, remoteAddress, remotePort, localAddress, localPort };
  await writeAll(socket, lineOf(arrival));
  await relay(socket, new ConnReader(socket), stream, cut);
}

// ------------------------------------------------------------------------------------------------ dialling

function endpointFor({ host, localAddress }: QuicDial): DenoQuicEndpoint {
  const hostname = localAddress ?? (host.includes(':') ? '::' : '0.0.0.0');
  let endpoint = endpoints.get(hostname);
  if (endpoint === undefined) {
    endpoint = new deno.QuicEndpoint({ hostname, port: 0 });
    endpoints.set(hostname, endpoint);
  }
  return endpoint;
}

function pemOf(id: number): Promise<string | null> {
  if (id < 0) return Promise.resolve(null);
  const pem = trusted.get(id);
  if (pem !== undefined) return Promise.resolve(pem);
  return new Promise((resolve) => {
    const others = waiting.get(id) ?? [];
    others.push(resolve);
    waiting.set(id, others);
  });
}

function trustIn(id: number, pem: string): void {
  trusted.set(id, pem);
  for (const resolve of waiting.get(id) ?? []) resolve(pem);
  waiting.delete(id);
}

async function open(socket: DenoConn): Promise<void> {
  const reader = new ConnReader(socket);
  const line = await reader.line();
  if (line === null) {
    socket.close();
    return;
  }
  const dial = JSON.parse(line) as QuicDial;
  const { host, port, name, alpn, trust, idleMs, keepAliveMs } = dial;
  let conn: DenoQuicConn;
  let stream: DenoQuicStream;
  try {
    const endpoint = endpointFor(dial);
    const pem = await pemOf(trust);
    conn = await deno.connectQuic({
      hostname: host,
      port,
      serverName: name,
      alpnProtocols: alpn,
      endpoint,
      maxIdleTimeout: idleMs,
      keepAliveInterval: keepAliveMs,
      maxConcurrentUnidirectionalStreams: 0,
      maxConcurrentBidirectionalStreams: 0,
      ...(pem === null ? null : { caCerts: [pem] }),
    });
    stream = await conn.createBidirectionalStream();
    const { hostname: localAddress, port: localPort } = endpoint.addr;
    const dialled = { alpn: conn.protocol ?? '', remoteAddress: host, remotePort: port, localAddress, localPort };
    await writeAll(socket, lineOf(dialled));
  } catch (error) {
    await writeAll(socket, lineOf({ error: messageOf(error) }));
    socket.close();
    return;
  }
  try {
    await relay(socket, reader, stream, () => conn.close({ closeCode: CUT, reason: 'cut' }));
  } finally {
    // Closing throws away what has not arrived.
    const over = setTimeout(() => conn.close(), LINGER_MS);
    conn.closed.catch(() => {}).finally(() => clearTimeout(over));
  }
}

async function openAll(): Promise<void> {
  for await (const socket of deno.listen({ transport: 'unix', path: openPath })) {
    open(socket).catch((error: unknown) => {
      notify({ op: 'log', text: messageOf(error) });
      try {
        socket.close();
      } catch {
        // It is closed.
      }
    });
  }
}

// ------------------------------------------------------------------------------------------------ commands

function obey(command: QuicCommand): void {
  if (command.op === 'listen') listen(command);
  else if (command.op === 'trust') trustIn(command.id, command.pem);
  else {
    const found = listeners.get(command.id);
    if (found === undefined) return;
    // Connections go on: only new ones are not taken.
    listeners.delete(command.id);
    found.listener.stop();
    if (found.port.listener === command.id) found.port.listener = -1;
    setTimeout(() => letGo(found.port), KEEP_MS);
  }
}

async function obeyAll(): Promise<void> {
  const input = deno.stdin.readable.pipeThrough(new TextDecoderStream() as never).getReader() as unknown as {
    read(): Promise<{ value: string; done: boolean }>;
  };
  let rest = '';
  for (;;) {
    const { value, done } = await input.read();
    if (done) deno.exit(0);
    const lines = (rest + value).split('\n');
    rest = lines.pop()!;
    for (const line of lines) obey(JSON.parse(line) as QuicCommand);
  }
}

openAll().catch(() => deno.exit(1));
obeyAll().catch(() => deno.exit(1));
notify({ op: 'ready' });
