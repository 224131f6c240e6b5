/**
 * A small real server to balance over: `node backend.ts NAME PORT`. Every answer carries the name in `X-Backend`.
 * It ends when the process that started it is gone.
 */
import { createServer } from 'node:http';

const [name = 'backend', port = '0'] = process.argv.slice(2);

const server = createServer((request, response) => {
  request.resume();
  response.setHeader('X-Backend', name);
  response.setHeader('Content-Type', 'text/plain');
  response.end(`${name} answers ${request.method ?? ''} ${request.url ?? ''}\n`);
});

server.on('error', (error: NodeJS.ErrnoException) => {
  console.error(`${name}: cannot listen on 127.0.0.1:${port} (${error.code ?? error.message})`);
  process.exit(1);
});
server.listen(Number(port), '127.0.0.1', () => process.send?.('listening'));

// Who started it says when it ends. The terminal's Ctrl-C comes here, too, while requests may be on their way.
process.on('SIGINT', () => {});
process.on('disconnect', () => process.exit(0));
