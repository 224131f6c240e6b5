/**
 * Loads the configuration of the command line: at start, for `-t` and `-s`, and at each reload.
 */
import { availableParallelism } from 'node:os';
import { ConfigError, type Diagnostic } from '../config/errors.ts';
import type { Config, PeerAddress } from '../config/model.ts';
import type { LoadResult } from '../config/nginx/load.ts';
import type { ErrorLog } from '../observe/error-log.ts';

/** Where a configuration comes from; the same for the whole life of the process. */
export interface ConfigSource {
  /** Absolute, with a trailing slash. */
  prefix: string;
  /** Absolute. */
  file: string;
  /** Directives of `-g`. */
  globals: string;
  /** Early errors, and the default of `error_log`: an absolute path, or `stderr`. */
  errorLogPath: string;
}

/** A configuration that cannot be run; each message is complete and in nginx's words. */
export class ConfigRefused extends Error {
  readonly messages: readonly string[];

  constructor(messages: readonly string[]) {
    super(messages.join('; '));
    this.messages = messages;
  }
}

export type LoadConfig = (source: ConfigSource, log: ErrorLog) => Promise<Config>;

async function lookup(host: string): Promise<PeerAddress[]> {
  const { lookupHost } = await import('../discovery/hosts.ts');
  return (await lookupHost(host, 0)) ?? [];
}

/** Certificates and keys of the configuration that was loaded last: what `ssl_object_cache_inheritable` is about. */
let objects: LoadResult['objects'] | undefined;

/**
 * Parses and checks an nginx.conf; its warnings go to the log.
 *
 * @throws {ConfigRefused}
 */
export const loadConfig: LoadConfig = async ({ prefix, file, globals, errorLogPath }, log) => {
  const { loadNginxConfig } = await import('../config/nginx/load.ts');
  try {
    const result = await loadNginxConfig({
      prefix,
      file,
      globals,
      errorLogOverride: errorLogPath,
      cpuCount: availableParallelism(),
      lookup,
      ...(objects === undefined ? null : { objects }),
    });
    objects = result.objects;
    say(result.warnings, log);
    const { config } = result;
    if (config.admin == null) return config;
    const { withKong } = await import('./kong/with-kong.ts');
    return await withKong(config);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    say(error.warnings, log);
    throw new ConfigRefused([error.message]);
  }
};

function say(warnings: readonly Diagnostic[], log: ErrorLog): void {
  for (const { level, message } of warnings) log.write(level, message);
}
