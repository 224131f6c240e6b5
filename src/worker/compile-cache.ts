/**
 * Node's cache of compiled code (and of TypeScript with its types stripped), which the launcher switches on by
 * NODE_COMPILE_CACHE. Node writes it at the end of a process; a server that is killed would never get there.
 */

/** Writes what this thread has compiled and the cache does not have yet. Does nothing when there is no cache. */
export function saveCompileCache(): void {
  process.getBuiltinModule('node:module').flushCompileCache?.();
}
