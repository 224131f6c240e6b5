/** Ports, and asking a server until it answers. */
import { connect, createServer, type Server } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Running } from './proc.ts';

/** `count` different free TCP ports of `host`: all are held open until the last one is known. */
export async function freePorts(count: number, host = '127.0.0.1'): Promise<number[]> {
  const servers: Server[] = [];
  const ports: number[] = [];
  for (let i = 0; i < count; i++) {
    const server = createServer();
    servers.push(server);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, host, resolve);
    });
    ports.push((server.address() as { port: number }).port);
  }
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** One request on a connection of its own; true if the answer begins with a 200. Never throws. */
function asks200(port: number, tls: boolean, path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = tls
      ? connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false })
      : connect({ port, host: '127.0.0.1' });
    let text = '';
    const end = (answered: boolean): void => {
      socket.destroy();
      resolve(answered);
    };
    socket.setTimeout(5000, () => end(false));
    socket.on('error', () => end(false));
    socket.on('close', () => end(false));
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1', 0, 64);
      if (text.length >= 12) end(text.startsWith('HTTP/1.1 200'));
    });
    socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`);
  });
}

/**
 * Asks until there is a 200, every millisecond. Throws with what the process wrote when it ends before or is not
 * there after `limitMillis`.
 */
export async function untilAnswers(process: Running, port: number, tls: boolean, limitMillis = 15000): Promise<void> {
  const limit = performance.now() + limitMillis;
  while (!(await asks200(port, tls, '/small'))) {
    if (!process.alive()) throw new Error(`it ended at once: ${process.output() || 'without a word'}`);
    if (performance.now() > limit) throw new Error(`no answer within ${limitMillis} ms: ${process.output()}`);
    await sleep(1);
  }
}
