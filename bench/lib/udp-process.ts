/**
 * Its own process for UDP: `echo COUNT` serves on so many ports; `load PORT CLIENTS SECONDS` keeps one datagram of each
 * client under way. A datagram that is lost is sent again after a second, and counted.
 */
import { createSocket, type Socket } from 'node:dgram';
import { SMALL } from './scenarios.ts';

const LOST_MILLIS = 1000;

async function bind(): Promise<Socket> {
  const socket = createSocket({
    type: 'udp4',
    lookup: (host, _options, callback) => callback(null, host, 4),
  });
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  return socket;
}

async function echo(count: number): Promise<void> {
  const sockets = await Promise.all(Array.from({ length: count }, bind));
  for (const socket of sockets) {
    socket.on('message', (datagram, from) => socket.send(datagram, from.port, from.address));
  }
  console.log(`PORTS ${JSON.stringify(sockets.map((socket) => socket.address().port))}`);
}

async function load(port: number, clients: number, seconds: number): Promise<void> {
  const datagram = Buffer.alloc(SMALL, 'x');
  const times: number[] = [];
  let lost = 0;
  const sockets = await Promise.all(Array.from({ length: clients }, bind));
  const sentAt = new Float64Array(clients);
  const began = performance.now();
  const send = (i: number): void => {
    sentAt[i] = performance.now();
    sockets[i]!.send(datagram, port, '127.0.0.1');
  };
  for (const [i, socket] of sockets.entries()) {
    socket.on('message', () => {
      times.push(performance.now() - sentAt[i]!);
      send(i);
    });
    send(i);
  }
  const again = setInterval(() => {
    for (let i = 0; i < clients; i++) {
      if (performance.now() - sentAt[i]! < LOST_MILLIS) continue;
      lost++;
      send(i);
    }
  }, LOST_MILLIS);
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  clearInterval(again);
  const took = (performance.now() - began) / 1000;
  for (const socket of sockets) socket.close();
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.floor((sorted.length - 1) * share)] ?? 0;
  const errors = lost > times.length / 1000 ? { lost } : {};
  console.log(
    `RESULT ${JSON.stringify({ requests: times.length, seconds: took, p50Millis: at(0.5), p99Millis: at(0.99), errors })}`,
  );
}

const [what, ...args] = process.argv.slice(2);
if (what === 'echo') await echo(Number(args[0]));
else await load(Number(args[0]), Number(args[1]), Number(args[2]));
