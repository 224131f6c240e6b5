/** A server that can fall ill: `node app.ts PORT`; POST /sick, POST /well. */
import { createServer } from 'node:http';

let well = true;
const server = createServer((request, response) => {
  if (request.method === 'POST') well = request.url === '/well';
  const healthy = well || request.url !== '/health';
  response.statusCode = healthy ? 200 : 503;
  response.end(`${healthy ? 'ready' : 'ill'} on ${request.socket.localPort}\n`);
});
server.listen(Number(process.argv[2]), '127.0.0.1');
