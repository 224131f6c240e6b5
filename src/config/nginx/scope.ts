/**
 * Where modules keep what their directives said before it is merged: one raw object per module and block.
 */

/** Names a module's raw object and makes empty ones. */
export interface Slot<T extends object> {
  readonly name: string;
  readonly create: () => T;
}

/** @param create the raw object of a block in which nothing was said: unset fields are `undefined` */
export function slot<T extends object>(name: string, create: () => T): Slot<T> {
  return { name, create };
}

/** The raw objects of one block. */
export class Slots {
  private readonly raw: Map<Slot<object>, object>;

  /** @param known raw objects that exist already */
  constructor(known: readonly (readonly [Slot<object>, object])[] = []) {
    this.raw = new Map(known);
  }

  get<T extends object>(key: Slot<T>): T {
    let value = this.raw.get(key);
    if (value === undefined) {
      value = key.create();
      this.raw.set(key, value);
    }
    return value as T;
  }
}

/**
 * nginx's three levels. `main` is one for all of `http`, `srv` one a server, `loc` one a location (also one for `http`
 * and one for each server, which their locations inherit from).
 */
export interface Scope {
  readonly main: Slots;
  readonly srv: Slots;
  readonly loc: Slots;
}

/** The child's value where it is set, else the parent's: nginx's rule for all but a few directives. */
export function inherit<T extends object>(parent: T | null, child: T): T {
  if (parent === null) return { ...child };
  const merged = { ...parent };
  for (const key of Object.keys(child) as (keyof T)[]) {
    if (child[key] !== undefined) merged[key] = child[key];
  }
  return merged;
}
