/** How this thread reads and writes plain TCP connections (`use`). */
import type { MainConfig } from '../config/model.ts';
import { IoUring } from '../net/io-uring.ts';
import { useRing } from '../net/dial.ts';
import type { ErrorLog } from '../observe/error-log.ts';

let decided = false;

/**
 * Decides with the first configuration, for connections outlive reloads: a later one changes nothing.
 * @throws when the configuration asks for what cannot be had
 */
export function chooseEventMethod(wanted: MainConfig['eventMethod'], log: ErrorLog): void {
  if (decided) return;
  const ring = wanted === 'libuv' ? 'the configuration says so' : IoUring.open();
  if (typeof ring !== 'string') useRing(ring);
  else if (wanted === 'io_uring') throw new Error(`"use io_uring" is not possible: ${ring}`);
  decided = true;
  const method = typeof ring === 'string' ? `"libuv" event method: ${ring}` : '"io_uring" event method';
  log.write('notice', `using the ${method}`);
}
