/** The thread that checks slow passwords, so that the ones that carry traffic do not wait for them. */
import { parentPort } from 'node:worker_threads';
import { UnknownMethod, verifyPassword } from './verify.ts';

export interface Question {
  id: number;
  password: string;
  stored: string;
}

export interface Answer {
  id: number;
  /** A text: why it could not be told. */
  outcome: boolean | string;
}

parentPort!.on('message', ({ id, password, stored }: Question) => {
  let outcome: Answer['outcome'];
  try {
    outcome = verifyPassword(password, stored);
  } catch (error) {
    outcome = error instanceof UnknownMethod ? `${error.message} is not supported` : String(error);
  }
  parentPort!.postMessage({ id, outcome } satisfies Answer);
});
