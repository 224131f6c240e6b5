/**
 * The entry of the command line. What a plain start does not need is imported only when it is asked for.
 */
import { ErrorLog, PROGRAM } from '../observe/error-log.ts';
import { earlyLog } from '../control/early-log.ts';
import { parseOptions, UsageError } from './options.ts';
import type { Options } from './options.ts';
import { configSource } from './paths.ts';
import { finish } from './output.ts';

function print(text: string): void {
  process.stderr.write(text);
}

/**
 * @param args without the program's name
 * @returns the exit code; null: the program runs on (or ends by itself)
 */
export async function main(args: readonly string[]): Promise<number | null> {
  if (args[0] === 'kong' || args[0] === 'migrate') {
    const { kongCommand } = await import('./kong.ts');
    return kongCommand(args);
  }

  let options: Options;
  try {
    options = parseOptions(args);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    print(`${PROGRAM}: ${error.message}\n`);
    return 1;
  }

  if (options.version) {
    const { versionLine, featureLines, HELP } = await import('./version.ts');
    print(versionLine() + (options.help ? HELP : '') + (options.features ? featureLines() : ''));
    if (!options.test) return 0;
  }

  const source = configSource(options);
  const log = earlyLog(source);
  if (options.test) {
    const { testConfig } = await import('./test-config.ts');
    return testConfig(source, log, { quiet: options.quiet, dump: options.dump });
  }
  if (options.signal !== null) {
    const { sendSignal } = await import('./send-signal.ts');
    return sendSignal(source, log, options.signal);
  }
  const { serve } = await import('./serve.ts');
  return serve(source, log);
}

/** A fault of our own: one line for the user, the stack for a report. Configuration errors never come here. */
function fault(error: unknown): void {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const log = new ErrorLog([{ kind: 'stderr', level: 'emerg' }]);
  for (const line of text.split('\n')) log.emerg(line);
  process.exit(2);
}

main(process.argv.slice(2)).then((code) => {
  if (code !== null) finish(code);
}, fault);
