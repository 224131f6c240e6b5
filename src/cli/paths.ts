/**
 * Where things are by default, and how the paths of the command line are completed.
 *
 * nginx's defaults are compiled in. Headrace is run from checkouts, containers and packages alike, so the prefix is the
 * current directory unless `-p` says otherwise, and early errors go to the terminal (as Debian builds nginx).
 */
import { resolve } from 'node:path';
import type { ConfigSource } from '../control/load-config.ts';
import type { Options } from './options.ts';

/** Relative to the prefix. */
export const DEFAULT_CONFIG_FILE = 'conf/nginx.conf';
export const DEFAULT_ANYPROXY_FILE = 'conf/anyproxy.conf';
export const DEFAULT_ERROR_LOG = 'stderr';

/** @param cwd what a relative prefix is relative to */
export function configSource(options: Options, cwd: string = process.cwd()): ConfigSource {
  const prefix = resolve(cwd, options.prefix ?? '.');
  const errorLog = options.errorLog ?? DEFAULT_ERROR_LOG;
  return {
    prefix: prefix.endsWith('/') ? prefix : `${prefix}/`,
    file: resolve(
      prefix,
      options.file ?? (options.format === 'anyproxy' ? DEFAULT_ANYPROXY_FILE : DEFAULT_CONFIG_FILE),
    ),
    ...(options.format === null ? null : { format: options.format }),
    globals: options.globals,
    errorLogPath: errorLog === 'stderr' || errorLog === '' ? 'stderr' : resolve(prefix, errorLog),
  };
}
