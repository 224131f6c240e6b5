/** Waiting without depending on timing: ask until it is so, with a bound. */
import { setTimeout as sleep } from 'node:timers/promises';

/** How long a wait may last before it fails, in milliseconds. Generous: machines that test are busy. */
export const PATIENCE_MS = 60_000;

/** Asks until the answer is true (or something else that counts as true) and returns it; fails with `what` after a while. */
export async function until<T>(
  what: string | (() => string),
  ask: () => T | Promise<T>,
  patienceMs = PATIENCE_MS,
): Promise<NonNullable<T>> {
  const end = performance.now() + patienceMs;
  for (;;) {
    const answer = await ask();
    if (answer) return answer as NonNullable<T>;
    if (performance.now() > end)
      throw new Error(`waited ${patienceMs} ms for: ${typeof what === 'string' ? what : what()}`);
    await sleep(10);
  }
}

/** The promise's value, or a failure that names `what` when it takes too long. */
export async function within<T>(
  what: string | (() => string),
  promise: Promise<T>,
  patienceMs = PATIENCE_MS,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`waited ${patienceMs} ms for: ${typeof what === 'string' ? what : what()}`)),
      patienceMs,
    );
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Where clean-up is registered: a test's context, or `{ after }` of a suite. */
export interface Scope {
  after(fn: () => unknown): void;
}

/**
 * Clean-up of a whole file or suite. Called where tests are declared: `after` called inside a `before` hook would run
 * when the hook is over.
 */
export function suiteScope(after: (fn: () => Promise<void>) => void): Scope {
  const tasks: (() => unknown)[] = [];
  after(async () => {
    for (const task of tasks.toReversed()) await task();
  });
  return { after: (fn) => void tasks.push(fn) };
}
