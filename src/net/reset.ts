import type { Socket } from 'node:net';

/** Closes at once, by RST where there is such a thing, so that the peer sees the cut. */
export function reset(socket: Socket): void {
  try {
    socket.resetAndDestroy();
  } catch {
    // Node throws for what is not TCP itself: unix sockets, and its own TLS.
    socket.destroy();
  }
}
