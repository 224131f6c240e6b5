/**
 * A small chat server: `node chat.ts NAME PORT`. Serves its page at `/`, and WebSocket (RFC 6455) at `/socket`: each text
 * that somebody sends goes to all who are connected to this server; who comes gets the last ones first.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';

const [name = 'chat', port = '0'] = process.argv.slice(2);
const PAGE = readFileSync(join(import.meta.dirname, 'index.html'));
const KEPT = 50;
const MAX_MESSAGE = 4096;
/** What a client may leave unread before it is let go. */
const MAX_UNSENT = 1024 * 1024;
const PING_MS = 20_000;

const TEXT = 1;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

const history: string[] = [];
const members = new Set<Duplex>();

const server = createServer((request, response) => {
  request.resume();
  response.setHeader('X-Server', name);
  if (request.url === '/') response.setHeader('Content-Type', 'text/html; charset=utf-8').end(PAGE);
  else response.writeHead(404).end();
});

server.on('upgrade', (request, socket, first) => {
  const key = request.headers['sec-websocket-key'];
  if (request.url !== '/socket' || request.headers.upgrade?.toLowerCase() !== 'websocket' || key === undefined) {
    socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
    return;
  }
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      `Sec-WebSocket-Accept: ${accept}\r\n\r\n`,
  );
  enter(socket, first);
});

function enter(socket: Duplex, first: Buffer): void {
  members.add(socket);
  const ping = setInterval(() => send(socket, PING, Buffer.alloc(0)), PING_MS);
  const leave = (): void => {
    clearInterval(ping);
    members.delete(socket);
    socket.destroy();
  };
  socket.on('error', leave);
  socket.on('close', leave);
  send(socket, TEXT, Buffer.from(`* you are on server "${name}" with ${members.size - 1} others`));
  for (const text of history) send(socket, TEXT, Buffer.from(text));

  let bytes = first;
  const read = (): void => {
    for (;;) {
      const frame = readFrame(bytes);
      if (frame === 'more') return;
      if (frame === 'wrong' || frame.kind === CLOSE) {
        leave();
        return;
      }
      bytes = bytes.subarray(frame.length);
      if (frame.kind === PING) send(socket, PONG, frame.payload);
      else if (frame.kind === TEXT) say(frame.payload.toString());
    }
  };
  socket.on('data', (data: Buffer) => {
    bytes = Buffer.concat([bytes, data]);
    read();
  });
  read();
}

function say(text: string): void {
  history.push(text);
  if (history.length > KEPT) history.shift();
  for (const member of members) send(member, TEXT, Buffer.from(text));
}

/** One frame, not in pieces; a client must mask it (section 5.1). */
function readFrame(bytes: Buffer): { kind: number; payload: Buffer; length: number } | 'more' | 'wrong' {
  if (bytes.length < 2) return 'more';
  const kind = bytes[0]! & 0x0f;
  const whole = (bytes[0]! & 0x80) !== 0;
  const masked = (bytes[1]! & 0x80) !== 0;
  let size = bytes[1]! & 0x7f;
  let at = 2;
  if (size === 126) {
    if (bytes.length < 4) return 'more';
    size = bytes.readUInt16BE(2);
    at = 4;
  } else if (size === 127) return 'wrong';
  if (!whole || !masked || size > MAX_MESSAGE) return 'wrong';
  if (bytes.length < at + 4 + size) return 'more';
  const mask = bytes.subarray(at, at + 4);
  const payload = Buffer.from(bytes.subarray(at + 4, at + 4 + size));
  for (let i = 0; i < payload.length; i++) payload[i]! ^= mask[i & 3]!;
  return { kind, payload, length: at + 4 + size };
}

function send(socket: Duplex, kind: number, payload: Buffer): void {
  if (socket.destroyed) return;
  if (socket.writableLength > MAX_UNSENT) {
    socket.destroy();
    return;
  }
  const long = payload.length >= 126;
  const head = Buffer.alloc(long ? 4 : 2);
  head[0] = 0x80 | kind;
  head[1] = long ? 126 : payload.length;
  if (long) head.writeUInt16BE(payload.length, 2);
  socket.write(Buffer.concat([head, payload]));
}

server.listen(Number(port), '127.0.0.1', () => process.send?.('listening'));
process.on('disconnect', () => process.exit(0));
