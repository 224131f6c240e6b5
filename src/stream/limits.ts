/** `limit_conn` of sessions: slots in zones that all workers share. */
import type { LimitSettings } from '../config/model-access.ts';
import { REFUSED } from '../limit/connections.ts';
import type { ConnectionTable } from '../limit/connections.ts';
import { LIMIT } from '../observe/counters.ts';
import type { Value } from '../variables/value.ts';
import type { Session } from './session.ts';

/** Keys are cut off by nginx's one byte of length. */
const MAX_KEY = 255;

/** One more of a key is under way. */
export interface LimitSlot {
  table: ConnectionTable;
  node: number;
}

export interface SessionLimit {
  zone: string;
  /** As written, for logs. */
  keyText: string;
  table: ConnectionTable;
  key: Value<Session>;
  connections: number;
  /** What the zone decided (`LIMIT`). */
  counts: Float64Array;
}

export class SessionLimits {
  readonly #limits: readonly SessionLimit[];
  readonly #settings: LimitSettings;

  constructor(limits: readonly SessionLimit[], settings: LimitSettings) {
    this.#limits = limits;
    this.#settings = settings;
  }

  /** @returns false: there are too many, and the session holds no slot */
  enter(s: Session): boolean {
    const slots: LimitSlot[] = [];
    const { dryRun, logLevel } = this.#settings;
    for (const { zone, keyText, table, key, connections, counts } of this.#limits) {
      const text = key.get(s);
      if (text === '') continue;
      if (text.length > MAX_KEY) {
        s.log('error', `the value of the "${keyText}" key is more than ${MAX_KEY} bytes: "${text}"`);
        continue;
      }
      s.limitStatus = 'PASSED';
      const node = table.take(text, connections);
      if (node !== REFUSED) {
        counts[LIMIT.passed]!++;
        slots.push({ table, node });
        continue;
      }
      s.log(logLevel, `limiting connections${dryRun ? ', dry run,' : ''} by zone "${zone}"`);
      counts[dryRun ? LIMIT.rejectedDryRun : LIMIT.rejected]!++;
      s.limitStatus = dryRun ? 'REJECTED_DRY_RUN' : 'REJECTED';
      releaseSlots(slots);
      return dryRun;
    }
    if (slots.length > 0) s.slots = slots;
    return true;
  }
}

export function releaseSlots(slots: readonly LimitSlot[]): void {
  for (const { table, node } of slots) table.release(node);
}
