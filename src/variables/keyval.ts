/** `keyval`: a variable whose value is found by a key in a zone that all workers share, and that `set` changes there. */
import type { KeyvalConfig, KeyvalZoneConfig } from '../config/model-variables.ts';
import { FULL, KeyvalStore } from '../keyval/store.ts';
import type { End } from '../keyval/store.ts';
import { clock } from '../net/clock.ts';
import type { VariableContext } from './context.ts';
import type { KeyvalSource, KeyvalTable, KeyvalVariable } from './keyval-source.ts';

/** nginx's limit for variables that need variables. */
const MAX_DEPTH = 100;
let depth = 0;

/** The zones of a configuration, for the variables of a thread. */
export class Keyvals implements KeyvalSource {
  readonly #zones = new Map<string, { store: KeyvalStore; timeoutMs: number }>();

  /** @param memory of the zones, by name */
  constructor(zones: readonly KeyvalZoneConfig[], memory: Record<string, SharedArrayBuffer>, workerId: number) {
    for (const { name, timeoutMs } of zones) {
      this.#zones.set(name, { store: new KeyvalStore(memory[name]!, workerId), timeoutMs });
    }
  }

  compile<C extends VariableContext>({ key, variable, zone }: KeyvalConfig, table: KeyvalTable<C>): KeyvalVariable<C> {
    const { store, timeoutMs } = this.#zones.get(zone)!;
    const source = table.compile(key);
    // Filled in anew for each value that is set.
    const end: End = { at: 0, own: false };
    return {
      get: (c) => {
        if (depth >= MAX_DEPTH) {
          table.report(c, 'error', `cycle while evaluating variable "${variable}"`);
          return null;
        }
        depth++;
        try {
          return store.get(source.get(c), clock.wall);
        } finally {
          depth--;
        }
      },
      set: (c, value) => {
        const text = source.get(c);
        const now = clock.wall;
        end.at = timeoutMs === 0 ? 0 : now + timeoutMs;
        const result = store.set(text, value, end, now);
        if (result === 0) return true;
        const why = result === FULL ? 'the zone is full' : 'the key cannot be one of this zone';
        table.report(c, 'error', `keyval zone "${zone}" did not take key "${text}": ${why}`);
        return false;
      },
    };
  }
}
