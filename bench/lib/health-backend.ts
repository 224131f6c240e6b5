/**
 * The servers of `npm run bench:health`: one process that answers on every address of 127.0.0.0/8 at one port, and notes when
 * it was asked by which. Told `count` by its parent, it forgets what it noted and counts anew; told `report`, it tells.
 */
import type { Socket } from 'node:net';
import { createServer } from 'node:net';

/** What the servers saw. */
export type HealthReport = {
  readonly probes: number;
  /** From one probe of a server to the next, milliseconds: at the median, of 99 in 100, the longest. */
  readonly gaps: readonly [p50: number, p99: number, worst: number];
};

const ANSWER = Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok');
const CLOSING = Buffer.from(
  'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nok',
);

/** Connecting is all that probes do. */
const connectsOnly = process.argv[2] === 'tcp';
const seen = new Map<string, number[]>();
let counting = false;

function note(socket: Socket): void {
  if (!counting) return;
  const { localAddress = '' } = socket;
  const times = seen.get(localAddress);
  if (times === undefined) seen.set(localAddress, [performance.now()]);
  else times.push(performance.now());
}

const server = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => {});
  if (connectsOnly) note(socket);
  socket.on('data', (data) => {
    note(socket);
    if (data.includes('Connection: close')) socket.end(CLOSING);
    else socket.write(ANSWER);
  });
});

function report(): HealthReport {
  const all = [...seen.values()];
  const gaps = all.flatMap((times) => times.slice(1).map((time, i) => time - times[i]!)).sort((a, b) => a - b);
  const at = (share: number): number => gaps[Math.min(gaps.length - 1, Math.floor(share * gaps.length))] ?? 0;
  return { probes: all.reduce((sum, { length }) => sum + length, 0), gaps: [at(0.5), at(0.99), at(1)] };
}

process.on('message', (message) => {
  if (message === 'count') {
    seen.clear();
    counting = true;
  } else if (message === 'report') {
    counting = false;
    process.send!(report());
  }
});
process.on('disconnect', () => process.exit());
server.listen({ host: '0.0.0.0', port: 0, backlog: 4096 }, () => {
  process.send!((server.address() as { port: number }).port);
});
