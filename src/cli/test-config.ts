/**
 * `-t` and `-T`: is the configuration good, would its log files and addresses be usable, and what is in it.
 */
import type { Config } from '../config/model.ts';
import { ConfigRefused, type ConfigSource, loadConfig } from '../control/load-config.ts';
import { checkAddresses, listensOf } from '../control/addresses.ts';
import { openLogFiles } from '../control/log-files.ts';
import { type ErrorLog, PROGRAM } from '../observe/error-log.ts';
import { write } from './output.ts';

export interface TestOptions {
  quiet: boolean;
  dump: boolean;
}

/** @returns the exit code */
export async function testConfig(source: ConfigSource, log: ErrorLog, { quiet, dump }: TestOptions): Promise<number> {
  const say = (text: string): void => void process.stderr.write(`${PROGRAM}: ${text}\n`);
  let config: Config;
  try {
    config = await loadConfig(source, log);
    if (!quiet) say(`the configuration file ${config.file} syntax is ok`);
    const failures = [...openLogFiles(config), ...(await checkAddresses(listensOf(config)))];
    if (failures.length > 0) throw new ConfigRefused(failures);
  } catch (error) {
    if (!(error instanceof ConfigRefused)) throw error;
    for (const message of error.messages) log.emerg(message);
    say(`configuration file ${source.file} test failed`);
    return 1;
  }
  if (!quiet) say(`configuration file ${config.file} test is successful`);
  if (dump) {
    for (const { file, text } of config.sources) {
      // Texts are byte strings: a file comes out as it is, whatever its encoding.
      write(`# configuration file ${file}:\n`);
      write(`${text}\n`, 'latin1');
    }
  }
  return 0;
}
