/**
 * A connection that carries a tunnel from its first byte on (`tunnel_pass`). Nothing is said to the server: that it took
 * the connection is its answer.
 */
import { Buffer } from 'node:buffer';
import { SENT } from '../../../net/transport.ts';
import { ResponseHead } from '../../wire/response-head.ts';
import { CLOSED, TransportChannel } from '../transport-channel.ts';

/** The answer's head as if the server had sent it. */
const CONNECTED = new ResponseHead();
const BYTES = Buffer.from('HTTP/1.1 200 OK\r\n\r\n');
CONNECTED.reset(BYTES, 0);
CONNECTED.parse(BYTES.length);

const WAITING = 1;
const TUNNEL = 2;

export class ConnectChannel extends TransportChannel {
  protected beginAnswer(): void {
    this.state = WAITING;
  }

  sendRequest(): number {
    const { events } = this;
    // Who sends a request has more to do when it was sent; a tunnel may be over in a moment.
    queueMicrotask(() => {
      if (this.events === events && this.state === WAITING) events!.onHead(CONNECTED);
    });
    return SENT;
  }

  keepHead(): void {}

  override upgrade(): void {
    this.state = TUNNEL;
  }

  protected read(src: Buffer, pos: number, end: number): void {
    this.events?.onTunnelData(src, pos, end);
  }

  protected ended(error: Error | null): void {
    if (this.state === TUNNEL) this.events?.onTunnelEnd();
    else this.endedInHead(error);
  }

  override onClose(error: Error | null): void {
    if (this.state !== TUNNEL) {
      super.onClose(error);
      return;
    }
    const { events } = this;
    this.state = CLOSED;
    events?.onTunnelEnd();
  }
}
