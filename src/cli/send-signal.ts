/**
 * `-s stop|quit|reopen|reload`: the signal to the process whose number is in the pid file of the configuration.
 */
import type { Config } from '../config/model.ts';
import { ConfigRefused, type ConfigSource, loadConfig } from '../control/load-config.ts';
import { readPidFile } from '../control/pid-file.ts';
import { failedText } from '../observe/errno.ts';
import type { ErrorLog } from '../observe/error-log.ts';
import { SIGNALS, type SignalName } from './options.ts';
import { constants } from 'node:os';

/** @returns the exit code */
export async function sendSignal(source: ConfigSource, log: ErrorLog, name: SignalName): Promise<number> {
  let config: Config;
  try {
    config = await loadConfig(source, log);
  } catch (error) {
    if (!(error instanceof ConfigRefused)) throw error;
    for (const message of error.messages) log.emerg(message);
    return 1;
  }
  log.notice('signal process started');
  const result = readPidFile(config.main.pidFile);
  if ('error' in result) {
    log.error(result.error);
    return 1;
  }
  const signal = SIGNALS[name];
  try {
    process.kill(result.pid, signal);
    return 0;
  } catch (error) {
    log.alert(failedText(`kill(${result.pid}, ${constants.signals[signal]})`, error));
    return 1;
  }
}
