/** Rounds of the same, after which the program must hold what it held before: memory and descriptors. */
import type { TestContext } from 'node:test';
import type { Headrace } from '../helpers/headrace.ts';
import { assertFlat, table } from '../helpers/heap.ts';
import type { Held } from '../helpers/heap.ts';
import { until } from '../helpers/wait.ts';

export interface Rounds {
  rounds: number;
  /** The first rounds load, compile and fill what is kept. */
  warm: number;
  /** How many things of which none may leave anything behind happen in a round. */
  each: number;
  /** Descriptors that may be there after a round although they were not before: idle connections to servers. */
  kept?: number;
}

/** @param round makes one round, and returns when its last thing has ended for the client */
export async function staysFlat(
  t: TestContext,
  h: Headrace,
  { rounds, warm, each, kept = 0 }: Rounds,
  round: (number: number) => Promise<void>,
): Promise<void> {
  const idle = h.descriptors() + kept;
  const held: Held[] = [];
  const resident: number[] = [];
  for (let i = 0; i < rounds; i++) {
    await round(i);
    await until(
      () => `${idle} descriptors, not ${h.descriptors()}, after round ${i}`,
      () => h.descriptors() <= idle,
    );
    held.push(await h.held());
    resident.push(h.memory());
  }
  t.diagnostic(`${rounds} rounds of ${each}: ${table(held, resident)}; ${idle} descriptors`);
  assertFlat(held.slice(warm - 1), each);
}
