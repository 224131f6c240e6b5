/**
 * Descriptors that a thread holds without Node's knowledge. Node closes its own when a thread dies, whatever it dies of;
 * these are noted in memory that the main thread sees, so that it can close them: a client of the dead thread must see
 * the end, and a socket that it listened on must not be given connections any more.
 */
import { closeSync } from 'node:fs';

/** Descriptors from this number on are not noted. */
const MOST = 1 << 20;

let noted: Uint8Array | null = null;

/** Memory for the descriptors of one thread. */
export function descriptorTable(): SharedArrayBuffer {
  return new SharedArrayBuffer(MOST);
}

/** From now on those of this thread are noted. */
export function noteDescriptorsIn(table: SharedArrayBuffer): void {
  noted = new Uint8Array(table);
}

/** It is ours to close. */
export function holds(fd: number): void {
  if (noted !== null && fd < MOST) noted[fd] = 1;
}

/** It is being closed, or is somebody else's. */
export function letsGo(fd: number): void {
  if (noted !== null && fd < MOST) noted[fd] = 0;
}

/** Closes what a thread has left behind that is no more. @returns how many there were */
export function closeLeftBehind(table: SharedArrayBuffer): number {
  const left = new Uint8Array(table);
  let closed = 0;
  for (let fd = left.indexOf(1); fd >= 0; fd = left.indexOf(1, fd + 1)) {
    left[fd] = 0;
    try {
      closeSync(fd);
      closed++;
    } catch {
      // It died while it closed it.
    }
  }
  return closed;
}
