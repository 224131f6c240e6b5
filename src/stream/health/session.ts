/** Stands for a client's session where there is none: variables that speak of a client are empty. */
import type { LogLevel } from '../../config/model.ts';
import type { StreamListen } from '../listen.ts';
import type { StreamServer } from '../runtime.ts';
import { Session } from '../session.ts';

const NOBODY = { text: '', port: 0, bytes: new Uint8Array(0) };

export class ProbeSession extends Session {
  readonly udp: boolean;
  readonly sent = 0;
  readonly upstreamBytes = null;
  readonly #place: string;

  /** @param place what the log calls the check */
  constructor(server: StreamServer, udp: boolean, place: string) {
    super(nowhere(server), NOBODY);
    this.udp = udp;
    this.#place = place;
  }

  localAddress(): string {
    return '';
  }

  localPort(): number {
    return 0;
  }

  override log(level: LogLevel, message: string): void {
    this.server.log.write(level, `${message}, ${this.#place}`);
  }

  finalize(): void {}
  shutdown(): void {}
}

/** A listening address that nobody has come by. */
function nowhere(server: StreamServer): StreamListen {
  const generation = { active: 0, leave() {} };
  const sessions = { add() {}, remove() {} };
  return { runtime: { generation, defaultServer: server }, sessions, address: '' } as unknown as StreamListen;
}
