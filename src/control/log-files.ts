/**
 * Opens every log file that a configuration names, so that one that cannot be written is an error at start, at reload
 * and with `-t`, and so that the files exist before the first line.
 */
import { chownSync, closeSync, openSync, statSync } from 'node:fs';
import type { Config, ErrorLogTarget, LocationConfig, LogConfig, RewriteOp } from '../config/model.ts';
import { LOG_FLAGS } from '../observe/append-file.ts';
import { failedText } from '../observe/errno.ts';

/** Paths of files that a configuration logs to, each once; those with variables are left out. */
export function logFiles(config: Config): Set<string> {
  const paths = new Set<string>();
  const addErrorLogs = (targets: readonly ErrorLogTarget[]): void => {
    for (const target of targets) if (target.kind === 'file') paths.add(target.path);
  };
  const addOps = (ops: readonly RewriteOp[]): void => {
    for (const op of ops) {
      if (op.op !== 'if') continue;
      addLocation(op.location);
      addOps(op.ops);
    }
  };
  const addAccessLogs = ({ access }: LogConfig): void => {
    for (const { target } of access) {
      if (target.kind === 'file' && !target.path.includes('$')) paths.add(target.path);
    }
  };
  const addLocation = (location: LocationConfig): void => {
    if (location.core.errorLog !== null) addErrorLogs(location.core.errorLog);
    addAccessLogs(location.log);
    addOps(location.rewrite);
    for (const nested of location.locations) addLocation(nested);
    if (location.limitExcept !== null) addLocation(location.limitExcept);
  };

  addErrorLogs(config.main.errorLog);
  for (const server of config.http?.servers ?? []) {
    addOps(server.rewrite);
    addLocation(server.root);
  }
  for (const { core, log } of config.stream?.servers ?? []) {
    if (core.errorLog !== null) addErrorLogs(core.errorLog);
    addAccessLogs(log);
  }
  return paths;
}

/** Who the files must belong to when the process gives up root's rights (`user`). */
export interface Owner {
  uid: number;
  gid: number;
}

/**
 * @param owner null: leave the files' owner alone
 * @returns errors in nginx's words
 */
export function openLogFiles(config: Config, owner: Owner | null = null): string[] {
  const failures: string[] = [];
  for (const path of logFiles(config)) {
    try {
      closeSync(openSync(path, LOG_FLAGS, 0o644));
      if (owner !== null) giveTo(path, owner);
    } catch (error) {
      failures.push(failedText(`open() "${path}"`, error));
    }
  }
  return failures;
}

/** nginx too hands log files to the workers' user, so that they can be reopened. Devices stay as they are. */
export function giveTo(path: string, owner: Owner): void {
  const stat = statSync(path);
  if (stat.isFile() && stat.uid !== owner.uid) chownSync(path, owner.uid, stat.gid);
}
