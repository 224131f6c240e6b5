/** Free ports that can be named before somebody listens on them. */
import { createServer } from 'node:net';

/**
 * Below the range from which the kernel takes ports of outgoing connections: nothing takes one of these by chance
 * between our probe and the listener's start.
 */
const FIRST = 11_000;
const COUNT = 20_000;
const given = new Set<number>();

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '0.0.0.0', () => server.close(() => resolve(true)));
  });
}

/** A port on which nobody listens. */
export async function freePort(): Promise<number> {
  for (let i = 0; i < 1000; i++) {
    const port = FIRST + Math.floor(Math.random() * COUNT);
    if (!given.has(port) && (await isFree(port))) {
      given.add(port);
      return port;
    }
  }
  throw new Error('no free port');
}
