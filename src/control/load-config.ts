/**
 * Loads the configuration of the command line: at start, for `-t` and `-s`, and at each reload.
 */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { looksLikeAnyproxy } from '../config/anyproxy/detect.ts';
import { ConfigError, type Diagnostic } from '../config/errors.ts';
import type { Config, PeerAddress } from '../config/model.ts';
import type { LoadOptions, LoadResult } from '../config/nginx/load.ts';
import type { ErrorLog } from '../observe/error-log.ts';
import { checkTransports } from './transports.ts';

/** Where a configuration comes from; the same for the whole life of the process. */
export interface ConfigSource {
  /** Absolute, with a trailing slash. */
  prefix: string;
  /** Absolute. */
  file: string;
  /** Language of the file; absent: its text tells. */
  format?: 'nginx' | 'anyproxy';
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
 * Parses and checks a configuration; its warnings go to the log.
 *
 * @throws {ConfigRefused}
 */
export const loadConfig: LoadConfig = async ({ prefix, file, format, globals, errorLogPath }, log) => {
  try {
    const load = await loaderOf(file, format);
    const result = await load({
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
    await checkTransports(config);
    if (config.admin == null) return config;
    const { withKong } = await import('./kong/with-kong.ts');
    return await withKong(config);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    say(error.warnings, log);
    throw new ConfigRefused([error.message]);
  }
};

type Load = (options: LoadOptions) => Promise<LoadResult>;

/** The door for a file: any-proxy's or nginx's, by `--format` or by its text. */
async function loaderOf(file: string, format: ConfigSource['format']): Promise<Load> {
  if ((format ?? formatOf(file)) === 'anyproxy') {
    const { loadAnyproxyConfig } = await import('../config/anyproxy/load.ts');
    return loadAnyproxyConfig;
  }
  const { loadNginxConfig } = await import('../config/nginx/load.ts');
  return loadNginxConfig;
}

function formatOf(file: string): 'nginx' | 'anyproxy' {
  try {
    return looksLikeAnyproxy(readFileSync(file, 'latin1')) ? 'anyproxy' : 'nginx';
  } catch {
    // nginx's loader says what is wrong with the file.
    return 'nginx';
  }
}

function say(warnings: readonly Diagnostic[], log: ErrorLog): void {
  for (const { level, message } of warnings) log.write(level, message);
}
