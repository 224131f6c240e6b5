/**
 * The backends where nginx is not installed: `node backend-node.ts HOST PORT...`, a cluster of two processes in which
 * each listens on every port.
 */
import cluster from 'node:cluster';
import { createServer } from 'node:http';
import { answer } from './backends.ts';
import { MIB, SMALL } from './scenarios.ts';

const [host, ...ports] = process.argv.slice(2);

if (cluster.isPrimary) {
  for (let i = 0; i < 2; i++) cluster.fork();
  process.once('SIGTERM', () => {
    for (const worker of Object.values(cluster.workers ?? {})) worker?.process.kill('SIGKILL');
    process.exit();
  });
} else {
  ports.forEach((port, index) => {
    const small = Buffer.from(answer(index + 1, SMALL));
    const big = Buffer.from(answer(index + 1, MIB));
    const server = createServer({ keepAliveTimeout: 3_600_000 }, (request, response) => {
      const body = request.url === '/big' ? big : small;
      const send = (): void => {
        response.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': body.length });
        response.end(body);
      };
      request.on('end', send).resume();
    });
    server.maxRequestsPerSocket = 0;
    server.listen(Number(port), host, 4096);
  });
}
