/**
 * Checks passwords without holding up traffic: quick forms at once, slow ones (rounds of hashing) in a thread of their
 * own, one at a time. What was found right is remembered by a keyed digest, as a client sends its password with every
 * request and each check would cost milliseconds.
 */
import { hash, randomBytes } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import { entryFile } from '../../../place.ts';
import type { Answer, Question } from './thread.ts';
import { isSlow, verifyPassword } from './verify.ts';

/** Passwords that wait to be checked; more are turned away. */
const MAX_WAITING = 512;
/** Passwords that are remembered. */
const MAX_KNOWN = 4096;

/** A text: why it could not be told. */
export type Outcome = boolean | string;

type Callback = (outcome: Outcome) => void;

const secret = randomBytes(32).toString('latin1');
const known = new Set<string>();
const waiting = new Map<number, { callback: Callback; digest: string }>();
let thread: Worker | null = null;
let lastId = 0;

/**
 * Checks a password.
 *
 * @param later called when the answer takes time, unless `forget` was called with the number before
 * @returns the answer, or a number: `later` will be told
 */
export function checkPassword(password: string, stored: string, later: Callback): Outcome | number {
  if (!isSlow(stored)) return verifyPassword(password, stored);
  const digest = hash('sha256', `${secret}${stored.length} ${stored}${password}`, 'base64');
  if (known.has(digest)) return true;
  if (waiting.size >= MAX_WAITING) return `more than ${MAX_WAITING} passwords wait to be checked`;
  thread ??= startThread();
  const id = ++lastId;
  waiting.set(id, { callback: later, digest });
  thread.postMessage({ id, password, stored } satisfies Question);
  return id;
}

/** Nobody waits for the answer any more. */
export function forgetPassword(id: number): void {
  const entry = waiting.get(id);
  // The entry stays until the thread has answered: what it has to do is what the limit is about.
  if (entry !== undefined) entry.callback = () => {};
}

function startThread(): Worker {
  const worker = new Worker(entryFile('http/access/crypt/thread'));
  worker.on('message', ({ id, outcome }: Answer) => {
    const entry = waiting.get(id);
    if (entry === undefined) return;
    waiting.delete(id);
    if (outcome === true) remember(entry.digest);
    entry.callback(outcome);
  });
  const lost = (why: string): void => {
    if (thread !== worker) return;
    thread = null;
    const lostEntries = [...waiting.values()];
    waiting.clear();
    for (const { callback } of lostEntries) callback(why);
  };
  worker.on('error', (error) => lost(`the thread that checks passwords died: ${String(error)}`));
  worker.on('exit', () => lost('the thread that checks passwords ended'));
  worker.unref();
  return worker;
}

function remember(digest: string): void {
  if (known.size >= MAX_KNOWN) known.delete(known.values().next().value!);
  known.add(digest);
}
