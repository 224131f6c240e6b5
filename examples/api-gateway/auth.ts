/**
 * A small authorisation service: `node auth.ts PORT`. Asked with `X-API-Key`, `X-Original-Method` and `X-Original-URI`, it
 * answers 204 and who that is in `X-Consumer`, 401 for a key that it does not know, 403 for what the key may not do.
 */
import { createServer } from 'node:http';

const [port = '0'] = process.argv.slice(2);

interface Consumer {
  name: string;
  /** Paths that may be asked for begin so. */
  paths: string[];
  mayChange: boolean;
}

// A real one would look into a database, and compare hashes.
const consumers = new Map<string, Consumer>([
  ['anna-key', { name: 'anna', paths: ['/orders/', '/stock/'], mayChange: true }],
  ['boris-key', { name: 'boris', paths: ['/stock/'], mayChange: false }],
]);

const server = createServer((request, response) => {
  request.resume();
  const { 'x-api-key': key, 'x-original-method': method, 'x-original-uri': uri } = request.headers;
  const consumer = consumers.get(String(key));
  if (consumer === undefined) {
    response.writeHead(401, { 'WWW-Authenticate': 'ApiKey realm="gateway"' }).end();
    return;
  }
  const reads = method === 'GET' || method === 'HEAD';
  const allowed = consumer.paths.some((path) => String(uri).startsWith(path)) && (reads || consumer.mayChange);
  response.writeHead(allowed ? 204 : 403, { 'X-Consumer': consumer.name }).end();
});

server.listen(Number(port), '127.0.0.1', () => process.send?.('listening'));
process.on('disconnect', () => process.exit(0));
