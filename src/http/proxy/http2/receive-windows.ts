/**
 * What a server may send: as much as there can be. It is TCP that holds it back (one stream has the connection for itself),
 * but the windows have to be opened again from time to time.
 */
import { Output } from '../../../net/output.ts';
import type { Transport } from '../../../net/transport.ts';
import { MAX_WINDOW } from '../../wire/h2/constants.ts';
import { writeWindowUpdate } from '../../wire/h2/frame-writer.ts';

const control = new Output();

export class ReceiveWindows {
  #connection: number = MAX_WINDOW;
  #stream: number = MAX_WINDOW;

  begin(): void {
    this.#stream = MAX_WINDOW;
  }

  /**
   * Takes a DATA frame of `n` bytes off the windows.
   * @param id of the stream that is open; 0: the frame belongs to none
   * @returns false: it is more than was allowed
   */
  take(n: number, id: number, transport: Transport): boolean {
    if (n > this.#connection || (id !== 0 && n > this.#stream)) return false;
    control.length = 0;
    this.#connection -= n;
    if (this.#connection < MAX_WINDOW / 4) {
      writeWindowUpdate(control, 0, MAX_WINDOW - this.#connection);
      this.#connection = MAX_WINDOW;
    }
    if (id !== 0) {
      this.#stream -= n;
      if (this.#stream < MAX_WINDOW / 4) {
        writeWindowUpdate(control, id, MAX_WINDOW - this.#stream);
        this.#stream = MAX_WINDOW;
      }
    }
    if (control.length > 0) transport.write(control.buf, 0, control.length);
    return true;
  }
}
