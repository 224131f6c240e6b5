/** A server that does one thing at a time, each for a tenth of a second: `node server.ts PORT`. */
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

const port = Number(process.argv[2]);
let busy = 0;
let most = 0;

const server = createServer((_request, response) => {
  most = Math.max(most, ++busy);
  void sleep(100).then(() => {
    busy--;
    response.end(`at most ${most} at a time on ${port}\n`);
  });
});
server.listen(port, '127.0.0.1', () => process.send?.('listening'));
