/** Makes the directories that a configuration names for caches and temporary files, for the user that workers run as. */
import { chownSync, mkdirSync } from 'node:fs';
import type { Config, LocationConfig, RewriteOp } from '../config/model.ts';
import { failedText } from '../observe/errno.ts';
import type { Owner } from './log-files.ts';

/** Directories of temporary files, each once. Workers make them when they need them, unless only root can. */
function temporaryDirectories(config: Config): Set<string> {
  const dirs = new Set<string>();
  const addOps = (ops: readonly RewriteOp[]): void => {
    for (const op of ops) if (op.op === 'if') addLocation(op.location);
  };
  const addLocation = (location: LocationConfig): void => {
    const { handler, core } = location;
    dirs.add(core.clientBodyTempPath);
    if ('pass' in handler) dirs.add(location[handler.kind]!.tempPath.dir);
    else if (handler.kind === 'kong') dirs.add(location.proxy.tempPath.dir);
    addOps(location.rewrite);
    for (const nested of location.locations) addLocation(nested);
    if (location.limitExcept !== null) addLocation(location.limitExcept);
  };
  for (const server of config.http?.servers ?? []) addLocation(server.root);
  return dirs;
}

/**
 * @param owner who workers will be, when that is not who this process is now; null: leave owners alone
 * @returns errors in nginx's words
 */
export function makeDirectories(config: Config, owner: Owner | null): string[] {
  const dirs = new Set((config.http?.caches ?? []).map(({ dir }) => dir));
  if (owner !== null) {
    for (const dir of temporaryDirectories(config)) dirs.add(dir);
    // What is known of a store is written there while the process runs.
    if (config.admin != null) dirs.add(config.admin.dataDir);
  }
  const failures: string[] = [];
  for (const dir of dirs) {
    try {
      const made = mkdirSync(dir, { recursive: true, mode: 0o700 });
      if (made !== undefined && owner !== null) chownSync(dir, owner.uid, owner.gid);
    } catch (error) {
      failures.push(failedText(`mkdir() "${dir}"`, error));
    }
  }
  return failures;
}
