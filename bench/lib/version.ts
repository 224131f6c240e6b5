/** Versions of installed programs. */
import { spawnSync } from 'node:child_process';

/** Runs a program and finds its version in what it says; undefined when it is not installed. */
export function versionOf(file: string, args: readonly string[], pattern: RegExp): string | undefined {
  const { error, stdout, stderr } = spawnSync(file, args, { encoding: 'utf8', timeout: 10000 });
  if (error) return undefined;
  return pattern.exec(stdout + stderr)?.[1] ?? 'unknown';
}
