/** The door for any-proxy's configuration: text in, `Config` out. */
import path from 'node:path';
import { decodeText, encodeText } from '../bytes.ts';
import { ConfigError, at } from '../errors.ts';
import type { Place } from '../model.ts';
import { errnoText } from '../nginx/cycle.ts';
import type { Cycle, LookupAddress } from '../nginx/cycle.ts';
import { isGlob } from '../nginx/glob.ts';
import { loadNginxConfig } from '../nginx/load.ts';
import type { LoadOptions, LoadResult } from '../nginx/load.ts';
import { setByCommandLine } from '../nginx/modules/core.ts';
import type { Statement } from '../nginx/statements.ts';
import { parseAnyproxy } from './syntax.ts';
import { translate } from './translate.ts';

/**
 * Reads and checks a configuration.
 *
 * @throws {ConfigError} of the first mistake
 */
export function loadAnyproxyConfig(options: LoadOptions): Promise<LoadResult> {
  // Servers of a name are in one order everywhere: where a client goes may depend on it.
  const lookup = async (host: string): Promise<LookupAddress[]> => sorted(await options.lookup(host));
  return loadNginxConfig({ ...options, lookup, read: (cycle) => readFiles(cycle) });
}

function readFiles(cycle: Cycle): Statement[] {
  const file = cycle.options.file;
  const main = read(cycle, encodeText(file), null);
  const items = parseAnyproxy(main.file, main.text, {
    platform: process.platform,
    include(value, from) {
      const name = value.startsWith('/') ? value : `${encodeText(path.dirname(from.file))}/${value}`;
      const pattern = path.posix.normalize(name);
      const files = isGlob(pattern) ? cycle.glob(pattern) : [pattern];
      return files.map((one) => read(cycle, one, from));
    },
  });
  return translate(items, {
    cpuCount: cycle.options.cpuCount,
    given: setByCommandLine(cycle),
    place: { file: main.file, line: 1 },
    path: (name) => path.posix.normalize(cycle.fullName(name)),
    warn: (text, place) => cycle.warn(text, place),
  });
}

/** @param file a byte string; @throws {ConfigError} */
function read(cycle: Cycle, file: string, from: Place | null): { file: string; text: string } {
  const shown = decodeText(file);
  try {
    const text = cycle.readFile(file);
    if (!cycle.sources.some((source) => source.file === shown)) cycle.sources.push({ file: shown, text });
    return { file: shown, text };
  } catch (error) {
    const suffix = from === null ? '' : at(from);
    throw new ConfigError(`open() "${file}" failed (${errnoText(error)})`, from, suffix);
  }
}

function sorted(addresses: readonly LookupAddress[]): LookupAddress[] {
  const key = ({ host, family }: LookupAddress): string =>
    family === 4
      ? `4 ${host
          .split('.')
          .map((part) => part.padStart(3, '0'))
          .join('.')}`
      : `6 ${host}`;
  return [...addresses].sort((a, b) => (key(a) < key(b) ? -1 : 1));
}
