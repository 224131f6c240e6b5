/**
 * A server of lines over TCP, and of datagrams over UDP, that can fall ill: `node server.ts PORT`. It answers PING with PONG
 * while it is well; SICK and WELL change that; anything else is answered with its port.
 */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

const port = Number(process.argv[2]);
let well = true;

/** @returns null: it keeps silent */
function answer(line: string): string | null {
  if (line === 'PING') return well ? '+PONG' : null;
  if (line === 'SICK' || line === 'WELL') well = line === 'WELL';
  return `${line} to ${port}`;
}

const tcp = createServer((socket) => {
  socket.on('error', () => {});
  socket.on('data', (data) => {
    const text = answer(data.toString().trim());
    if (text !== null) socket.write(`${text}\r\n`);
  });
});

const udp = createSocket('udp4');
udp.on('message', (data, from) => {
  const text = answer(data.toString().trim());
  if (text !== null) udp.send(`${text}\r\n`, from.port, from.address);
});

tcp.listen(port, '127.0.0.1', () => udp.bind(port, '127.0.0.1', () => process.send?.('listening')));
