/**
 * A server that authenticates connections, in the manner of NTLM but with plain words for its messages:
 * `node server.ts PORT`. A connection begins with `Authorization: NTLM hello`, is given a challenge of its own, and answers it with
 * `Authorization: NTLM CHALLENGE NAME`. From then on every request on it is that user's.
 */
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { Socket } from 'node:net';

const port = Number(process.argv[2]);

interface Context {
  challenge: string;
  user: string;
}
const contexts = new WeakMap<Socket, Context>();

const server = createServer((request, response) => {
  const context = contexts.get(request.socket) ?? { challenge: '', user: '' };
  contexts.set(request.socket, context);
  const [scheme, word = '', name = ''] = (request.headers.authorization ?? '').split(' ');
  if (scheme === 'NTLM' && word === 'hello') {
    context.challenge = randomUUID();
    response.writeHead(401, { 'WWW-Authenticate': `NTLM ${context.challenge}` }).end();
    return;
  }
  if (scheme === 'NTLM' && context.challenge !== '' && word === context.challenge) context.user = name;
  if (context.user === '') response.writeHead(401, { 'WWW-Authenticate': 'NTLM' }).end();
  else response.end(`${context.user} on ${port}\n`);
});
server.keepAliveTimeout = 3_600_000;
server.listen(port, '127.0.0.1', () => process.send?.('listening'));
