/**
 * A backend that answers with what it was asked, byte for byte where it matters: request line, headers, body. Paths that begin with `/raw/` are answered with bytes from a table instead.
 */
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

export interface RawAnswer {
  text: string;
  /** Closes the connection behind it. */
  close?: boolean;
}

export interface Echo {
  port: number;
  /** How many connections came. */
  connections(): number;
  close(): Promise<void>;
}

/** The end of a request in `text`: null while it is not all there. */
function endOf(text: string): number | null {
  const head = text.indexOf('\r\n\r\n');
  if (head === -1) return null;
  const lines = text.slice(0, head).toLowerCase();
  if (/\r\ntransfer-encoding: *chunked/.test(lines)) {
    const end = /(?:^|\r\n)0\r\n\r\n/.exec(text.slice(head + 4));
    return end === null ? null : head + 4 + end.index + end[0].length;
  }
  const length = Number(/\r\ncontent-length: *(\d+)/.exec(lines)?.[1] ?? 0);
  return text.length >= head + 4 + length ? head + 4 + length : null;
}

/**
 * Requests are told as they came, in lines that can be read. The body of a chunked request is put
 * together: where its chunks begin is nobody's business.
 */
function told(request: string): string {
  const head = request.indexOf('\r\n\r\n');
  let body = request.slice(head + 4);
  const lines = request.slice(0, head).split('\r\n');
  if (lines.some((line) => /^transfer-encoding: *chunked/i.test(line))) {
    let whole = '';
    for (let rest = body; ;) {
      const line = /^([0-9a-f]+)[^\r\n]*\r\n/i.exec(rest);
      const size = Number.parseInt(line?.[1] ?? '0', 16);
      if (line === null || size === 0) break;
      whole += rest.slice(line[0].length, line[0].length + size);
      rest = rest.slice(line[0].length + size + 2);
    }
    body = whole;
  }
  // White space around values and the order of fields carry no meaning; the order of fields of one name does.
  const [first, ...fields] = lines.map((line) => line.replace(/^([^ :]+):[ \t]*(.*?)[ \t]*$/, '$1: $2'));
  const name = (field: string): string => field.slice(0, field.indexOf(':')).toLowerCase();
  fields.sort((a, b) => (name(a) < name(b) ? -1 : name(a) > name(b) ? 1 : 0));
  return `${[first, ...fields].join('\n')}\n\n${body}`;
}

export async function startEcho(name: string, raw: Record<string, RawAnswer> = {}): Promise<Echo> {
  const sockets = new Set<Socket>();
  let count = 0;
  const answer = (socket: Socket, request: string): void => {
    const path = /^\S+ \/raw\/(\w+)/.exec(request)?.[1];
    const known = path === undefined ? undefined : raw[path];
    if (known !== undefined) {
      socket.write(known.text, 'latin1');
      if (known.close) socket.end();
      return;
    }
    const text = told(request);
    const { length } = text;
    const body = request.startsWith('HEAD ') ? '' : text;
    socket.write(
      `HTTP/1.1 200 OK\r\nX-Backend: ${name}\r\nContent-Type: text/plain\r\nContent-Length: ${length}\r\n\r\n${body}`,
      'latin1',
    );
    if (/^\S+ \S+ HTTP\/1\.0\r\n/.test(request) || /\r\nconnection: *close/i.test(request)) socket.end();
  };
  const server = createServer((socket) => {
    count++;
    sockets.add(socket);
    let text = '';
    socket.setEncoding('latin1');
    socket.setNoDelay(true);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', (data: string) => {
      text += data;
      for (let end = endOf(text); end !== null; end = endOf(text)) {
        const request = text.slice(0, end);
        text = text.slice(end);
        answer(socket, request);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    connections: () => count,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
