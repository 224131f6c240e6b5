/** What a client's connection is doing, and what its timer waits for. */

/** Waiting for a head, or reading one. */
export const HEAD = 0;
/** A request is under way and its body is still arriving. */
export const BODY = 1;
/** A request is under way, its body is complete. */
export const BUSY = 2;
/** Upgraded: bytes pass through. */
export const TUNNEL = 3;
/** The answer is out, the connection will close; what still arrives is thrown away. */
export const LINGER = 4;
export const CLOSED = 5;
/** The client is gone, but its request goes on until its answer begins (proxy_ignore_client_abort). */
export const ORPHANED = 6;

/** What the timer waits for. */
export const WAIT_HEAD = 0;
export const WAIT_IDLE = 1;
export const WAIT_BODY = 2;
export const WAIT_SEND = 3;
export const WAIT_LINGER = 4;
