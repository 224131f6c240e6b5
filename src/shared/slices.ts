/**
 * Long work of a thread in slices, so that nothing else there (in the main thread: probes, names, answers) waits for it
 * longer than `SLICE_MS`: pages that speak of thousands of servers, looks of the dashboard, state files. However much is
 * under way, one slice of it is done in a turn of the event loop.
 */
/** Others wait so long at most, for one slice. A step that has begun is finished, so it must be much shorter. */
export const SLICE_MS = 1;
const waiting: (() => void)[] = [];
let scheduled = false;

function turn(): void {
  const slice = waiting.shift();
  scheduled = waiting.length > 0;
  if (scheduled) setImmediate(turn);
  slice?.();
}

/** Calls `slice` in a turn of its own. */
export function inTurn(slice: () => void): void {
  waiting.push(slice);
  if (scheduled) return;
  scheduled = true;
  setImmediate(turn);
}

/** Runs all steps of some work, in slices. `goOn` is asked before each of them. @returns when it is done, or given up */
export function runSliced(steps: Iterator<unknown>, goOn: () => boolean = () => true): Promise<void> {
  return new Promise((resolve, reject) => {
    const slice = (): void => {
      try {
        const until = performance.now() + SLICE_MS;
        do {
          if (!goOn() || steps.next().done === true) return resolve();
        } while (performance.now() < until);
      } catch (error) {
        return reject(error as Error);
      }
      inTurn(slice);
    };
    inTurn(slice);
  });
}
