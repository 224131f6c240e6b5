/**
 * The error log before a configuration is known: where `-e` points, and the terminal.
 */
import { writeSync } from 'node:fs';
import type { ErrorLogTarget } from '../config/model.ts';
import { ErrorLog, PROGRAM } from '../observe/error-log.ts';
import { shareFile } from '../observe/append-file.ts';
import { daemonChannel } from './daemon.ts';

/**
 * @param source.errorLogPath absolute, or `stderr`
 * @returns a log at level notice that also copies warnings and worse to stderr, until `stopCopies()`
 */
export function earlyLog({ errorLogPath }: { errorLogPath: string }): ErrorLog {
  const daemon = daemonChannel();
  const stderr = daemon === null ? {} : { stderr: (line: string) => daemon.print(line) };
  const targets: ErrorLogTarget[] = [];
  if (errorLogPath === 'stderr') {
    targets.push({ kind: 'stderr', level: 'notice' });
  } else {
    const file = shareFile(errorLogPath);
    if (file.isOpen) targets.push({ kind: 'file', path: errorLogPath, level: 'notice' });
    // As nginx: no reason to give up, the configuration may name another file.
    else writeSync(2, `${PROGRAM}: [alert] could not open error log file: ${file.failure}\n`);
    const log = new ErrorLog(targets, { copyToStderr: true, ...stderr });
    file.release();
    return log;
  }
  return new ErrorLog(targets, { copyToStderr: true, ...stderr });
}
