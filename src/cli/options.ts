/**
 * nginx's command line, letter by letter as nginx reads it: `-cfile`, `-c file`, `-tq`, `-tc file`.
 */

export const SIGNALS = { stop: 'SIGTERM', quit: 'SIGQUIT', reopen: 'SIGUSR1', reload: 'SIGHUP' } as const;
export type SignalName = keyof typeof SIGNALS;

export interface Options {
  help: boolean;
  /** `-v`, and with `-V` too. */
  version: boolean;
  /** `-V`. */
  features: boolean;
  /** `-t`, and with `-T` too. */
  test: boolean;
  /** `-T`. */
  dump: boolean;
  quiet: boolean;
  signal: SignalName | null;
  /** As given; null: the current directory. */
  prefix: string | null;
  /** As given; null: the default. `stderr` means the terminal. */
  errorLog: string | null;
  /** As given; null: `conf/nginx.conf`. */
  file: string | null;
  /** `--format`: the language of the file; null: its text tells. */
  format: 'nginx' | 'anyproxy' | null;
  /** `-g`: directives of the main context. */
  globals: string;
}

/** What the letters with a value miss when it is not there. */
const MISSING: Record<string, string> = {
  p: 'option "-p" requires directory name',
  e: 'option "-e" requires file name',
  c: 'option "-c" requires file name',
  g: 'option "-g" requires parameter',
  s: 'option "-s" requires parameter',
};

/** A command line that cannot be used; the message is nginx's. */
export class UsageError extends Error {}

/**
 * @param args without the program's name
 * @throws {UsageError}
 */
export function parseOptions(args: readonly string[]): Options {
  const options: Options = {
    help: false,
    version: false,
    features: false,
    test: false,
    dump: false,
    quiet: false,
    signal: null,
    prefix: null,
    errorLog: null,
    file: null,
    format: null,
    globals: '',
  };

  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    if (!arg.startsWith('-')) throw new UsageError(`invalid option: "${arg}"`);
    if (arg === '--format' || arg.startsWith('--format=')) {
      options.format = formatOf(arg === '--format' ? args[++i] : arg.slice('--format='.length));
      continue;
    }
    for (let k = 1; k < arg.length; k++) {
      const letter = arg[k]!;
      const missing = MISSING[letter];
      if (missing === undefined) {
        setFlag(options, letter);
        continue;
      }
      const glued = arg.slice(k + 1);
      const value = glued === '' ? args[++i] : glued;
      if (value === undefined) throw new UsageError(missing);
      setValue(options, letter, value);
      break;
    }
  }
  return options;
}

/** @throws {UsageError} */
function formatOf(value: string | undefined): Options['format'] {
  if (value === 'nginx' || value === 'anyproxy') return value;
  throw new UsageError('option "--format" requires "nginx" or "anyproxy"');
}

function setFlag(options: Options, letter: string): void {
  switch (letter) {
    case '?':
    case 'h':
      options.version = true;
      options.help = true;
      break;
    case 'v':
      options.version = true;
      break;
    case 'V':
      options.version = true;
      options.features = true;
      break;
    case 't':
      options.test = true;
      break;
    case 'T':
      options.test = true;
      options.dump = true;
      break;
    case 'q':
      options.quiet = true;
      break;
    default:
      throw new UsageError(`invalid option: "${letter}"`);
  }
}

function setValue(options: Options, letter: string, value: string): void {
  switch (letter) {
    case 'p':
      options.prefix = value;
      break;
    case 'e':
      options.errorLog = value;
      break;
    case 'c':
      options.file = value;
      break;
    case 'g':
      options.globals = value;
      break;
    case 's':
      // any-proxy's word for a reload with new workers: here there is one kind of reload.
      if (value === 'reinit') value = 'reload';
      if (!Object.hasOwn(SIGNALS, value)) throw new UsageError(`invalid option: "-s ${value}"`);
      options.signal = value as SignalName;
      break;
    default:
  }
}
